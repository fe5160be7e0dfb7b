"""Painters: from a poor copy of a picture, and what was told of it, to a picture."""
