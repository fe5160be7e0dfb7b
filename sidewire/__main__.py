"""``python -m sidewire`` is the command ``sidewire``."""

from __future__ import annotations

from cluster.cli import main

main()
