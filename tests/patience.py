"""How long tests wait for what must come."""

from __future__ import annotations

__all__ = ["PATIENCE"]

#: Seconds, far beyond what anything takes, also beside much other work: what never comes fails the test.
PATIENCE = 300.0
