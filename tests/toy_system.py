"""``toy``: a made-up system whose encoder hears the caption. It is the example of docs/add-a-system.md.

::

    x --g_a--> y --hyperprior--> y_hat --g_s--> x_hat
         ^ a block at "latent" <-- sentence
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import BaseModel

from shared.systems.catalogue import System, TextPlacement

if TYPE_CHECKING:
    from shared.codecs.parts import Parts

WEIGHTS = Path(os.environ.get("TOY_WEIGHTS", "."))
SYSTEMS = (
    System(
        "toy",
        __name__,
        TextPlacement.ENCODER,
        container_id=200,
        twin="toy-none",
        bundle=str(WEIGHTS / "toy"),
    ),
    System(
        "toy-none",
        __name__,
        TextPlacement.NOWHERE,
        container_id=201,
        bundle=str(WEIGHTS / "toy-none"),
    ),
)


class Size(BaseModel):
    """Widths of the networks."""

    width: int = 16
    text_width: int = 384


def parts(size: Size) -> Parts:
    """The figure. Networks are imported here, so that who only reads the rows needs no torch."""
    from functools import partial  # noqa: PLC0415

    from shared.codecs.parts import Parts  # noqa: PLC0415
    from shared.latents.hyperprior import Hyperprior, HyperpriorSize  # noqa: PLC0415
    from shared.networks.ssa import SemanticSpatialBlock  # noqa: PLC0415
    from shared.networks.transforms import Analysis, Synthesis  # noqa: PLC0415

    widths = dict.fromkeys(("stem", "fine", "coarse", "latent", "hyper_hidden"), size.width)
    own = HyperpriorSize(**widths, levels=2, fine_blocks=1, coarse_blocks=1, hyper_latent=8)
    fusion = partial(SemanticSpatialBlock, text_width=size.text_width, text_hidden=32)
    return Parts(
        g_a=Analysis(own, at={"latent": fusion}),
        latent=Hyperprior(own),
        g_s=Synthesis(own),
        levels=own.levels,
        text_width=size.text_width,
    )
