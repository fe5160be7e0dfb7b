"""``taco``: words guide the encoder through an adapter; ``taco-none``, its twin that hears nothing.

Lee et al., "Neural Image Compression with Text-guided Encoding for both Pixel-level and Perceptual Fidelity".
The decoder needs no text, and in the ``frozen`` recipe it is any decoder of ``base``'s stream::

    x --[fine]--> injector --[coarse]--> extractor, injector --[latent]--> y --base's hyperprior--> container
                     ^                        ^
                   words -------------------words

In the ``joint`` recipe everything learns, as in the paper, and the stream is its own. At the paper's size the
transforms are ELIC's, the adapter stands at 1/4 and 1/8 of the resolution, and means come from slices of 16,
16, 32, 64 and 192 channels with a checkerboard in each; the house's transforms have stages at 1/8 and 1/16.
"""

from __future__ import annotations

from functools import partial

from pydantic import BaseModel, ConfigDict, Field

from shared.codecs.loading import frozen_size
from shared.codecs.parts import Parts
from shared.latents.hyperprior import Hyperprior, HyperpriorSize
from shared.networks.adapter import Exchange, Injector
from shared.networks.elic import ElicAnalysis, ElicSize, ElicSynthesis
from shared.networks.slices import SliceSize
from shared.networks.stages import AnalysisTransform, SynthesisTransform
from shared.networks.transforms import Analysis, Synthesis

__all__ = ["PAPER", "Size", "parts"]

#: Whose bundle holds all but the encoder.
STREAM = "base"


class Size(BaseModel):
    """Widths of the adapter, and the stream's where it is its own."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    text_width: int = Field(384, ge=1, description="D of the sentence vector, which is not read")
    token_width: int = Field(384, ge=1, description="D_t of the words")
    own: HyperpriorSize | None = Field(None, description="of a stream of its own; None for base's")
    transforms: ElicSize | None = Field(None, description="the paper's, on a stream of its own")


#: CLIP's words of 512.
PAPER = Size(
    text_width=512,
    token_width=512,
    own=HyperpriorSize(
        levels=1,
        latent=320,
        hyper_latent=192,
        hyper_hidden=192,
        context=SliceSize(widths=(16, 16, 32, 64, 192), checkerboard=True),
    ),
    transforms=ElicSize(),
)


def parts(size: Size) -> Parts:
    """The figure."""
    stream = size.own or frozen_size(STREAM)
    assert isinstance(stream, HyperpriorSize)
    injector = partial(Injector, token_width=size.token_width)
    exchange = partial(Exchange, token_width=size.token_width)
    if size.transforms:
        g_a: AnalysisTransform = ElicAnalysis(
            size.transforms, at={"quarter": injector, "eighth": exchange}
        )
        g_s: SynthesisTransform = ElicSynthesis(size.transforms)
    else:
        g_a = Analysis(stream, at={"fine": injector, "coarse": exchange})
        g_s = Synthesis(stream)
    return Parts(
        g_a,
        Hyperprior(stream),
        g_s,
        levels=stream.levels,
        scales=stream.scales,
        text_width=size.text_width,
        token_width=size.token_width,
        stream="" if size.own else STREAM,
    )
