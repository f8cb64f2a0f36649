"""MCAP logs: writing, reading, recovery, export."""
