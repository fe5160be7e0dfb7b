"""Bundles of describers: ``weights/describer``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from shared.bundle import DescriberManifest, read_bundle, save_bundle
from shared.errors import BundleError
from shared.networks.describer import DescriberNetwork

__all__ = ["DESCRIBER", "DescriberParts", "load_describer", "save_describer"]

#: The shipped bundle.
DESCRIBER = "describer"


@dataclass(frozen=True)
class DescriberParts:
    """What a describer is made of.

    Attributes:
        network: in eval mode, without gradient.
        vocabulary: the words that it says, by number behind those that are none.
        nouns: what can be an item.
        manifest: what the bundle says.
    """

    network: DescriberNetwork
    vocabulary: tuple[str, ...]
    nouns: frozenset[str]
    manifest: DescriberManifest


def save_describer(
    folder: Path,
    manifest: DescriberManifest,
    network: dict[str, Tensor],
    vocabulary: Sequence[str],
    nouns: Sequence[str],
) -> DescriberManifest:
    """Write a bundle, weights in int8; returns the manifest with the hash of what was written."""
    tensors = {f"network.{name}": tensor for name, tensor in network.items()}
    tensors["text.vocabulary"], tensors["text.nouns"] = _lines(vocabulary), _lines(nouns)
    return save_bundle(folder, manifest, tensors)


def load_describer(folder: Path) -> DescriberParts:
    """The parts of a describer.

    Raises:
        BundleError: missing, damaged, or of another format or kind.
    """
    bundle = read_bundle(folder)
    if not isinstance(bundle.manifest, DescriberManifest):
        raise BundleError(f"bundle {folder} holds no describer")
    network = DescriberNetwork(bundle.manifest.size)
    texts = bundle.section("text")
    try:
        network.load_state_dict(bundle.section("network"))
        vocabulary, nouns = (_of_lines(texts[name]) for name in ("vocabulary", "nouns"))
    except (RuntimeError, KeyError, UnicodeDecodeError) as error:
        raise BundleError(f"bundle {folder}: {error}") from None
    network.requires_grad_(False).eval()
    return DescriberParts(network, vocabulary, frozenset(nouns), bundle.manifest)


def _lines(words: Sequence[str]) -> Tensor:
    return torch.frombuffer(bytearray("\n".join(words).encode()), dtype=torch.uint8)


def _of_lines(octets: Tensor) -> tuple[str, ...]:
    return tuple(octets.numpy().tobytes().decode().split("\n"))
