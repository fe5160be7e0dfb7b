"""Where weights are. Read without torch."""

from __future__ import annotations

from importlib import resources
from pathlib import Path

from shared.errors import BundleError
from shared.systems.catalogue import System

__all__ = ["bundle_folder", "shipped_bundle"]


def shipped_bundle(name: str) -> Path:
    """Folder of a bundle that ships, in a distribution of its own.

    Raises:
        BundleError: that is not installed.
    """
    try:
        home = resources.files("weights")
    except ModuleNotFoundError:
        raise BundleError(
            "the weights that ship are not installed: `pip install ./weights` in a checkout of Sidewire"
            " brings them"
        ) from None
    return Path(str(home.joinpath(name)))


def bundle_folder(row: System) -> Path:
    """Where a system's weights are.

    Raises:
        BundleError: as :func:`shipped_bundle`.
    """
    return shipped_bundle(row.name) if row.bundle is None else Path(row.bundle)
