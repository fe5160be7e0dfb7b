"""The adversarial game over pictures and words: eq. 4 and 6 of Qin et al.

D is taught three things: a real picture with its own text goes up, a reconstruction with that text goes
down, and a real picture with somebody else's text goes down. From the last part comes the gradient
that makes a generator follow the words. G's loss is the non-saturating one, as HiFiC trains.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from shared.errors import LimitError
from shared.networks.precision import coarse
from training.critic import Critic
from training.run import Learner, Move, Schedule
from training.terms.step import Step, Term, sum_of

__all__ = [
    "Discriminate",
    "DiscriminatorLoss",
    "Fool",
    "adversarial_moves",
    "discriminator_learner",
    "discriminator_loss",
    "frozen",
    "generator_loss",
    "said",
    "three_part_loss",
]


@dataclass(frozen=True)
class DiscriminatorLoss:
    """The parts of eq. 6, each a mean over patches in nats.

    Attributes:
        real: real picture, its own text.
        reconstruction: reconstructed picture, the same text.
        mismatched: real picture, another's text; None for a D that is told no text.
    """

    real: Tensor
    reconstruction: Tensor
    mismatched: Tensor | None

    @property
    def total(self) -> Tensor:
        """What D minimises."""
        total = self.real + self.reconstruction
        return total if self.mismatched is None else total + self.mismatched


def three_part_loss(
    real: Tensor,
    reconstruction: Tensor,
    mismatched: Tensor | None,
    counted: Tensor | None = None,
) -> DiscriminatorLoss:
    """Eq. 6 on logits: ``-log s(real) - log(1 - s(reconstruction)) - log(1 - s(mismatched))``.

    Args:
        real, reconstruction, mismatched: (B, 1, h, w).
        counted: (B,) bool, the mismatched ones that count; None for all.
    """
    third = None
    if mismatched is not None:
        each = F.softplus(mismatched.float()).flatten(1).mean(1)
        weights = torch.ones_like(each) if counted is None else counted.to(each.dtype)
        third = (weights * each).sum() / weights.sum().clamp_min(1)
    return DiscriminatorLoss(
        real=F.softplus(-real.float()).mean(),
        reconstruction=F.softplus(reconstruction.float()).mean(),
        mismatched=third,
    )


def discriminator_loss(
    discriminator: Critic,
    x: Tensor,
    x_hat: Tensor,
    y_hat: Tensor,
    text: Tensor,
    captions: Tensor,
) -> DiscriminatorLoss:
    """D's loss on one batch; no gradient reaches the generator or the encoder.

    The wrong text of a picture is its neighbour's caption, in a batch that was drawn at random. For a D
    without text the third part is left out: with nothing to tell the texts apart it would contradict the
    first. So it is where the neighbour has no caption.

    Args:
        discriminator: D.
        x: (B, 3, H, W) real pictures in 0..1.
        x_hat: (B, 3, H, W) reconstructions of them in 0..1.
        y_hat: (B, M, h, w).
        text: (B, D) what is told of the pictures, zero rows for nothing.
        captions: (B, D) what was said of them, zero rows for pictures without captions.

    Raises:
        LimitError: fewer than two pictures, so that nothing is wrong for any of them.
    """
    y_hat = y_hat.detach()
    features = discriminator.features(torch.cat([x, x_hat.detach()]), torch.cat([y_hat, y_hat]))
    if not discriminator.hears:
        real, reconstruction = discriminator.judge(features).chunk(2)
        return three_part_loss(real, reconstruction, None)
    if len(x) < 2:
        raise LimitError("pictures in a batch with mismatched texts", len(x), 2, least=True)
    wrong = captions.roll(1, 0)
    features = torch.cat([features, features[: len(x)]])
    logits = discriminator.judge(features, torch.cat([text, text, wrong]))
    real, reconstruction, mismatched = logits.chunk(3)
    return three_part_loss(real, reconstruction, mismatched, said(wrong))


def said(text: Tensor) -> Tensor:
    """Which of sentence vectors (B, D) say something, (B,) bool."""
    return text.abs().sum(1) > 0


def generator_loss(discriminator: Critic, x_hat: Tensor, y_hat: Tensor, text: Tensor) -> Tensor:
    """``-log s(D(x_hat, y_hat, text))``, a scalar in nats; shapes as in :func:`discriminator_loss`.

    The gradient reaches ``x_hat`` alone: D's parameters stand still, and y_hat is a condition.
    """
    with frozen(discriminator):
        logits = discriminator(x_hat, y_hat.detach(), text)
    return F.softplus(-logits.float()).mean()


@contextmanager
def frozen(module: nn.Module) -> Iterator[None]:
    """Within, gradients pass through ``module`` and none is kept for its parameters."""
    parameters = [parameter for parameter in module.parameters() if parameter.requires_grad]
    for parameter in parameters:
        parameter.requires_grad_(False)
    try:
        yield
    finally:
        for parameter in parameters:
            parameter.requires_grad_(True)


@dataclass(frozen=True)
class Discriminate:
    """D's loss on a step: eq. 6."""

    discriminator: Critic

    def __call__(self, step: Step) -> Tensor:
        """A scalar."""
        batch, out = step.batch, step.out
        assert batch.captions is not None
        assert batch.text is not None
        with coarse(batch.x.device, cache=False):
            return discriminator_loss(
                self.discriminator, batch.x, out.x_hat, out.y_hat, batch.text, batch.captions
            ).total


@dataclass(frozen=True)
class Fool:
    """G's adversarial term, ``beta * L_adv``."""

    weight: float
    discriminator: Critic

    def __call__(self, step: Step) -> Tensor:
        """A scalar."""
        batch, out = step.batch, step.out
        assert batch.text is not None
        with coarse(batch.x.device, cache=False):
            fooled = generator_loss(self.discriminator, out.x_hat, out.y_hat, batch.text)
        return self.weight * fooled


def discriminator_learner(discriminator: Critic, rate: float) -> Learner:
    """D's side of the game descends by AdamW with short first moments, at ``rate``."""
    parameters = discriminator.parameters()
    return Learner([torch.optim.AdamW(parameters, rate, betas=(0.5, 0.9), weight_decay=0.0)])


def adversarial_moves(
    g: Learner, d: Learner, fool: Fool, terms: Sequence[Term], schedule: Schedule
) -> list[Move[Step]]:
    """A step of the whole objective: D learns eq. 6, then G ``terms`` and its own against it."""
    return [
        Move(d, Discriminate(fool.discriminator), lambda done, steps: 1.0),
        Move(g, sum_of([*terms, fool]), schedule),
    ]
