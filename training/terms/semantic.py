"""The multimodal semantic-consistent loss of TGIC: ``L_M = L_IT + L_II``.

Jiang et al., eq. 1 and 2, after AttnGAN's DAMSM (Xu et al., CVPR 2018)::

    L_IT = -(log P(t | f_I(x_hat)) + log P(f_I(x_hat) | t))      over the captions and pictures of a batch
    L_II = beta * |f_I(x_hat) - f_I(x)|_2

f_I is any network that places pictures in sentence space: the reproduction's transformer
(:mod:`shared.networks.patches`), or the matcher that ships. The text's features are the sentence encoder's,
in whose space f_I has learnt.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional as F

from training.terms.adversarial import said
from training.terms.contrastive import TEMPERATURE
from training.terms.image_text import embedding_distances
from training.terms.step import Step

__all__ = ["BETA", "mismatches", "semantic_loss"]

#: The paper states no beta. Two unit vectors are 1.4 apart where they have nothing in common, and L_IT is
#: some nats for two directions: so both parts weigh about the same.
BETA = 4.0


def mismatches(step: Step, encoder: Callable[[Tensor], Tensor]) -> Tensor:
    """L_IT of each picture, (B,) nats; 0 for pictures that nothing is told of.

    Only what is told counts, and what says nothing is no rival.
    """
    batch = step.batch
    assert batch.captions is not None
    assert batch.text is not None
    spoken = said(batch.captions)
    logits = step.shown(encoder) @ F.normalize(batch.captions, dim=1).T / TEMPERATURE
    own = logits.diagonal()
    caption = logits.masked_fill(~spoken, float("-inf")).logsumexp(1) - own
    picture = logits.logsumexp(0) - own
    return torch.where(said(batch.text) & spoken, caption + picture, 0)


def semantic_loss(step: Step, encoder: Callable[[Tensor], Tensor]) -> Tensor:
    """L_M of each picture, (B,)."""
    return mismatches(step, encoder) + BETA * embedding_distances(step, encoder)
