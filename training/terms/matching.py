"""The matching term: of all captions of a batch, a decoded picture shows its own.

The posterior of AttnGAN's DAMSM on whole sentences (Xu et al., CVPR 2018), ``L_IT`` of Jiang et al. and
``L_con`` of Lee et al., with the matcher that ships in place of their networks::

    L = w * mean over told pictures i of CE(e_i . v_j / T over captions j, i)
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from shared.networks.matcher import Matcher
from training.terms.adversarial import said
from training.terms.contrastive import TEMPERATURE
from training.terms.step import Step

__all__ = ["Matching", "confusions"]


def confusions(step: Step, matcher: Matcher) -> Tensor:
    """How little each told picture of a batch shows what was told, (B,) nats; 0 for the others."""
    batch = step.batch
    assert batch.captions is not None
    assert batch.text is not None
    logits = step.shown(matcher) @ F.normalize(batch.captions, dim=1).T / TEMPERATURE
    logits = logits.masked_fill(~said(batch.captions), float("-inf"))
    own = logits.logsumexp(1) - logits.diagonal()
    return torch.where(said(batch.text), own, 0)


@dataclass(frozen=True)
class Matching:
    """The mean over the told pictures, times ``weight``."""

    weight: float
    matcher: Matcher

    def __call__(self, step: Step) -> Tensor:
        """A scalar."""
        assert step.batch.text is not None
        told = said(step.batch.text).sum().clamp_min(1)
        return self.weight * confusions(step, self.matcher).sum() / told
