"""Pools of decoders behind one interface: processes of this machine, or nothing at all."""
