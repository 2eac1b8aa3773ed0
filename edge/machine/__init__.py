"""What the daemon and the commands know of the computer they run on: clock, name, logs, service manager, daemon."""
