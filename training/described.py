"""Captioned pictures as a describer learns from them: what a frozen matcher sees, and words by number."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from shared.networks.describer import BEGIN, END, UNKNOWN, seen_by
from shared.networks.matcher import Matcher
from shared.networks.precision import CPU, coarse
from shared.telling.telling import DESCRIPTION, clipped_text
from shared.telling.tokens import pieces
from training.captioned import CAPTIONS, captioned_rows, repeated
from training.contrast import squares
from training.data import decoded, matching
from training.phrases import written_as_usual

__all__ = ["Captioned", "DescribedPictures", "vocabulary_of"]

#: Pictures that the matcher sees at a time.
CHUNK = 128


@dataclass(frozen=True)
class Captioned:
    """Pictures and their captions.

    Attributes:
        squares: (N, 3, side, side) uint8.
        captions: five of each picture, punctuation close to its words.
        digest: hash over pictures and captions, as files hold them.
    """

    squares: Tensor
    captions: list[list[str]]
    digest: str

    @classmethod
    def load(
        cls, folder: Path, pattern: str, side: int, workers: int, most: int | None = None
    ) -> Captioned:
        """Read the captioned pictures of the Parquet files that match, squashed.

        Args:
            most: of the pictures of each file; None for all.

        Raises:
            FileNotFoundError: the pattern matches no file.
        """
        digest = hashlib.sha256()
        small: list[Tensor] = []
        captions: list[list[str]] = []
        for path in matching(folder, pattern):
            rows = captioned_rows(path, "image")[:most]
            for row in rows:
                digest.update(row["image"])
                digest.update("\n".join(row["captions"]).encode())
                own = map(written_as_usual, repeated(row["captions"]))
                captions.append([clipped_text(one, DESCRIPTION) for one in own])
            for picture in decoded([row["image"] for row in rows], workers):
                x = torch.from_numpy(picture.copy()).permute(2, 0, 1)[None]
                small.append(squares(x, side))
        return cls(torch.cat(small), captions, digest.hexdigest()[:16])


def _words(caption: str) -> list[str]:
    return [piece.bare for piece in pieces(caption, sentences=True)]


def vocabulary_of(captions: Sequence[str], least: int) -> list[str]:
    """Words that stand in them at least so often, the most frequent first."""
    times = Counter(word for caption in captions for word in _words(caption))
    return sorted(
        (word for word, count in times.items() if count >= least),
        key=lambda word: (-times[word], word),
    )


@dataclass(frozen=True)
class DescribedPictures:
    """What a step draws from.

    Attributes:
        places, sentences: (N, P, C) and (N, D) float16.
        words: (N, 5, longest + 1) int64: BEGIN, the words, END, and zeros (BEGIN) behind it.
    """

    places: Tensor
    sentences: Tensor
    words: Tensor

    @classmethod
    @torch.inference_mode()
    def of(
        cls,
        captioned: Captioned,
        matcher: Matcher,
        vocabulary: Sequence[str],
        longest: int,
    ) -> DescribedPictures:
        """Pictures seen once, and captions of at most ``longest`` words with their end."""
        numbers = {word: UNKNOWN + 1 + index for index, word in enumerate(vocabulary)}
        words = torch.zeros(len(captioned.captions), CAPTIONS, longest + 1, dtype=torch.int64)
        for index, own in enumerate(captioned.captions):
            for which, caption in enumerate(own):
                said = [numbers.get(word, UNKNOWN) for word in _words(caption)][: longest - 1]
                row = torch.tensor([BEGIN, *said, END])
                words[index, which, : len(row)] = row
        x = captioned.squares
        with coarse(CPU):
            found = [
                seen_by(matcher, x[start : start + CHUNK].float().div(255))
                for start in range(0, len(x), CHUNK)
            ]
        places, sentences = (torch.cat(part).half() for part in zip(*found, strict=True))
        # Out of inference mode: a step's graph may hold them.
        return cls(places.clone(), sentences.clone(), words)
