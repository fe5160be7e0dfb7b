"""Systems of other modules than the catalogue, known for a while, also in processes that are started."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from shared.codecs import get_codec
from shared.systems.catalogue import ENVIRONMENT, systems

__all__ = ["registered"]

ROOT = Path(__file__).parents[1]


@contextmanager
def registered(module: str) -> Iterator[pytest.MonkeyPatch]:
    """Within, the rows of ``module`` are systems; what this gives patches more, and undoes it at the end."""
    # It may look at its surroundings when it is imported, and the next ones are others.
    sys.modules.pop(module, None)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(ENVIRONMENT, module)
        patch.setenv("PYTHONPATH", os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")]))
        systems.cache_clear()
        get_codec.cache_clear()
        try:
            yield patch
        finally:
            patch.undo()
            sys.modules.pop(module, None)
            systems.cache_clear()
            get_codec.cache_clear()
