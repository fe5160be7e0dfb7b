"""Sinks behind one interface."""
