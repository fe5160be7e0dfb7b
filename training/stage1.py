"""Stage 1: the rate-distortion model that trains ``base``.

The forward pass follows Minnen et al. (2018): additive uniform noise where bits are counted, rounding
with straight-through gradients where values are used. CompressAI's entropy bottleneck is the prior of
z; the scale of y comes from :class:`training.scale_branch.ScaleBranch`.

A batch holds every quality level equally often (picture ``i`` has level ``i % levels``), which lets
one entropy bottleneck of ``levels * N`` channels give each level its own prior of z.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from compressai.entropy_models import EntropyBottleneck
from compressai.ops import LowerBound
from torch import Tensor, nn

from shared.entropy.scale_branch import SCALE_LEVELS
from shared.entropy.tables import LOG_STEP, SCALE_MIN
from shared.networks.transforms import HyperpriorSize, TransformSet
from training.gaussian import bin_probability
from training.scale_branch import ScaleBranch, round_ste

__all__ = ["LATENT_LIKELIHOOD_FLOOR", "RateDistortionModel", "RateDistortionOutput", "lambdas"]

LATENT_LIKELIHOOD_FLOOR = 1e-9


def lambdas(lowest: float, highest: float, levels: int) -> Tensor:
    """Geometric ladder of Lagrangian weights on ``255**2 * MSE``, one a quality level."""
    return torch.logspace(math.log10(lowest), math.log10(highest), levels)


@dataclass(frozen=True)
class RateDistortionOutput:
    """``x_hat`` (B,3,H,W) around 0..1; bits of y and z, (B,) each, for the whole crop."""

    x_hat: Tensor
    y_bits: Tensor
    z_bits: Tensor


class RateDistortionModel(nn.Module):
    """Transforms, scale branch and the prior of z, trained together."""

    def __init__(self, size: HyperpriorSize, ladder: Tensor) -> None:
        super().__init__()
        self.size = size
        # High-rate theory for an orthonormal transform: the step that minimises
        # lambda * 255**2 * step**2 / 12 - log2(step) for one coefficient.
        step = torch.sqrt(6 / (math.log(2) * 255**2 * ladder))
        self.transforms = TransformSet(size, -torch.log(step))
        self.scale = ScaleBranch(size)
        self.prior = EntropyBottleneck(size.levels * size.hyper_latent, init_scale=2.0)
        self.prior.quantiles.requires_grad_(False)  # tables are made at export, see training.export
        # Bounds that let a gradient back in: a symbol far outside its scale must still widen it.
        self.likelihood_bound = LowerBound(LATENT_LIKELIHOOD_FLOOR)
        self.index_bound = LowerBound(0.0)

    @torch.no_grad()
    def start_from_patches(self, patches: Tensor) -> None:
        """Begin as a block-transform codec: the linear paths get principal components.

        ``patches``: (n, 3 * 16 * 16) rows in the layout of ``pixel_unshuffle``, around zero. The
        bodies' last layers become zero, so that the networks start as what corrects the blocks.
        """
        _, vectors = torch.linalg.eigh(patches.double().T @ patches.double())
        components = vectors.flip(1)[:, : self.size.latent].float()
        g_a, g_s = self.transforms.g_a, self.transforms.g_s
        g_a.project.weight.copy_(components.T[:, :, None, None])
        g_s.expand.weight.copy_(components[:, :, None, None])
        for last in (g_a.body[-1], g_s.body[-1], self.transforms.h_mu[-1]):
            for parameter in last.parameters():
                nn.init.zeros_(parameter)
        # And with each channel's own scale at each level, so that bits are sensible from the start.
        spread = (patches @ components).std(0) * g_a.gain.log_gain.exp()
        self.scale.start_from(torch.log(spread / SCALE_MIN) / LOG_STEP)

    def forward(self, x: Tensor, quality: Tensor) -> RateDistortionOutput:
        """One training pass: networks in bfloat16, rates counted in float32.

        Args:
            x: (k * levels, 3, H, W) in 0..1, H and W multiples of 64.
            quality: (k * levels,) equal to ``arange(k * levels) % levels``.
        """
        nets = self.transforms
        with torch.autocast(x.device.type, torch.bfloat16):
            y = nets.g_a(x - 0.5, quality).float()
            z = nets.h_a(y, quality).float()
            z_hat = round_ste(z)
            index = self.scale(z_hat, quality).float()
            mu = nets.h_mu(z_hat, quality).float()
        z_bits = self._z_bits(z)
        centred = y - mu
        y_bits = self.y_bits(centred + torch.rand_like(centred) - 0.5, index)
        with torch.autocast(x.device.type, torch.bfloat16):
            x_hat = nets.g_s(round_ste(centred) + mu, quality).float() + 0.5
        return RateDistortionOutput(x_hat, y_bits, z_bits)

    @torch.no_grad()
    def latents(self, x: Tensor, quality: Tensor) -> tuple[Tensor, Tensor]:
        """z and the symbols of y as they would be coded, float32 holding integers."""
        nets = self.transforms
        with torch.autocast(x.device.type, torch.bfloat16):
            y = nets.g_a(x - 0.5, quality).float()
            z_hat = nets.h_a(y, quality).float().round()
            mu = nets.h_mu(z_hat, quality).float()
        return z_hat, (y - mu).round()

    @torch.no_grad()
    def symbols(self, x: Tensor, quality: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """z (B,N,h,w), scale index (B,M,4h,4w) and y's symbols (B,M,4h,4w), as they would be coded."""
        z_hat, symbols = self.latents(x, quality)
        index = self.scale(z_hat, quality).clamp(0, SCALE_LEVELS - 1).round()
        return z_hat, index, symbols * (index > 0)

    def _z_bits(self, z: Tensor) -> Tensor:
        count, levels, n = z.shape[0], self.size.levels, self.size.hyper_latent
        noisy = z + torch.rand_like(z) - 0.5
        # (k*L, N, h, w) -> (L*N, 1, k*h*w): the bottleneck's own layout, a row a channel and level.
        rows = noisy.reshape(count // levels, levels * n, -1).transpose(0, 1)
        likelihood, _, _ = self.prior._likelihood(rows.reshape(levels * n, 1, -1))
        bits = -torch.log2(self.likelihood_bound(likelihood))
        bits = bits.reshape(levels, n, count // levels, -1).sum((1, 3))
        return bits.transpose(0, 1).reshape(count)

    def y_bits(self, values: Tensor, index: Tensor) -> Tensor:
        """Bits a picture, (B,), of centred values (noisy, or real symbols) at continuous indices."""
        bounded = self.index_bound(index).clamp(max=SCALE_LEVELS - 1)
        likelihood = bin_probability(values, bounded)
        bits = -torch.log2(self.likelihood_bound(likelihood))
        return bits.flatten(1).sum(1)
