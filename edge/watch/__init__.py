"""What a central operator sees: messages of any crossing in, a terminal's screen or lines out."""
