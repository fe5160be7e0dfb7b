"""Discriminators by name."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from training.critic import Critic
from training.discriminator import DISCRIMINATORS, Discriminator

__all__ = ["CriticName", "critic_of"]

CriticName = Literal["small", "medium", "paper", "resnet50"]


def critic_of(
    name: CriticName, latent: int, text_width: int, *, hears: bool, weights: Path | None = None
) -> Critic:
    """A discriminator before it learns.

    Args:
        latent: M, channels of y_hat.
        text_width: D of the sentence vector.
        hears: it is told the texts.
        weights: file that ``resnet50`` begins with; the others begin at random.

    Raises:
        BundleError: the file cannot be used. SidewireError: torchvision is not here.
    """
    if name == "resnet50":
        from training.resnet_discriminator import ResNetDiscriminator  # noqa: PLC0415

        return ResNetDiscriminator(text_width, hears=hears, weights=weights)
    return Discriminator(DISCRIMINATORS[name](latent, text_width, use_text=hears))
