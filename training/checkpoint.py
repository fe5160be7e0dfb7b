"""Files that a run goes on from."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

__all__ = ["write_state"]


def write_state(path: Path, state: dict[str, Any]) -> None:
    """Replace a checkpoint whole: a run that is stopped while it writes keeps the one before."""
    temporary = path.with_suffix(".tmp")
    torch.save(state, temporary)
    temporary.replace(path)
