"""A simulated robot: MuJoCo body and arena, the firmware itself as its brain."""
