"""Counted contexts as the tensors of a :class:`shared.telling.context_model.ContextModel`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

import torch
from torch import Tensor

from shared.telling.context_model import as_byte

__all__ = ["Event", "count_contexts"]

#: What one count weighs in the tables: what is left of a single one is their smallest number, 8.
UNIT = 32
#: Taken off each count and given to the shorter context.
DISCOUNT = 0.75
#: Longest row of a context of two symbols or more: sizes are bytes.
LONGEST_ROW = 255

Context = tuple[int, ...]
#: A symbol and those before it, the newest last.
Event = tuple[Context, int]


def count_contexts(
    events: Iterable[Event], lone: Sequence[float], contexts: int, least: Sequence[int]
) -> dict[str, Tensor]:
    """Tables of what was seen.

    Args:
        events: symbols, each behind those before it.
        lone: a count for each symbol by itself, none of them zero.
        contexts: numbers of symbols and of starts together.
        least: how often something must have stood behind a context of 1, 2, ... symbols to have an entry.
    """
    reach = len(least)
    seen: list[dict[Context, Counter[int]]] = [{} for _ in range(reach)]
    for context, symbol in events:
        for length in range(1, min(reach, len(context)) + 1):
            seen[length - 1].setdefault(context[-length:], Counter())[symbol] += 1
    largest = max(lone)
    tensors = {"weights": _bytes([one / largest * (1 << 20) for one in lone])}
    rows: list[Context] = [(symbol,) for symbol in range(contexts)]
    for length in range(1, reach + 1):
        counts = seen[length - 1]
        sizes, symbols, weights, rests = [], [], [], []
        below: list[Context] = []
        for context in rows:
            found = counts.get(context, Counter())
            kept = _kept(found, least[length - 1], length)
            sizes.append(len(kept))
            if not kept:
                continue
            symbols += kept
            weights += [UNIT * (found[symbol] - DISCOUNT) for symbol in kept]
            rests.append(UNIT * (found.total() - sum(found[one] - DISCOUNT for one in kept)))
            below += [(*context, symbol) for symbol in kept]
        tensors |= {
            f"sizes-{length}": torch.tensor(
                sizes, dtype=torch.uint16 if length == 1 else torch.uint8
            ),
            f"symbols-{length}": torch.tensor(symbols, dtype=torch.uint16),
            f"weights-{length}": _bytes(weights),
            f"rests-{length}": _bytes(rests),
        }
        rows = below
    return tensors


def _kept(found: Counter[int], least: int, length: int) -> list[int]:
    often = sorted(found.items(), key=lambda pair: (-pair[1], pair[0]))
    if length > 1:
        often = often[:LONGEST_ROW]
    return sorted(symbol for symbol, count in often if count >= least)


def _bytes(values: Sequence[float]) -> Tensor:
    known = {value: as_byte(value) for value in set(values)}
    return torch.tensor([known[value] for value in values], dtype=torch.uint8)
