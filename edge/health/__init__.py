"""Faults that no driver reports, found in what the devices say: events in, conditions that begin and end out.

`crossing.py` is the door that edge/crossing/ calls. Each other file holds watches of one kind of device. A watch is
fed with events and asked by `judge` whether its condition holds; it has no clock and no I/O.
"""
