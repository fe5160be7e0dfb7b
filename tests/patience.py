"""How long tests wait for what must come."""

from __future__ import annotations

__all__ = ["LATE_WINDOW", "PATIENCE"]

#: Seconds, far beyond what anything takes, also beside much other work: what never comes fails the test.
PATIENCE = 300.0
#: A receiver's: words are used however long a busy machine takes to start an end again.
LATE_WINDOW = ("--set", "late_window=3600")
