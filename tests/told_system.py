"""The row of ``told``: the golden model with a block that hears captions in its encoder.

Every process that is started reads it, also those without torch: its networks are in another module.
"""

from __future__ import annotations

import os

from shared.systems.catalogue import System, TextPlacement

__all__ = ["FOLDER", "NAME"]

NAME = "told"
#: Names the folder of its bundle.
FOLDER = "TOLD_BUNDLE"
SYSTEMS = (
    System(
        NAME,
        "tests.told_figure",
        TextPlacement.ENCODER,
        container_id=210,
        bundle=os.environ.get(FOLDER, "."),
    ),
)
