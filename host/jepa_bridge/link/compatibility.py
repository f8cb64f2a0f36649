"""Whether this host may talk to a robot, by its HELLO; and if not, why, for the person who has to update one side."""

from __future__ import annotations

from typing import TYPE_CHECKING

from jepa_bridge import __version__
from jepa_bridge.errors import BridgeError, Exit
from jepa_bridge.link.schema import PROTOCOL_VERSION, SCHEMA_HASH

if TYPE_CHECKING:
    from jepa_bridge.link.schema import Hello


def incompatibility(hello: Hello) -> BridgeError | None:
    """Why this host must not talk to that robot, told with both sides and which one to update; None if it may."""
    robot = f"the robot ({hello.board}, firmware {hello.firmware_version})"
    if hello.protocol_version != PROTOCOL_VERSION:
        robot_is_newer = hello.protocol_version > PROTOCOL_VERSION
        return BridgeError(
            "incompatible-protocol",
            f"{robot} speaks protocol version {hello.protocol_version}, this program ({__version__}) speaks version "
            f"{PROTOCOL_VERSION}; nothing was sent to it",
            "update this program to the firmware's version"
            if robot_is_newer
            else "update the robot: copy this program's firmware to it",
            status=Exit.INCOMPATIBLE,
        )
    if hello.schema_hash != SCHEMA_HASH:
        return BridgeError(
            "incompatible-schema",
            f"{robot} has message schema {hello.schema_hash.hex()}, this program ({__version__}) has "
            f"{SCHEMA_HASH.hex()}; nothing was sent to it",
            "both must come from one release: update the robot with this program's firmware, or, if the robot is the "
            "newer one, this program",
            status=Exit.INCOMPATIBLE,
        )
    return None


def another_robot(expected_uid: bytes, hello: Hello) -> BridgeError:
    """The error for a robot that came up where another one was driven: it stands elsewhere and was not armed."""
    return BridgeError(
        "different-robot",
        f"another robot is on the port now: expected {expected_uid.hex()}, got {hello.uid.hex()}",
        "connect the first robot again, or start anew to drive this one",
        status=Exit.LINK_LOST,
    )
