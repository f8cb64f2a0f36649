# Tables of the wire. Generated from protocol/bridge.cddl by protocol/generate.py: do not edit.

from micropython import const

SCHEMA_HASH = b'\xc2\x92\xd2\xb1'
# the CRC seed in halves: one 32-bit number would not be a small int on the microcontroller
CRC_SEED_HIGH = const(0xc292)
CRC_SEED_LOW = const(0xd2b1)

PROTOCOL_VERSION = const(1)
FRAME_MAGIC = const(177)
FRAME_MAX_BYTES = const(128)

# message types
HELLO = const(1)
SENSOR = const(2)
STATUS = const(3)
ACK = const(4)
LOG = const(5)
OPEN = const(16)
TIME_SYNC = const(17)
ARM = const(18)
CMD = const(19)
STOP = const(20)
CLEAR = const(21)
REBOOT = const(22)
POSE = const(23)

# sensor_flag
SENSOR_FLAG_BUMP = const(1)
SENSOR_FLAG_WHEEL_STALL = const(2)
SENSOR_FLAG_BATTERY_LOW = const(4)
SENSOR_FLAG_RANGE_FAULT = const(8)
SENSOR_FLAG_RANGE_STUCK = const(16)

# capability
CAPABILITY_BUMP_SENSOR = const(1)
CAPABILITY_BATTERY_SENSOR = const(2)
CAPABILITY_HARDWARE_WATCHDOG = const(4)

# state
STATE_BOOT = const(0)
STATE_IDLE = const(1)
STATE_OPEN = const(2)
STATE_ARMED = const(3)
STATE_DRIVING = const(4)
STATE_STOPPED = const(5)

# fault
FAULT_NONE = const(0)
FAULT_HOST_STOP = const(1)
FAULT_SESSION_LOST = const(2)
FAULT_LOOP_EXCEPTION = const(3)
FAULT_MOTOR_DRIVER = const(4)
FAULT_BATTERY_EMPTY = const(5)
FAULT_RANGE_SENSORS_LOST = const(6)
FAULT_WHEEL_RUNAWAY = const(7)
FAULT_WHEEL_STALL = const(8)

# reset_cause
RESET_CAUSE_UNKNOWN = const(0)
RESET_CAUSE_POWER_ON = const(1)
RESET_CAUSE_EXTERNAL = const(2)
RESET_CAUSE_SOFTWARE = const(3)
RESET_CAUSE_WATCHDOG = const(4)
RESET_CAUSE_BROWNOUT = const(5)
RESET_CAUSE_DEEP_SLEEP = const(6)

# result
RESULT_OK = const(0)
RESULT_WRONG_STATE = const(1)
RESULT_WRONG_SESSION = const(2)
RESULT_WRONG_VERSION = const(3)
RESULT_FAULT_PRESENT = const(4)
RESULT_OUT_OF_RANGE = const(5)

# stop_reason
STOP_REASON_OPERATOR = const(0)
STOP_REASON_HOST_EXIT = const(1)
STOP_REASON_LINK_DEGRADED = const(2)
STOP_REASON_PLANNER_LATE = const(3)
STOP_REASON_HOST_ERROR = const(4)

# level
LEVEL_DEBUG = const(0)
LEVEL_INFO = const(1)
LEVEL_WARNING = const(2)
LEVEL_ERROR = const(3)

# log_code
LOG_CODE_STARTED = const(0)
LOG_CODE_TEXT = const(1)
LOG_CODE_SESSION_OPENED = const(2)
LOG_CODE_SESSION_LOST = const(3)
LOG_CODE_STOPPED = const(4)
LOG_CODE_COMMAND_REFUSED = const(5)
LOG_CODE_EXCEPTION = const(6)
LOG_CODE_FRAME_INVALID = const(7)

# number of CBOR items of a message, its type number included
HELLO_ITEMS = const(17)
SENSOR_ITEMS = const(29)
STATUS_ITEMS = const(16)
ACK_ITEMS = const(8)
LOG_ITEMS = const(7)
OPEN_ITEMS = const(5)
TIME_SYNC_ITEMS = const(4)
ARM_ITEMS = const(4)
CMD_ITEMS = const(7)
STOP_ITEMS = const(5)
CLEAR_ITEMS = const(4)
REBOOT_ITEMS = const(4)
POSE_ITEMS = const(7)

# index of a field among a message's items
HELLO_PROTOCOL_VERSION = const(4)
HELLO_SCHEMA_HASH = const(5)
HELLO_UID = const(6)
HELLO_BOOT_ID = const(7)
HELLO_FIRMWARE_VERSION = const(8)
HELLO_BOARD = const(9)
HELLO_RESET_CAUSE = const(10)
HELLO_UPTIME_MS = const(11)
HELLO_SENSOR_RATE_HZ = const(12)
HELLO_RANGE_MAX_MM = const(13)
HELLO_WHEEL_MAX = const(14)
HELLO_EXPIRY_MAX_MS = const(15)
HELLO_CAPABILITIES = const(16)
SENSOR_RANGES_MM = const(4)
SENSOR_RANGE_AGES_MS = const(12)
SENSOR_X_MM = const(20)
SENSOR_Y_MM = const(21)
SENSOR_HEADING_MRAD = const(22)
SENSOR_LEFT_TICKS = const(23)
SENSOR_RIGHT_TICKS = const(24)
SENSOR_LEFT_MM_S = const(25)
SENSOR_RIGHT_MM_S = const(26)
SENSOR_BATTERY_MV = const(27)
SENSOR_FLAGS = const(28)
STATUS_STATE = const(4)
STATUS_FAULT = const(5)
STATUS_CMD_SEQ = const(6)
STATUS_LEFT_WHEEL = const(7)
STATUS_RIGHT_WHEEL = const(8)
STATUS_FRAMES_OK = const(9)
STATUS_FRAMES_BAD = const(10)
STATUS_FRAMES_REFUSED = const(11)
STATUS_COMMANDS_EXPIRED = const(12)
STATUS_FRAMES_DROPPED = const(13)
STATUS_LOOP_OVERRUNS = const(14)
STATUS_LOOP_MAX_US = const(15)
ACK_OF_TYPE = const(4)
ACK_OF_SEQ = const(5)
ACK_RESULT = const(6)
ACK_RECEIVED_US = const(7)
LOG_LEVEL = const(4)
LOG_CODE = const(5)
LOG_TEXT = const(6)
OPEN_PROTOCOL_VERSION = const(4)
CMD_LEFT_WHEEL = const(4)
CMD_RIGHT_WHEEL = const(5)
CMD_EXPIRES_US = const(6)
STOP_REASON = const(4)
POSE_X_MM = const(4)
POSE_Y_MM = const(5)
POSE_HEADING_MRAD = const(6)

# What the device accepts from a host: (lowest, highest) of each item after the type, all integers.
HOST_LIMITS = {
    16: ((0, 65535), (0, 1073741823), (0, 1073741823), (1, 255)),
    17: ((0, 65535), (0, 1073741823), (0, 1073741823)),
    18: ((0, 65535), (0, 1073741823), (0, 1073741823)),
    19: ((0, 65535), (0, 1073741823), (0, 1073741823), (-80, 80), (-80, 80), (0, 1073741823)),
    20: ((0, 65535), (0, 1073741823), (0, 1073741823), (0, 4)),
    21: ((0, 65535), (0, 1073741823), (0, 1073741823)),
    22: ((0, 65535), (0, 1073741823), (0, 1073741823)),
    23: ((0, 65535), (0, 1073741823), (0, 1073741823), (-1073741823, 1073741823), (-1073741823, 1073741823), (-3142, 3142)),
}
