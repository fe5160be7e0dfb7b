"""Counterparts of a paper's tables and figures, measured on trained weights, with intervals."""
