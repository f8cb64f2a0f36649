"""What this robot is. Copied to the device together with the other files; edit it there or before."""

BOARD = "esp32_devkit"  # a file of boards/
