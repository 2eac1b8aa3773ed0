"""How well measured vehicles agree with reference weighings, and what the standards' procedures make of that.

The way of the data: records (JSON lines) -> pairs -> errors -> astm, cost323, oiml -> text, JSON and a page of plots.
Called by edge/commands/accuracy.py. Everything but reading files is pure.
"""
