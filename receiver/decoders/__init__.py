"""Pools of decoders behind one interface."""
