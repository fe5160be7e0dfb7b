"""What a describer says of held out pictures, measured against what people say."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from shared import bundle
from shared.networks.describer import BEGIN, UNKNOWN, DescriberNetwork
from shared.telling.speaking import sentence_of, speak
from shared.telling.tokens import pieces
from shared.text.registry import get_text_encoder
from training.described import Described

__all__ = ["nats_a_word", "said_of"]

CONSTANT = "A photograph."
CHUNK = 32


@torch.inference_mode()
def nats_a_word(network: DescriberNetwork, data: Described) -> float:
    """Mean cross-entropy of the next word of people's captions, without words that it does not know."""
    network.eval()
    total, count = 0.0, 0
    captions = data.words.shape[1]
    for start in range(0, data.words.shape[0], CHUNK):
        own = slice(start, start + CHUNK)
        seen = data.places[own].float(), data.sentences[own].float()
        words = data.words[own].flatten(0, 1)
        memory = network.memory(seen).repeat_interleave(captions, 0)
        due = words[:, 1:]
        told = (due != BEGIN) & (due != UNKNOWN)
        logits = network.logits(network.states(memory, words[:, :-1])[told])
        total += float(F.cross_entropy(logits, due[told], reduction="sum"))
        count += int(told.sum())
    return total / count


def said_of(
    network: DescriberNetwork,
    data: Described,
    captions: Sequence[Sequence[str]],
    vocabulary: Sequence[str],
    text_encoder: str,
) -> bundle.Described:
    """What it says of each picture, against the five captions of people."""
    network.eval()
    said = []
    for index in range(len(captions)):
        own = slice(index, index + 1)
        seen = data.places[own].float(), data.sentences[own].float()
        said.append(sentence_of(speak(network, seen), vocabulary))
    others = [*said[1:], said[0]]
    people = [(own[0], own[1:]) for own in captions]
    places = _Places(text_encoder)

    def cosine(texts: Sequence[str], against: Sequence[Sequence[str]]) -> float:
        pairs = zip(texts, against, strict=True)
        found = [places.of([text]) @ places.of(own).T for text, own in pairs]
        return round(float(torch.cat(found, 1).mean()), 4)

    def overlap(texts: Sequence[str], against: Sequence[Sequence[str]]) -> float:
        pairs = zip(texts, against, strict=True)
        found = [_f1(text, one) for text, own in pairs for one in own]
        return round(sum(found) / len(found), 4)

    one, rest = zip(*people, strict=True)
    return bundle.Described(
        pictures=len(captions),
        nats=round(nats_a_word(network, data), 4),
        cosine=cosine(said, rest),
        cosine_people=cosine(one, rest),
        cosine_constant=cosine([CONSTANT] * len(said), rest),
        cosine_mismatched=cosine(others, rest),
        overlap=overlap(said, rest),
        overlap_people=overlap(one, rest),
        overlap_mismatched=overlap(others, rest),
    )


class _Places:
    """Sentence vectors of unit length."""

    def __init__(self, text_encoder: str) -> None:
        self._encoder = get_text_encoder(text_encoder)

    def of(self, texts: Sequence[str]) -> Tensor:
        return F.normalize(self._encoder.encode(texts).sentence.float(), dim=1)


def _f1(text: str, other: str) -> float:
    a, b = (Counter(piece.bare for piece in pieces(one, sentences=True)) for one in (text, other))
    shared = (a & b).total()
    return 2 * shared / max(1, a.total() + b.total())
