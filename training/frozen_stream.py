"""What a receiver holds of training pictures: latents of a frozen stream, made as they are needed."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from shared.codecs.parts import Parts
from shared.networks.precision import coarse
from shared.networks.transforms import Z_STRIDE

__all__ = ["padded", "received"]


def padded(x: Tensor, scale: int) -> Tensor:
    """Pictures (B, 3, H, W) grown to what a level of this scale paints of them, as the codec pads.

    What a generator learns of a picture's edge must be true of every picture: so it learns on whole
    latents.
    """
    height, width = x.shape[2:]
    stride = Z_STRIDE * scale
    return F.pad(x, (0, -width % stride, 0, -height % stride), mode="replicate")


@torch.no_grad()
def received(parts: Parts, x: Tensor, quality: Tensor, scale: int) -> Tensor:
    """y_hat (B, M, h, w) float32 of padded pictures in 0..1 at levels (B,) of one scale.

    The stream's own transforms round as the coder does, and no gradient passes.
    """
    with coarse(x.device):
        y = parts.analyse(parts.copied(x, scale), quality, None)
        y_hat: Tensor = parts.latent.received(y, quality)
    return y_hat
