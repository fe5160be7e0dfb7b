"""``tgic``: words at both ends, by attention and on request; ``tgic-none``, its twin that hears nothing.

Jiang et al., "Multi-Modality Deep Network for Extreme Learned Image Compression". In the ``frozen`` recipe
the stream is ``base``'s, and any decoder of that decodes it without words::

    x --[fine]--> ITA --[coarse]--> IRC --[latent]--> y --base's hyperprior--> container
                   ^                 ^
                   '----- words -----'   (the sender's)
    container --> y_hat --[coarse]--> ITA --[fine]--> IRC --[stem, picture]--> x_hat
                                       ^               ^
                                       '---- words ----'   (of the captions' channel, if they come)

Our reading: each end has an ITA, and an IRC where the paper's text has it "adaptively fuse" what is already
fused once. On a stream of its own everything learns, as in the paper, and words enter the entropy model as
a few integers that the stream holds (:mod:`shared.latents.spoken`). The paper's size has its own transforms.
"""

from __future__ import annotations

from functools import partial

from pydantic import BaseModel, ConfigDict, Field

from shared.codecs.loading import frozen_size
from shared.codecs.parts import Parts
from shared.latents.hyperprior import Hyperprior, HyperpriorSize
from shared.latents.spoken import SpokenHyperprior
from shared.networks.irc import ImageRequestComplement
from shared.networks.ita import ImageTextAttention
from shared.networks.stages import AnalysisTransform, Attach, SynthesisTransform
from shared.networks.tgic import TgicAnalysis, TgicSize, TgicSynthesis
from shared.networks.transforms import Analysis, Synthesis

__all__ = ["PAPER", "Size", "parts"]

#: Whose bundle holds the entropy model.
STREAM = "base"


class Size(BaseModel):
    """Widths of what reads the words, and the stream's where it is its own."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    branch: int = Field(32, ge=1, description="channels of each of an ITA's three filter sizes")
    irc: bool = Field(True, description="False: an ITA stands where an IRC does")
    text_width: int = Field(384, ge=1, description="D of the sentence vector, which is not read")
    token_width: int = Field(384, ge=1, description="D_t of the words")
    own: HyperpriorSize | None = Field(None, description="of a stream of its own; None for base's")
    said: int = Field(
        0, ge=0, description="K, integers of the caption in a stream of its own, of z's channels"
    )
    transforms: TgicSize | None = Field(None, description="the paper's, on a stream of its own")


#: Words of 300, as the reproduction maps them.
PAPER = Size(
    branch=64,
    text_width=300,
    token_width=300,
    own=HyperpriorSize(levels=1, latent=220, hyper_latent=192, hyper_hidden=320),
    said=4,
    transforms=TgicSize(),
)


def parts(size: Size) -> Parts:
    """The figure."""
    stream = size.own or frozen_size(STREAM)
    assert isinstance(stream, HyperpriorSize)
    ita: Attach = partial(ImageTextAttention, token_width=size.token_width, branch=size.branch)
    irc: Attach = ita
    if size.irc:
        irc = partial(ImageRequestComplement, token_width=size.token_width, branch=size.branch)
    if size.transforms:
        g_a: AnalysisTransform = TgicAnalysis(size.transforms, at={"quarter": ita, "eighth": irc})
        g_s: SynthesisTransform = TgicSynthesis(size.transforms, at={"up8": ita, "up4": irc})
    else:
        g_a = Analysis(stream, at={"fine": ita, "coarse": irc})
        g_s = Synthesis(stream, at={"coarse": ita, "fine": irc})
    said = size.said if size.own else 0
    return Parts(
        g_a,
        SpokenHyperprior(stream, said, size.text_width) if said else Hyperprior(stream),
        g_s,
        levels=stream.levels,
        scales=stream.scales,
        text_width=size.text_width,
        token_width=size.token_width,
        stream="" if size.own else STREAM,
    )
