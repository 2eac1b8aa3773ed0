"""Sightings that travel between the computers of one crossing, as tokens."""
