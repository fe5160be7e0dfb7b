"""What every discriminator is: it sees a picture and what was sent of it, then judges it with a text."""

from __future__ import annotations

import math
from abc import abstractmethod

from torch import Tensor, nn
from torch.nn import functional as F

__all__ = ["Critic", "loud"]


class Critic(nn.Module):
    """D of the adversarial stage: logits, positive for a real picture with its own text.

    What it sees of a picture is worth keeping: two texts are judged on one pass over it.

    Attributes:
        hears: off: D is given zero vectors, the "without D text".
    """

    hears: bool

    @abstractmethod
    def features(self, x: Tensor, y_hat: Tensor) -> Tensor:
        """What D sees of pictures before any text, (B, C, h, w).

        Args:
            x: (B, 3, H, W) in 0..1, H and W multiples of 16.
            y_hat: (B, M, h', w'), what the stream holds of them, at its own resolution.
        """

    @abstractmethod
    def judge(self, features: Tensor, text: Tensor | None = None) -> Tensor:
        """Logits (B, 1, h, w) of features with texts (B, D); None is "no text", a zero vector."""

    def forward(self, x: Tensor, y_hat: Tensor, text: Tensor | None = None) -> Tensor:
        """Logits (B, 1, h, w), one a patch, or one a picture where h and w are 1."""
        return self.judge(self.features(x, y_hat), text)


def loud(text: Tensor) -> Tensor:
    """Sentence vectors (B, D) of unit variance, whatever the encoder's scale; a zero vector stays one.

    One of length 1 would hardly be heard through normalised layers.
    """
    return F.normalize(text) * math.sqrt(text.shape[1])
