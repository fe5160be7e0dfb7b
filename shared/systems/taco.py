"""``taco``: words guide the encoder through an adapter; ``taco-none``, its twin that hears nothing.

Lee et al., "Neural Image Compression with Text-guided Encoding for both Pixel-level and Perceptual Fidelity".
The decoder needs no text, and in the ``frozen`` recipe it is any decoder of ``base``'s stream::

    x --[fine]--> injector --[coarse]--> extractor, injector --[latent]--> y --base's hyperprior--> container
                     ^                        ^
                   words -------------------words

In the ``joint`` recipe everything learns, as in the paper, and the stream is its own. The paper's adapter
stands at 1/4 and 1/8 of the resolution; the house's transforms have their stages at 1/8 and 1/16.
"""

from __future__ import annotations

from functools import partial

from pydantic import BaseModel, ConfigDict, Field

from shared.codecs.loading import frozen_size
from shared.codecs.parts import Parts
from shared.latents.hyperprior import Hyperprior, HyperpriorSize
from shared.networks.adapter import Exchange, Injector
from shared.networks.transforms import Analysis, Synthesis

__all__ = ["Size", "parts"]

#: Whose bundle holds all but the encoder.
STREAM = "base"


class Size(BaseModel):
    """Widths of the adapter, and the stream's where it is its own."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    text_width: int = Field(384, ge=1, description="D of the sentence vector, which is not read")
    token_width: int = Field(384, ge=1, description="D_t of the words")
    own: HyperpriorSize | None = Field(None, description="of a stream of its own; None for base's")


def parts(size: Size) -> Parts:
    """The figure."""
    stream = size.own or frozen_size(STREAM)
    assert isinstance(stream, HyperpriorSize)
    injector = partial(Injector, token_width=size.token_width)
    exchange = partial(Exchange, token_width=size.token_width)
    return Parts(
        g_a=Analysis(stream, at={"fine": injector, "coarse": exchange}),
        latent=Hyperprior(stream),
        g_s=Synthesis(stream),
        levels=stream.levels,
        scales=stream.scales,
        text_width=size.text_width,
        token_width=size.token_width,
        stream="" if size.own else STREAM,
    )
