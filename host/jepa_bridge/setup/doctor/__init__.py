"""Looks for what keeps a robot from driving: small checks over a view of the system, each finding with what to do."""
