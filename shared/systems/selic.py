"""``selic``: a sentence joins the latent at the encoder; ``selic-none``, its twin that hears nothing.

Fu et al., "SELIC: Semantic-Enhanced Learned Image Compression via High-Level Textual Guidance". The decoder
needs no text, and in the ``frozen`` recipe it is any decoder of ``base``'s stream::

    x --g_a--> y3 --fusion--> y --base's hyperprior--> container --> y_hat --base's g_s--> x_hat
                      ^
        sentence --FC, FC--> y2

In the ``joint`` recipe everything learns, as in the paper, and the stream is its own. At the paper's size the
transforms are Cheng et al.'s without attention, N = 128, and means come from slices of channels (ChARM); our
reading are M = 320 in ten slices, and BERT's vector of 768.
"""

from __future__ import annotations

from functools import partial

from pydantic import BaseModel, ConfigDict, Field

from shared.codecs.loading import frozen_size
from shared.codecs.parts import Parts
from shared.latents.hyperprior import Hyperprior, HyperpriorSize
from shared.networks.cheng import ChengAnalysis, ChengSize, ChengSynthesis
from shared.networks.fusion import Fusion, LatentFusion
from shared.networks.slices import SliceSize
from shared.networks.transforms import Analysis, Synthesis

__all__ = ["PAPER", "Size", "parts"]

#: Whose bundle holds all but the encoder.
STREAM = "base"


class Size(BaseModel):
    """Widths of the fusion, and the stream's where it is its own."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    fusion: Fusion = Fusion.CONCATENATION
    text_width: int = Field(384, ge=1, description="D of the sentence vector")
    text_hidden: int = Field(192, ge=1, description="between the two fully connected layers")
    own: HyperpriorSize | None = Field(None, description="of a stream of its own; None for base's")
    transforms: ChengSize | None = Field(None, description="the paper's, on a stream of its own")


PAPER = Size(
    text_width=768,
    text_hidden=320,
    own=HyperpriorSize(
        levels=1,
        latent=320,
        hyper_latent=128,
        hyper_hidden=128,
        context=SliceSize(widths=(32,) * 10),
    ),
    transforms=ChengSize(latent=320, width=128, attention=False),
)


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
    at = {"latent": fusion}
    return Parts(
        g_a=ChengAnalysis(size.transforms, at) if size.transforms else Analysis(stream, at),
        latent=Hyperprior(stream),
        g_s=ChengSynthesis(size.transforms) if size.transforms else Synthesis(stream),
        levels=stream.levels,
        scales=stream.scales,
        text_width=size.text_width,
        stream="" if size.own else STREAM,
    )
