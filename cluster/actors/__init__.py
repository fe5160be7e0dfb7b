"""Receivers on Ray: decoders as actors, inside one receiver or on a cluster. No other package imports Ray."""
