"""Which files are held to the standard of safety code, and which tests answer for each."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

SAFETY = ("test_firmware_safety.py", "test_safety_model.py")
CODEC = ("test_firmware_codec.py",)
FIRMWARE_TESTS = {
    "safety": SAFETY,
    "ticks": ("test_firmware_motion.py", "test_firmware_safety.py"),
    "ramp": ("test_firmware_motion.py",),
    "monitor": ("test_firmware_monitor_bounds.py", "test_firmware_monitor.py", "test_firmware_motion.py"),
    "session": ("test_firmware_session.py",),
    "codec": CODEC,
    "frame": CODEC,
    "cobs": CODEC,
    "crc32": CODEC,
}
HOST_TESTS = {
    "jepa_bridge.link.frame": ("tests/link/test_codec_edges.py", "tests/link/test_codec.py"),
    "jepa_bridge.link.codec": (
        "tests/link/test_codec_edges.py",
        "tests/link/test_codec.py",
        "tests/protocol/test_vectors.py",
    ),
}
DESELECTED = (  # slow, and about files that are not mutated or about more of the same
    "tests/firmware/test_safety_model.py::test_every_reachable_state_is_the_models_and_no_wheel_moves_unasked[fine]",
    "tests/firmware/test_firmware_motion.py::test_odometry_follows_float_arithmetic_over_long_drives",
    "tests/firmware/test_firmware_motion.py::test_the_heading_depends_on_the_tick_difference_alone",
    "tests/firmware/test_firmware_motion.py::test_sine_is_within_6e_6",
    "tests/firmware/test_firmware_motion.py::test_every_intermediate_fits_a_small_int_of_31_bits",
    "tests/protocol/test_vectors.py::test_generated_files_are_up_to_date",
)


@dataclass(frozen=True)
class Target:
    """A module under test, and the tests that answer for it."""

    module: str
    path: Path
    tests: tuple[str, ...]


def targets() -> list[Target]:
    """What is held to this standard."""
    found = [
        Target(name, ROOT / "firmware" / f"{name}.py", tuple(f"tests/firmware/{test}" for test in tests))
        for name, tests in FIRMWARE_TESTS.items()
    ]
    for name, tests in HOST_TESTS.items():
        found.append(Target(name, ROOT / "host" / Path(*name.split(".")).with_suffix(".py"), tests))
    return found
