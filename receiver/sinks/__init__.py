"""Sinks behind one interface: a folder of pictures, Parquet, a subscriber, or the ledger alone."""
