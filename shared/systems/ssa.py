"""``ssa``: a frozen stream, and a generator that reads the caption; ``none``, its twin that reads none.

Qin et al., "Perceptual Image Compression with Cooperative Cross-Modal Side Information": an SSA block ends
each part of the generator. In the ``frozen`` recipe the sender is that of the stream and never sees text::

    sender:    x --g_a--> y --base's hyperprior--> container
    receiver:  container --> y_hat --g_s--> x_hat
                               |      ^ SSA at coarse, fine, stem: trust * sentence
                               '-- guard <-- sentence <-- text encoder <-- caption

Our reading of "an SSA block ends each part": the last two upsamplings are one pixel shuffle without features
in between, so four parts have three blocks. In the ``joint`` recipe g_a learns too, told the caption through
a block of its own where the words are at both ends.

At the papers' sizes the transforms are HiFiC's or Cheng's, on a stream of their own, and blocks stand after
the residual part and each of the upsamplings; P is the house's exact hyperprior at HiFiC's widths.
"""

from __future__ import annotations

from functools import partial

from pydantic import BaseModel, ConfigDict, Field

from shared.codecs.loading import frozen_size
from shared.codecs.parts import Parts
from shared.latents.hyperprior import Hyperprior, HyperpriorSize
from shared.networks.cheng import ChengAnalysis, ChengSize, ChengSynthesis
from shared.networks.guard import Guard
from shared.networks.hific import HificAnalysis, HificSize, HificSynthesis
from shared.networks.matcher import MatcherSize
from shared.networks.ssa import SemanticSpatialBlock
from shared.networks.transforms import Analysis, Synthesis, TransformSize

__all__ = ["CHENG", "HIFIC", "Size", "parts"]

#: Whose bundle holds the encoder and the entropy model.
STREAM = "base"

#: The stream's levels up to about 0.15 bpp, its transform with a block more at each stage.
GENERATOR = TransformSize(
    levels=16,
    scales=(4,) * 8 + (2,) * 3 + (1,) * 5,
    coarse=320,
    fine_blocks=4,
    coarse_blocks=4,
)


class Size(BaseModel):
    """Widths of the generator and its blocks."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    g_s: TransformSize | HificSize | ChengSize = GENERATOR
    hyper: int = Field(320, ge=4, description="channels of z at a paper's size, and within P")
    text_width: int = Field(384, ge=1, description="D of the sentence vector")
    text_hidden: int = Field(192, ge=1)
    mask_hidden: int = Field(64, ge=1)
    token_width: int = Field(
        0, ge=0, description="D_t of words that are bound to places; 0 for none"
    )
    told_encoder: bool = Field(False, description="g_a has a block, too")
    guard: MatcherSize | None = None


#: The papers' sizes: CLIP's vector of 512, SSA-GAN's widths.
HIFIC = Size(g_s=HificSize(), text_width=512, text_hidden=512, mask_hidden=100)
CHENG = Size(g_s=ChengSize(), hyper=192, text_width=512, text_hidden=512, mask_hidden=100)


def parts(size: Size) -> Parts:
    """The figure."""
    ssa = partial(
        SemanticSpatialBlock,
        text_width=size.text_width,
        text_hidden=size.text_hidden,
        mask_hidden=size.mask_hidden,
        token_width=size.token_width,
    )
    if isinstance(size.g_s, TransformSize):
        stream = frozen_size(STREAM)
        assert isinstance(stream, HyperpriorSize)
        return Parts(
            g_a=Analysis(stream, at={"coarse": ssa} if size.told_encoder else {}),
            latent=Hyperprior(stream),
            g_s=Synthesis(size.g_s, at={"coarse": ssa, "fine": ssa, "stem": ssa}),
            levels=size.g_s.levels,
            scales=size.g_s.scales,
            guard=None if size.guard is None else Guard(size.guard, size.g_s.levels),
            text_width=size.text_width,
            token_width=size.token_width,
            stream=STREAM,
        )
    own = HyperpriorSize(
        levels=1, latent=size.g_s.latent, hyper_latent=size.hyper, hyper_hidden=size.hyper
    )
    if isinstance(size.g_s, HificSize):
        everywhere = dict.fromkeys(("residual", "up8", "up4", "up2", "up1"), ssa)
        g_a, g_s = HificAnalysis(size.g_s), HificSynthesis(size.g_s, at=everywhere)
        return Parts(g_a, Hyperprior(own), g_s, levels=1, text_width=size.text_width)
    upsamplings = dict.fromkeys(("up8", "up4", "up2", "picture"), ssa)
    cheng = ChengAnalysis(size.g_s), Hyperprior(own), ChengSynthesis(size.g_s, at=upsamplings)
    return Parts(*cheng, levels=1, text_width=size.text_width)
