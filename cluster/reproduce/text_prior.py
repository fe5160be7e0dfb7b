"""What the caption's words are worth in the entropy model of ``base``: two ways that are exact, measured.

An integer prior of the words (:mod:`shared.latents.text_prior`), which a stream could not be read without,
and a short int8 vector inside the counted stream. Both are fitted on captioned training pictures by
statistics; the figures are exact code lengths by integer tables, as a rANS coder reaches them within a word.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import chain, islice
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from rich.progress import Progress

from cluster.evaluation.bootstrap import Interval, interval, resampled_means
from cluster.reproduce.evidence import Evidence, Request, feeds
from cluster.reproduce.tables import Cell, Column, Section, TableRow
from shared.codecs import load_encoder
from shared.codecs.halves import LatentEncoder
from shared.entropy.scale_branch import SCALE_LEVELS
from shared.entropy.tables import LOG_STEP, FrozenTables
from shared.errors import SidewireError
from shared.feed import read_feed
from shared.latents.hyperprior import Hyperprior, HyperpriorSymbols
from shared.latents.text_prior import STEPS, TILTS, TextPrior, moved_index, with_tilts
from shared.pictures import picture_from_bytes
from training.text_prior import SaidWords, fit_text_prior, targets_of
from training.text_vector import fit_text_vector

__all__ = ["EVIDENCE"]

STREAM = "base"
TRAIN = "train/flickr8k-224-*.parquet"
#: Levels of the trial where none are chosen: rows of two previews of 64x64, and levels of about 0.03 and
#: 0.08 bpp.
PREVIEWS, LEVELS = (0, 4), (10, 12)
#: Training pictures: previews are made fast.
MANY, FEW = 5000, 1500
#: Captions that a word must be in to count half: the best of these on a tenth of the training pictures.
RIDGES = (100.0, 300.0, 1000.0, 3000.0)
#: Numbers in the vector.
WIDTHS = (1, 2, 4)


@dataclass(frozen=True)
class Captioned:
    """A picture's captions, and what is coded of it."""

    captions: tuple[str, ...]
    symbols: HyperpriorSymbols


def _coded(encoder: LatentEncoder, paths: Sequence[Path], level: int) -> Iterator[Captioned]:
    for row in chain.from_iterable(read_feed(path) for path in paths):
        if row.captions:
            with torch.inference_mode():
                symbols = encoder.symbols(picture_from_bytes(row.image), level)
            assert isinstance(symbols, HyperpriorSymbols)
            yield Captioned(tuple(row.captions), symbols)


class Lengths:
    """Exact code lengths at one row of the ladder, as words move its tables."""

    def __init__(self, latent: Hyperprior, row: int) -> None:
        self.tables, self.channels = latent.coder.tables, latent.size.hyper_latent
        first = SCALE_LEVELS + row * self.channels
        self._tilted: FrozenTables = with_tilts(self.tables, range(first, first + self.channels))

    @cached_property
    def nothing(self) -> NDArray[np.int32]:
        """No moves at all of z's channels."""
        return np.zeros(self.channels, np.int32)

    def z(self, symbols: HyperpriorSymbols, tilts: NDArray[np.int32]) -> float:
        """Bits of z under tilts (N,)."""
        tilt_count = 2 * TILTS + 1
        own = np.arange(self.channels) * tilt_count + tilts + TILTS
        index = np.broadcast_to(own[:, None, None], symbols.z.shape)
        return float(self._tilted.bits(index, symbols.z).sum(dtype=np.float64))

    def y(self, symbols: HyperpriorSymbols, index: NDArray[np.uint8]) -> float:
        """Bits of y by the tables that an index names."""
        bits = self.tables.bits(index, symbols.y)
        return float(bits[index > 0].sum(dtype=np.float64))

    def moved(self, symbols: HyperpriorSymbols, sums: NDArray[np.int32]) -> tuple[float, float]:
        """Bits of z and y under moves (N + M,)."""
        index = moved_index(symbols.index, sums[self.channels :])
        return self.z(symbols, sums[: self.channels]), self.y(symbols, index)

    def plain(self, symbols: HyperpriorSymbols) -> tuple[float, float]:
        """Bits of z and y as the stream has them."""
        return self.z(symbols, self.nothing), self.y(symbols, symbols.index)


def _saved(base: NDArray[np.float64], coded: NDArray[np.float64]) -> Interval:
    """Percent of ``base`` that ``coded`` saves, bits (n,) of the same pictures."""

    def percent(means: NDArray[np.float64]) -> NDArray[np.float64]:
        saved: NDArray[np.float64] = np.subtract(1, means[:, 1] / means[:, 0]) * 100.0
        return saved

    table = np.stack([base, coded], 1)
    value = float(percent(table.mean(0, keepdims=True))[0])
    return interval(value, percent(resampled_means(table)))


@dataclass(frozen=True)
class Level:
    """One level's fit, ready to be measured."""

    lengths: Lengths
    prior: TextPrior
    worth: NDArray[np.float64]
    training: Sequence[Captioned]

    def rows(self, name: str, feed: Sequence[Captioned]) -> Iterator[TableRow]:
        """Figures of a feed: what the stream costs, and what each way saves of it in percent."""
        plain = np.array([self.lengths.plain(one.symbols) for one in feed])
        base = plain.sum(1)

        def told(by: int) -> NDArray[np.float64]:
            texts = [feed[(place + by) % len(feed)].captions[0] for place in range(len(feed))]
            return np.array(
                [
                    self.lengths.moved(one.symbols, self.prior.sums(text))
                    for one, text in zip(feed, texts, strict=True)
                ]
            )

        own, wrong = told(0), told(1)
        cells: list[Cell] = [
            float(base.mean()),
            float(plain[:, 0].mean()),
            _saved(base, own[:, 0] + plain[:, 1]),
            _saved(base, own.sum(1)),
            _saved(base, wrong.sum(1)),
        ]
        for width in WIDTHS:
            texts = [one.captions[0] for one in self.training]
            vector = fit_text_vector(self.prior, texts, self.worth, width)
            said = [vector.of(one.captions[0]) for one in feed]
            coded = [
                sum(self.lengths.moved(one.symbols, vector.sums(v))) + vector.bits(v)
                for one, v in zip(feed, said, strict=True)
            ]
            cells.append(_saved(base, np.array(coded)))
        yield TableRow(f"{name}, {len(feed)} pictures", tuple(cells))


def _fit(lengths: Lengths, training: Sequence[Captioned]) -> Level:
    """The level's prior, its ridge chosen on the last tenth of the pictures."""
    last = max(1, len(training) // 10)
    first, held = training[:-last], training[-last:]
    words = SaidWords([one.captions for one in first])
    targets = [targets_of(one.symbols) for one in first]
    values = np.concatenate([one.symbols.z.reshape(lengths.channels, -1) for one in first], axis=1)
    variance = np.maximum(values.astype(np.float64).var(1), 1 / 12)

    def bits(prior: TextPrior) -> float:
        return sum(sum(lengths.moved(one.symbols, prior.sums(one.captions[0]))) for one in held)

    priors = [fit_text_prior(words, targets, variance, ridge) for ridge in RIDGES]
    coded = np.mean([(one.symbols.index > 0).sum((1, 2)) for one in first], axis=0)
    places = values.shape[1] / len(first)
    worth = np.concatenate([places * variance / STEPS**2, 2 * coded * LOG_STEP**2])
    return Level(lengths, min(priors, key=bits), np.maximum(worth, 1e-9), first)


def text_prior(request: Request, progress: Progress) -> list[Section]:
    """Bits that the caption saves of ``base``'s, by an integer prior and by a vector in the stream."""
    encoder = load_encoder(STREAM)
    assert isinstance(encoder, LatentEncoder)
    assert isinstance(encoder.latent, Hyperprior)
    training = sorted(request.data.glob(TRAIN))
    if not training:
        raise SidewireError(f"{request.data / TRAIN} matches no file: the prior is fitted on it")
    plain = len(encoder.qualities)
    default = (*(plain + row for row in PREVIEWS), *LEVELS)
    levels = default if request.levels == "all" else request.levels
    sections = []
    for level in progress.track(levels, description="levels"):
        row = encoder.terms.ladder[level].row
        limit = MANY if level >= plain else FEW
        fitted = _fit(
            Lengths(encoder.latent, row), list(islice(_coded(encoder, training, level), limit))
        )
        found: list[TableRow] = []
        for name, path in feeds(request).items():
            feed = list(islice(_coded(encoder, [path], level), request.limit))
            found += fitted.rows(name, feed)
        sections.append(_section(level, plain, found))
    return sections


def _section(level: int, plain: int, rows: Sequence[TableRow]) -> Section:
    what = f"previews of row {level - plain}" if level >= plain else f"level {level}"
    ways = ("prior of z", "prior of z and y", "wrong caption")
    saved = (*ways, *(f"vector of {width}" for width in WIDTHS))
    return Section(
        title=f"Bits that the caption saves of {STREAM}'s payload, {what}",
        first="feed",
        columns=(
            Column("payload bits", 1),
            Column("of z", 1),
            *(Column(f"{way} %", 2, signed=True) for way in saved),
        ),
        rows=tuple(rows),
        note="Exact code lengths by integer tables, first captions. Over 0: bits are saved."
        " A vector's own bits are counted.",
    )


EVIDENCE: dict[str, Evidence] = {"text-prior": text_prior}
