"""``ssa-cheng``: words in the decoder of Cheng et al. 2020, to show that the block is not tied to HiFiC.

Cheng et al., "Learned Image Compression with Discretized Gaussian Mixture Likelihoods and Attention
Modules" (CVPR 2020), as CompressAI builds it (one Gaussian an element, not a mixture); SSA blocks as in Qin
et al., section 4.5: the decoder is cut at its four upsamplings, with a block after each::

    y_hat (B,192,h,w)
      | attention, residual, upsampling 192    | SSA 192     1/8
      | residual, upsampling 192               | SSA 192     1/4
      | attention, residual, upsampling 192    | SSA 192     1/2
      | residual, sub-pixel convolution to 3   | SSA 3       1/1
      v
    x_hat (B,3,16h,16w)

The fourth block modulates the picture itself, which the paper's wording asks for. The context model reads
rounded values in turn; in training it reads noisy ones all at once, as CompressAI does.
"""

from __future__ import annotations

import torch
from compressai.models import Cheng2020Attention
from compressai.ops import quantize_ste
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor, nn

from shared.networks.ssa import Conditioning, SemanticSpatialBlock
from shared.networks.transforms import Z_STRIDE
from training.paper.system import Coded, Generator, PaperSystem, Part, Prior, bits_of

__all__ = ["ChengGenerator", "ChengSize", "ContextPrior", "cheng_system"]

#: Where Cheng2020Attention's decoder is cut: one past each upsampling.
CUTS = (3, 5, 8, 10)


class ChengSize(BaseModel):
    """Widths; the defaults are the papers'."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    channels: int = Field(192, ge=2, multiple_of=2, description="N, of y too")
    text_width: int = Field(512, ge=1, description="D of the sentence vector, CLIP's")
    text_hidden: int = Field(512, ge=1, description="SSA-GAN: as wide as the text")
    mask_hidden: int = Field(100, ge=1, description="SSA-GAN's")


class ContextPrior(Prior):
    """P: hyperprior and masked convolution over y's neighbours, merged by 1x1 convolutions."""

    def __init__(self, codec: Cheng2020Attention) -> None:
        super().__init__(codec.entropy_bottleneck)
        self.analysis = codec.h_a
        self.synthesis = codec.h_s
        self.context = codec.context_prediction
        self.merge = codec.entropy_parameters
        self.gaussian = codec.gaussian_conditional

    def forward(self, y: Tensor) -> Coded:
        """``y``: (B, N, h, w), h and w multiples of four."""
        z = self.analysis(y)
        z_tilde, z_noisy = self.entropy_bottleneck(z, training=True)
        hyper = self.synthesis(z_tilde)
        y_noisy = self._likelihood(y, self.gaussian.quantize(y, "noise"), hyper, training=True)
        with torch.no_grad():
            _, z_rounded = self.entropy_bottleneck(z, training=False)
            y_rounded = self._likelihood(y, y.round(), hyper, training=False)
        return Coded(quantize_ste(y), bits_of(y_noisy, z_noisy), bits_of(y_rounded, z_rounded))

    def _likelihood(self, y: Tensor, known: Tensor, hyper: Tensor, *, training: bool) -> Tensor:
        parameters = self.merge(torch.cat([hyper, self.context(known)], 1))
        scale, mean = parameters.chunk(2, 1)
        _, likelihood = self.gaussian(y, scale, mean, training=training)
        out: Tensor = likelihood
        return out


class ChengGenerator(Generator):
    """G: Cheng2020Attention's decoder in four parts, an SSA block after each."""

    def __init__(self, codec: Cheng2020Attention, size: ChengSize) -> None:
        super().__init__()
        layers = list(codec.g_s)
        n = size.channels
        self.parts = nn.ModuleList(
            Part(
                nn.Sequential(*layers[start:stop]),
                SemanticSpatialBlock(channels, size.text_width, size.text_hidden, size.mask_hidden),
            )
            for start, stop, channels in zip((0, *CUTS[:-1]), CUTS, (n, n, n, 3), strict=True)
        )

    def masked(self, y_hat: Tensor, words: Conditioning) -> tuple[Tensor, tuple[Tensor, ...]]:
        """The picture, and four masks from 1/8 to full resolution."""
        y, masks = y_hat, []
        for part in self.parts:
            y, mask = part(y, words)
            masks.append(mask)
        return y, tuple(masks)


def cheng_system(size: ChengSize | None = None) -> PaperSystem:
    """E, P and G of ``ssa-cheng``: 33 M parameters at paper size."""
    size = ChengSize() if size is None else size
    codec = Cheng2020Attention(size.channels)
    return PaperSystem(codec.g_a, ContextPrior(codec), ChengGenerator(codec, size), stride=Z_STRIDE)
