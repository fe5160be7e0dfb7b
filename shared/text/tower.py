"""A text tower: the tokenizer and network that a library gives, behind one face."""

from __future__ import annotations

import hashlib
import json
from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from shared.text.cleaning import LONGEST_TEXT_BYTES

__all__ = ["TextTower", "fingerprint", "masked_mean", "unit"]

#: Counts changes to how this package turns text into vectors, for the ids of encoders.
PIPELINE = 1


class TextTower(ABC):
    """A frozen network over windows of tokens. Not safe to share between threads.

    Attributes:
        kind: what sort of model it is; the readable part of an encoder's id.
        network: its parameters, float32, in eval mode.
        settings: of the network, where they differ from its library's defaults; values of JSON.
        device: where it computes.
        sentence_width, token_width: of its outputs.
        window: most tokens in its input, special ones included.
        prefix, suffix: special tokens around each window's text.
        pad_id: fills short windows; its value matters to no output.
        normalised: sentence vectors have unit length.
        languages: primary BCP 47 subtags that it was trained on; empty where not known.
    """

    kind: str
    network: nn.Module
    settings: Mapping[str, Any]
    device: torch.device
    sentence_width: int
    token_width: int
    window: int
    prefix: tuple[int, ...]
    suffix: tuple[int, ...]
    pad_id: int
    normalised: bool
    languages: frozenset[str]

    @abstractmethod
    def vocabulary(self) -> Mapping[str, int]:
        """Ids of tokens."""

    @abstractmethod
    def tokenize(self, text: str) -> list[int]:
        """Token ids of a cleaned text, none of them special."""

    @abstractmethod
    def forward(self, ids: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """Windows to vectors.

        Args:
            ids: (N, L) int64 with L at most ``window``, padded at the end.
            mask: (N, L) bool, True for tokens; at least one in each row.

        Returns:
            Sentence vectors (N, D) and token vectors (N, L, D_t).
        """


def masked_mean(tokens: Tensor, mask: Tensor) -> Tensor:
    """Mean of (N, L, D) over the positions where (N, L) is True."""
    weights = mask.unsqueeze(-1).to(tokens.dtype)
    return (tokens * weights).sum(1) / weights.sum(1)


def unit(vectors: Tensor) -> Tensor:
    """Vectors (..., D) scaled to length 1."""
    return F.normalize(vectors, dim=-1)


def fingerprint(tower: TextTower) -> str:
    """Sixteen hex digits of a SHA-256 over all that decides a tower's vectors, not where it lies."""
    facts = (
        PIPELINE,
        LONGEST_TEXT_BYTES,
        tower.window,
        tower.prefix,
        tower.suffix,
        tower.normalised,
        tower.settings,
        sorted(tower.vocabulary().items()),
    )
    digest = hashlib.sha256(json.dumps(facts, sort_keys=True).encode())
    for name, tensor in sorted(tower.network.state_dict().items()):
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        digest.update(tensor.cpu().contiguous().numpy().data)
    return digest.hexdigest()[:16]
