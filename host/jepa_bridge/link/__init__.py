"""Bytes <-> messages: transport, frame, codec, clock, session, and the live link over them."""

from jepa_bridge.link.clock import Clock, ClockSync, TickUnwrapper
from jepa_bridge.link.codec import decode, decode_payload, encode, frame_of
from jepa_bridge.link.compatibility import incompatibility
from jepa_bridge.link.discovery import Chosen, Discovery
from jepa_bridge.link.frame import FrameError, FrameReader, encode_frame
from jepa_bridge.link.link import Link
from jepa_bridge.link.reconnect import Reopener
from jepa_bridge.link.session import Health, Phase, Request, Session
from jepa_bridge.link.stats import LinkStats
from jepa_bridge.link.transport import Transport, open_transport, port_holders

__all__ = [
    "Chosen",
    "Clock",
    "ClockSync",
    "Discovery",
    "FrameError",
    "FrameReader",
    "Health",
    "Link",
    "LinkStats",
    "Phase",
    "Reopener",
    "Request",
    "Session",
    "TickUnwrapper",
    "Transport",
    "decode",
    "decode_payload",
    "encode",
    "encode_frame",
    "frame_of",
    "incompatibility",
    "open_transport",
    "port_holders",
]
