"""``ssa-hific`` at paper size: HiFiC's networks, and words in its generator.

Mentzer et al., "High-Fidelity Generative Image Compression" (NeurIPS 2020), sizes as in its published
TensorFlow code; SSA blocks as in Qin et al., section 3.2. Every convolution of E and G but those to y and
to the picture is followed by ChannelNorm (CN)::

    x (B,3,H,W)                                              x_hat (B,3,H,W)
      | conv7 60, ReLU                                         ^ conv7 3
      | conv3/2 120, ReLU                                      | SSA 60
      | conv3/2 240, ReLU                                      | deconv3x2 60, ReLU
      | conv3/2 480, ReLU                                      |   ... the same with 120, 240
      | conv3/2 960, ReLU                                      | SSA 480
      | conv3 220                                              | deconv3x2 480, ReLU
      v                                                        | SSA 960
      y (B,220,H/16,W/16)                                     (+)<-------.
      |                                                        | 9 x     |
      | conv3 320, ReLU     deconv5x2 320, ReLU --> mean       | {conv3 960, ReLU, conv3 960, +}
      | conv5/2 320, ReLU   deconv5x2 320, ReLU     (and       |---------'
      | conv5/2 320         conv3 220             scale alike) | CN, conv3 960
      '--> z ==bottleneck==> z_hat --'                       y_hat

Our reading of "divide the decoding process into convolutional residual block and convolutional
upsampling block, and introduce SSA block at the end of each part": after the residual part and after
each of the four upsamplings.
"""

from __future__ import annotations

import math

import torch
from compressai.entropy_models import EntropyBottleneck, GaussianConditional
from compressai.models.utils import conv, deconv
from compressai.ops import quantize_ste
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor, nn

from shared.networks.layers import conv3x3
from shared.networks.ssa import ChannelNorm, Conditioning, SemanticSpatialBlock
from shared.networks.transforms import Y_STRIDE
from training.paper.system import Coded, Generator, PaperSystem, Part, Prior, bits_of

__all__ = ["HificEncoder", "HificGenerator", "HificSize", "Hyperprior", "hific_system"]

#: Halvings of the resolution in E, doublings in G.
STEPS = 4
SCALES = [math.exp(s) for s in torch.linspace(math.log(0.11), math.log(256), 64).tolist()]


class HificSize(BaseModel):
    """Widths; the defaults are the paper's."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    base: int = Field(
        60, ge=2, description="channels at full resolution, doubled at each step down"
    )
    latent: int = Field(220, ge=1, description="M, channels of y")
    hyper: int = Field(320, ge=1, description="channels of z, and within the hyperprior")
    residual_blocks: int = Field(9, ge=1, description="N of the paper")
    text_width: int = Field(512, ge=1, description="D of the sentence vector, CLIP's")
    text_hidden: int = Field(512, ge=1, description="SSA-GAN: as wide as the text")
    mask_hidden: int = Field(100, ge=1, description="SSA-GAN's")

    def channels(self, step: int) -> int:
        """Channels at 1/2**step resolution."""
        return self.base << step


class HificEncoder(nn.Sequential):
    """E: (B, 3, H, W) in 0..1 -> y (B, M, H/16, W/16)."""

    def __init__(self, size: HificSize) -> None:
        layers = [conv(3, size.base, 7, stride=1), ChannelNorm(size.base), nn.ReLU()]
        for step in range(1, STEPS + 1):
            before, after = size.channels(step - 1), size.channels(step)
            layers += [conv3x3(before, after, stride=2), ChannelNorm(after), nn.ReLU()]
        super().__init__(*layers, conv3x3(size.channels(STEPS), size.latent))


class Hyperprior(Prior):
    """P: z by an entropy bottleneck; y's means and scales each from a synthesis of their own.

    In training z is noisy where y's distribution is made from it, as HiFiC does; y is rounded around its
    mean for G.
    """

    def __init__(self, size: HificSize) -> None:
        super().__init__(EntropyBottleneck(size.hyper))
        self.analysis = nn.Sequential(
            conv3x3(size.latent, size.hyper),
            nn.ReLU(),
            conv(size.hyper, size.hyper),
            nn.ReLU(),
            conv(size.hyper, size.hyper),
        )
        self.mean = _hyper_synthesis(size)
        self.scale = _hyper_synthesis(size)
        self.gaussian = GaussianConditional(SCALES)

    def forward(self, y: Tensor) -> Coded:
        """``y``: (B, M, h, w) of any h and w."""
        rows, columns = y.shape[-2:]
        z = self.analysis(y)
        z_tilde, z_noisy = self.entropy_bottleneck(z, training=True)
        mean = self.mean(z_tilde)[..., :rows, :columns]
        scale = self.scale(z_tilde)[..., :rows, :columns]
        _, y_noisy = self.gaussian(y, scale, mean, training=True)
        with torch.no_grad():
            _, z_rounded = self.entropy_bottleneck(z, training=False)
            _, y_rounded = self.gaussian(y, scale, mean, training=False)
        y_hat = quantize_ste(y - mean) + mean
        return Coded(y_hat, bits_of(y_noisy, z_noisy), bits_of(y_rounded, z_rounded))


class HificGenerator(Generator):
    """G: y_hat (B, M, h, w) -> (B, 3, 16h, 16w), with an SSA block at the end of each part."""

    def __init__(self, size: HificSize) -> None:
        super().__init__()
        self.parts = nn.ModuleList([Part(HificResidualPart(size), _ssa(size, STEPS))])
        for step in reversed(range(STEPS)):
            channels = size.channels(step)
            layers = nn.Sequential(
                deconv(size.channels(step + 1), channels, 3), ChannelNorm(channels), nn.ReLU()
            )
            self.parts.append(Part(layers, _ssa(size, step)))
        self.tail = conv(size.base, 3, 7, stride=1)

    def masked(self, y_hat: Tensor, words: Conditioning) -> tuple[Tensor, tuple[Tensor, ...]]:
        """The picture, and five masks from 1/16 to full resolution."""
        y, masks = y_hat, []
        for part in self.parts:
            y, mask = part(y, words)
            masks.append(mask)
        return self.tail(y), tuple(masks)


class HificResidualPart(nn.Module):
    """G at 1/16 resolution: a head, residual blocks and a long skip around them."""

    def __init__(self, size: HificSize) -> None:
        super().__init__()
        widest = size.channels(STEPS)
        self.head = nn.Sequential(
            ChannelNorm(size.latent), conv3x3(size.latent, widest), ChannelNorm(widest)
        )
        self.blocks = nn.Sequential(
            *(HificResidualBlock(widest) for _ in range(size.residual_blocks))
        )

    def forward(self, y_hat: Tensor) -> Tensor:
        """(B, M, h, w) -> (B, 960, h, w)."""
        head = self.head(y_hat)
        out: Tensor = head + self.blocks(head)
        return out


class HificResidualBlock(nn.Module):
    """``x + CN(conv3(ReLU(CN(conv3(x)))))``."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            conv3x3(channels, channels),
            ChannelNorm(channels),
            nn.ReLU(),
            conv3x3(channels, channels),
            ChannelNorm(channels),
        )

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C, H, W)."""
        out: Tensor = self.body(x)
        return x + out


def hific_system(size: HificSize | None = None) -> PaperSystem:
    """E, P and G of ``ssa-hific``: 188 M parameters at paper size."""
    size = HificSize() if size is None else size
    return PaperSystem(HificEncoder(size), Hyperprior(size), HificGenerator(size), stride=Y_STRIDE)


def _hyper_synthesis(size: HificSize) -> nn.Sequential:
    return nn.Sequential(
        deconv(size.hyper, size.hyper),
        nn.ReLU(),
        deconv(size.hyper, size.hyper),
        nn.ReLU(),
        conv3x3(size.hyper, size.latent),
    )


def _ssa(size: HificSize, step: int) -> SemanticSpatialBlock:
    return SemanticSpatialBlock(
        size.channels(step), size.text_width, size.text_hidden, size.mask_hidden
    )
