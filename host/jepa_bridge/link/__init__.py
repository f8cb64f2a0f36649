"""Bytes to messages and back: transport, frame, codec, session."""
