"""What a describer network says: the likeliest sentence that a narrow beam finds."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from shared.networks.describer import BEGIN, END, UNKNOWN, DescriberNetwork, Seen
from shared.telling.tokens import Piece, joined

__all__ = ["sentence_of", "speak"]

#: Sentences that are followed.
BEAM = 3
#: No so many words stand in a sentence twice: small networks like to repeat themselves.
REPEATED = 2


@torch.inference_mode()
def speak(network: DescriberNetwork, seen: Seen) -> list[int]:
    """The words said of one picture, without BEGIN and END; nothing random is in them.

    Args:
        seen: (1, P, C) places and (1, D) sentence vector.
    """
    memory = network.memory(seen)
    open_, done = [(0.0, [BEGIN])], list[tuple[float, list[int]]]()
    for _ in range(network.size.longest):
        words = torch.tensor([row for _, row in open_])
        states = network.states(memory.expand(len(words), -1, -1), words)
        shares = network.logits(states[:, -1]).float().log_softmax(1)
        shares[:, [BEGIN, UNKNOWN]] = -torch.inf
        longer = []
        for (score, row), share in zip(open_, shares, strict=True):
            share[_repeating(row)] = -torch.inf
            best = share.topk(BEAM + 1)
            for value, word in zip(best.values.tolist(), best.indices.tolist(), strict=True):
                longer.append((score + value, [*row, word]))
        longer.sort(key=lambda pair: (-pair[0], pair[1]))
        # Sentences of different length compare by what they cost a word.
        done += [(score / len(row), row) for score, row in longer[:BEAM] if row[-1] == END]
        open_ = [pair for pair in longer if pair[1][-1] != END][:BEAM]
        if len(done) >= BEAM:
            break
    done = done or [(score / len(row), [*row, END]) for score, row in open_]
    best_row = max(done, key=lambda pair: (pair[0], [-word for word in pair[1]]))[1]
    return best_row[1:-1]


def _repeating(row: Sequence[int]) -> list[int]:
    """Words that would end a run of words that the row has already."""
    newest = row[-REPEATED:]
    return [
        row[place + REPEATED]
        for place in range(len(row) - REPEATED)
        if row[place : place + REPEATED] == newest
    ]


def sentence_of(words: Sequence[int], vocabulary: Sequence[str]) -> str:
    """Words by number as a sentence."""
    said = (vocabulary[word - UNKNOWN - 1] for word in words)
    return joined((Piece(word, False, False) for word in said), sentences=True)
