"""``selic``: a sentence joins the latent at the encoder; ``selic-none``, its twin that hears nothing.

Fu et al., "SELIC: Semantic-Enhanced Learned Image Compression via High-Level Textual Guidance". The decoder
needs no text, and in the ``frozen`` recipe it is any decoder of ``base``'s stream::

    x --g_a--> y3 --fusion--> y --base's hyperprior--> container --> y_hat --base's g_s--> x_hat
                      ^
        sentence --FC, FC--> y2

In the ``joint`` recipe everything learns, as in the paper, and the stream is its own.
"""

from __future__ import annotations

from functools import partial

from pydantic import BaseModel, ConfigDict, Field

from shared.codecs.loading import frozen_size
from shared.codecs.parts import Parts
from shared.latents.hyperprior import Hyperprior, HyperpriorSize
from shared.networks.fusion import Fusion, LatentFusion
from shared.networks.transforms import Analysis, Synthesis

__all__ = ["Size", "parts"]

#: Whose bundle holds all but the encoder.
STREAM = "base"


class Size(BaseModel):
    """Widths of the fusion, and the stream's where it is its own."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    fusion: Fusion = Fusion.CONCATENATION
    text_width: int = Field(384, ge=1, description="D of the sentence vector")
    text_hidden: int = Field(192, ge=1, description="between the two fully connected layers")
    own: HyperpriorSize | None = Field(None, description="of a stream of its own; None for base's")


def parts(size: Size) -> Parts:
    """The figure."""
    stream = size.own or frozen_size(STREAM)
    assert isinstance(stream, HyperpriorSize)
    fusion = partial(
        LatentFusion,
        text_width=size.text_width,
        text_hidden=size.text_hidden,
        fusion=size.fusion,
    )
    return Parts(
        g_a=Analysis(stream, at={"latent": fusion}),
        latent=Hyperprior(stream),
        g_s=Synthesis(stream),
        levels=stream.levels,
        scales=stream.scales,
        text_width=size.text_width,
        stream="" if size.own else STREAM,
    )
