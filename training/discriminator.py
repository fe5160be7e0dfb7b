"""D: does this picture look real, given what was sent of it, and do the words say what it shows?

HiFiC's patch discriminator (Mentzer et al., "High-Fidelity Generative Image Compression", 2020, and
its published TensorFlow code), told the text as in Qin et al., "Perceptual Image Compression with
Cooperative Cross-Modal Side Information", section 3.1 and fig. 4::

    x (B,3,H,W)            y_hat (B,M,h,w)                  text (B,D)
       | unshuffle u          | conv3 to 12                    | linear to T
       |                      | nearest, to H/u                | replicated over space
       '--------.-------------'                                |
                v                                              |
        convs of stride 2, one of stride 1                     |
                |  features (B,C,h,w)                          |
                '---------------------(concat)-----------------'
                                          v
                                   conv to F, conv to 1 --> logits (B,1,h,w)

Each layer is spectrally normalised, with a leaky ReLU (0.2) after each but the last. The picture's
features are worth keeping: two texts are judged on one pass over the picture.

Our reading of the "feature harmonisation module", which the paper leaves open: text at the coarse end,
one convolution over features and text together before the last one, since a single linear layer could
not tell a match from a mismatch.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Literal

import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.parametrizations import spectral_norm

from training.critic import Critic, loud

__all__ = [
    "DISCRIMINATORS",
    "Discriminator",
    "DiscriminatorSize",
    "medium_discriminator",
    "paper_discriminator",
    "small_discriminator",
]

NEGATIVE_SLOPE = 0.2


class DiscriminatorSize(BaseModel):
    """Widths of a discriminator."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    latent: int = Field(ge=1, description="M, channels of y_hat")
    text_width: int = Field(ge=1, description="D of the sentence vector")
    use_text: bool = Field(True, description="off: D is given zero vectors, the 'without D text'")
    unshuffle: Literal[1, 2, 4] = Field(description="u: the picture is seen at 1/u, unshuffled")
    latent_channels: int = Field(12, ge=1, description="channels that y_hat is brought down to")
    widths: tuple[int, ...] = Field(
        min_length=2, description="channels of the convolutions; the last one keeps the resolution"
    )
    coarse_kernel: Literal[3, 4] = Field(description="kernel of convolutions of stride 1")
    text_channels: int = Field(ge=1, description="T, channels that the text is brought down to")
    fusion: int = Field(ge=1, description="F, channels of the joint layer")


def paper_discriminator(
    latent: int = 220, text_width: int = 512, *, use_text: bool = True
) -> DiscriminatorSize:
    """HiFiC's widths, with 128 channels of text (our reading): 8.1 M parameters."""
    return DiscriminatorSize(
        latent=latent,
        text_width=text_width,
        use_text=use_text,
        unshuffle=1,
        widths=(64, 128, 256, 512),
        coarse_kernel=4,
        text_channels=128,
        fusion=512,
    )


def small_discriminator(
    latent: int = 192, text_width: int = 384, *, use_text: bool = True
) -> DiscriminatorSize:
    """For whole pictures of 256x256 on a CPU: 0.62 M parameters, 0.2 GMAC a picture.

    All at 1/8 and 1/16 resolution, on a picture unshuffled by 4; a logit sees 136 pixels each way.
    """
    return DiscriminatorSize(
        latent=latent,
        text_width=text_width,
        use_text=use_text,
        unshuffle=4,
        widths=(64, 128, 160),
        coarse_kernel=3,
        text_channels=64,
        fusion=96,
    )


def medium_discriminator(
    latent: int = 192, text_width: int = 384, *, use_text: bool = True
) -> DiscriminatorSize:
    """For a GPU: 1.9 M parameters, 0.5 GMAC a picture of 256x256.

    It sees single pixels' pairs: a fixed pattern of a pixel shuffle, to which the small one is nearly blind,
    is a texture to it.
    """
    return DiscriminatorSize(
        latent=latent,
        text_width=text_width,
        use_text=use_text,
        unshuffle=2,
        widths=(64, 128, 192, 256),
        coarse_kernel=3,
        text_channels=128,
        fusion=192,
    )


class Discriminator(Critic):
    """HiFiC's; see the module."""

    def __init__(self, size: DiscriminatorSize) -> None:
        super().__init__()
        self.size, self.hears = size, size.use_text
        self.latent = spectral_norm(nn.Conv2d(size.latent, size.latent_channels, 3, padding=1))
        widths = (3 * size.unshuffle**2 + size.latent_channels, *size.widths)
        self.body = nn.ModuleList(
            spectral_norm(nn.Conv2d(before, after, 4, stride=2, padding=1))
            for before, after in pairwise(widths[:-1])
        )
        kernel = size.coarse_kernel
        self.body.append(_same(widths[-2], widths[-1], kernel))
        self.text = spectral_norm(nn.Linear(size.text_width, size.text_channels))
        self.joint = _same(widths[-1] + size.text_channels, size.fusion, kernel)
        self.last = _same(size.fusion, 1, kernel)

    def features(self, x: Tensor, y_hat: Tensor) -> Tensor:
        """See :meth:`Critic.features`."""
        out = F.pixel_unshuffle(2 * x - 1, self.size.unshuffle)
        latent = F.interpolate(_act(self.latent(y_hat)), size=out.shape[2:], mode="nearest")
        out = torch.cat([out, latent], 1)
        for conv in self.body:
            out = _act(conv(out))
        return out

    def judge(self, features: Tensor, text: Tensor | None = None) -> Tensor:
        """See :meth:`Critic.judge`."""
        if text is None or not self.hears:
            text = features.new_zeros(len(features), self.size.text_width)
        words = _act(self.text(loud(text)))[:, :, None, None].expand(-1, -1, *features.shape[2:])
        joint = _act(self.joint(torch.cat([features, words], 1)))
        logits: Tensor = self.last(joint)
        return logits


def _same(in_channels: int, out_channels: int, kernel: int) -> nn.Module:
    """A normalised convolution that keeps the resolution; an even kernel reaches one further on."""
    if kernel % 2:
        return spectral_norm(nn.Conv2d(in_channels, out_channels, kernel, padding=kernel // 2))
    before, after = (kernel - 1) // 2, kernel // 2
    conv = spectral_norm(nn.Conv2d(in_channels, out_channels, kernel))
    return nn.Sequential(nn.ZeroPad2d((before, after, before, after)), conv)


def _act(x: Tensor) -> Tensor:
    return F.leaky_relu(x, NEGATIVE_SLOPE)


#: Sizes by name.
DISCRIMINATORS = {
    "small": small_discriminator,
    "medium": medium_discriminator,
    "paper": paper_discriminator,
}
