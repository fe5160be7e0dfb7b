"""``base``: a mean-scale hyperprior for every rate from 0.02 to 0.8 bits per pixel, without text.

The stream that other systems build on: its encoder and entropy model stay frozen while generators change::

    x --g_a--> y --hyperprior--> y_hat --g_s--> x_hat
"""

from __future__ import annotations

from shared.codecs.parts import Parts
from shared.latents.hyperprior import Hyperprior, HyperpriorSize
from shared.networks.transforms import Analysis, Synthesis

__all__ = ["Size", "parts"]

Size = HyperpriorSize


def parts(size: Size) -> Parts:
    """The figure."""
    parts = Analysis(size), Hyperprior(size), Synthesis(size)
    return Parts(*parts, levels=size.levels, scales=size.scales)
