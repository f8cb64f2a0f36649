"""The control loop: observe, plan, gate on confidence, command."""
