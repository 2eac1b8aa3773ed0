"""Waits in the shape of public feeds, and pages with plots."""
