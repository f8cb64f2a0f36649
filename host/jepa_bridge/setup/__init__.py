"""Getting a robot and its computer ready: find, check, settings, service."""
