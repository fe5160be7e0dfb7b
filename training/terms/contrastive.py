"""Symmetric InfoNCE: of all pairs of a batch, picture i and sentence i belong together.

Radford et al., "Learning Transferable Visual Models From Natural Language Supervision" (2021)::

    L = (CE(s * e_i . v_j over j) + CE(s * e_j . v_i over j)) / 2,   s = exp(log_scale)
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional as F

__all__ = ["TEMPERATURE", "contrastive_loss"]

#: Starting temperature and its bound, as CLIP.
TEMPERATURE, COLDEST = 0.07, 0.01


def contrastive_loss(pictures: Tensor, sentences: Tensor, log_scale: Tensor) -> Tensor:
    """Of unit vectors (B, D) each, row i belonging to row i; nats."""
    scale = log_scale.clamp(max=-math.log(COLDEST)).exp()
    logits = scale * pictures @ sentences.T
    target = torch.arange(len(logits), device=logits.device)
    return (F.cross_entropy(logits, target) + F.cross_entropy(logits.T, target)) / 2
