"""The daemon seen from outside, on this computer alone: one Unix socket, JSON lines, and who asks it."""
