"""Text of any length through a window of fixed length: what is cut how, run together and pooled."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor

from shared.text.tower import TextTower, unit

__all__ = ["CaptionFeatures", "caption_features", "split_evenly"]

#: Most positions, padding included, in one pass of the network.
BATCH_POSITIONS = 8192


@dataclass(frozen=True)
class CaptionFeatures:
    """One caption's (D,) sentence vector and (T, D_t) token vectors.

    Attributes:
        tokens_cut: the caption has more tokens.
    """

    sentence: Tensor
    tokens: Tensor
    tokens_cut: bool

    @property
    def nbytes(self) -> int:
        """Memory of the vectors."""
        return self.sentence.nbytes + self.tokens.nbytes


@dataclass(frozen=True)
class Window:
    """A part of a caption as the network sees it.

    Attributes:
        ids: with special tokens.
        weight: number of tokens that are not special.
        kept: how many of its token vectors are wanted.
    """

    ids: tuple[int, ...]
    weight: int
    kept: int


def split_evenly(ids: Sequence[int], room: int) -> list[Sequence[int]]:
    """Parts of at most ``room`` ids, as few as can be and within one id of equal length.

    Equal parts give a window of two words no vector of its own.
    """
    count = -(-len(ids) // room)
    bounds = [len(ids) * part // count for part in range(count + 1)] if count else []
    return [ids[start:end] for start, end in pairwise(bounds)]


def caption_features(
    tower: TextTower, texts: Sequence[str], most_tokens: int
) -> list[CaptionFeatures | None]:
    """Features of cleaned texts, in order; None for one in which the tokenizer finds no token."""
    plans = [_plan(tower, text, most_tokens) for text in texts]
    outputs = _run(tower, [window for plan in plans for window in plan])
    return [_pool(tower, [(window, *next(outputs)) for window in plan]) for plan in plans]


def _plan(tower: TextTower, text: str, most_tokens: int) -> list[Window]:
    room = tower.window - len(tower.prefix) - len(tower.suffix)
    plan = []
    for part in split_evenly(tower.tokenize(text), room):
        ids = (*tower.prefix, *part, *tower.suffix)
        kept = min(len(ids), most_tokens)
        plan.append(Window(ids, len(part), kept))
        most_tokens -= kept
    return plan


def _run(tower: TextTower, windows: Sequence[Window]) -> Iterator[tuple[Tensor, Tensor]]:
    """(D,) and (kept, D_t) of each window, in order, computed among windows of like length."""
    outputs: dict[int, tuple[Tensor, Tensor]] = {}
    order = sorted(range(len(windows)), key=lambda index: -len(windows[index].ids))
    while order:
        longest = len(windows[order[0]].ids)
        count = max(1, BATCH_POSITIONS // longest)
        batch, order = order[:count], order[count:]
        ids = torch.full((len(batch), longest), tower.pad_id)
        mask = torch.zeros((len(batch), longest), dtype=torch.bool)
        for row, index in enumerate(batch):
            length = len(windows[index].ids)
            ids[row, :length] = torch.tensor(windows[index].ids)
            mask[row, :length] = True
        with torch.inference_mode():
            sentence, tokens = tower.forward(ids.to(tower.device), mask.to(tower.device))
        # Clones, so that the batch can be freed; made outside of inference mode, so that a network
        # that is being trained may take them.
        for row, index in enumerate(batch):
            kept = windows[index].kept
            outputs[index] = (sentence[row].clone(), tokens[row, :kept].clone())
    return (outputs[index] for index in range(len(windows)))


def _pool(
    tower: TextTower, parts: Sequence[tuple[Window, Tensor, Tensor]]
) -> CaptionFeatures | None:
    """Mean of the windows' sentence vectors, weighted by their lengths; their tokens in a row."""
    if not parts:
        return None
    total = sum(window.weight for window, _, _ in parts)
    sentence = torch.stack([vector * (window.weight / total) for window, vector, _ in parts]).sum(0)
    return CaptionFeatures(
        unit(sentence) if tower.normalised else sentence,
        torch.cat([tokens for _, _, tokens in parts]),
        any(window.kept < len(window.ids) for window, _, _ in parts),
    )
