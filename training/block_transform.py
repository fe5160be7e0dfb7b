"""Transforms that begin as a block-transform codec, which the networks then learn to correct."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from shared.codecs.parts import Parts
from shared.latents.hyperprior import Hyperprior
from shared.networks.transforms import Y_STRIDE, Analysis, Synthesis
from training.examples import Examples

__all__ = ["start_as_block_transform"]

#: Pictures whose patches start the linear paths, drawn as an impossible step's; fewer of large ones, as more
#: patches than these say no more of 768 components.
PICTURES, PATCHES, STEP = 1000, 64_000, 2**40


@torch.no_grad()
def start_as_block_transform(
    parts: Parts, ladder: Tensor, examples: Examples, seed: int, side: int
) -> Tensor:
    """Give the linear paths the principal components of 16x16 patches, and the networks silence.

    The bodies' last layers become zero; each level's gain is the step that suits its weight in ``ladder``
    (levels,).

    Args:
        side: of the crops that patches are taken from, in pixels.

    Returns:
        (levels, M) standard deviations that y begins with, which a scale branch can begin with, too.
    """
    g_a, g_s, latent = parts.g_a, parts.g_s, parts.latent
    assert isinstance(latent, Hyperprior)
    assert isinstance(g_a, Analysis)
    assert isinstance(g_s, Synthesis)
    height, width = examples.batch(seed, STEP, 1, side).x.shape[2:]
    enough = -(-PATCHES // ((height // Y_STRIDE) * (width // Y_STRIDE)))
    x = examples.batch(seed, STEP, min(PICTURES, enough), side).x
    x = x[..., : x.shape[2] // Y_STRIDE * Y_STRIDE, : x.shape[3] // Y_STRIDE * Y_STRIDE]
    patches = F.pixel_unshuffle(x - 0.5, Y_STRIDE).permute(0, 2, 3, 1).flatten(0, 2)
    _, vectors = torch.linalg.eigh(patches.double().T @ patches.double())
    components = vectors.flip(1)[:, : latent.size.latent].float()
    g_a.project.weight.copy_(components.T[:, :, None, None])
    g_s.expand.weight.copy_(components[:, :, None, None])
    silent = [g_a.body[-1], g_s.body[-1], latent.h_mu[-1]]
    if latent.context is not None:
        silent += latent.context.exit
    for last in silent:
        for parameter in last.parameters():
            nn.init.zeros_(parameter)
    # High-rate theory for an orthonormal transform: the step that minimises
    # lambda * 255**2 * step**2 / 12 - log2(step) for one coefficient.
    step = torch.sqrt(6 / (math.log(2) * 255**2 * ladder))
    g_a.gain.log_gain.copy_(-torch.log(step)[:, None])
    g_s.gain.log_gain.copy_(torch.log(step)[:, None])
    if latent.context is not None:
        latent.context.entry_gain.log_gain.copy_(torch.log(step)[:, None])
        latent.context.exit_gain.log_gain.copy_(-torch.log(step)[:, None])
    spread: Tensor = (patches @ components).std(0).cpu() * g_a.gain.log_gain.exp()
    return spread
