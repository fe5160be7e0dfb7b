"""Nearness in meaning: TACO's joint image-text loss, in its two parts.

Lee et al.: ``L_j(x, x_hat, c) = L_con(f_I(x_hat), f_T(c)) + beta * |f_I(x) - f_I(x_hat)|_2``, with CLIP's
encoders. The first part is :mod:`training.terms.matching`, the second is here. The matcher that ships stands
in for CLIP's image encoder, the sentence encoder for its text encoder.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from shared.networks.precision import coarse
from training.terms.step import Step

__all__ = ["TINY", "embedding_distances"]

#: Guards the square root of two equal embeddings.
TINY = 1e-6


def embedding_distances(step: Step, matcher: Callable[[Tensor], Tensor]) -> Tensor:
    """``|f_I(x) - f_I(x_hat)|_2`` of each picture, (B,)."""
    with coarse(step.batch.x.device), torch.no_grad():
        meant = matcher(step.batch.x)
    distance: Tensor = ((meant - step.shown(matcher)).square().sum(1) + TINY).sqrt()
    return distance
