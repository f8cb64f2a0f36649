"""What goes wrong with a robot, made to happen to the real firmware, and how long its wheels then take to stop."""
