"""Measuring: every picture through every codec at every level, in one process or in several."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import partial
from itertools import islice
from multiprocessing import get_context
from pathlib import Path
from statistics import fmean
from typing import Literal, TypeVar

import torch

from cluster.evaluation.entries import CodecEntry, open_codec
from cluster.evaluation.examiner import Examiner, Measures
from cluster.evaluation.rows import Failure, Levels, ResultRow
from cluster.evaluation.texts import TextMode, Told, borrowed_from, told_in
from shared.codecs import Codec, TextPlacement, codec_names, encode, get_codec
from shared.codecs.halves import LatentEncoder
from shared.errors import QualityError, SidewireError, UnknownCodecError
from shared.feed import CAPTION_COLUMNS, read_feed
from shared.pictures import Picture, picture_from_bytes

__all__ = [
    "Task",
    "chosen_levels",
    "codecs_named",
    "entries_of",
    "measured",
    "tasks_of",
    "texts_of",
]

T = TypeVar("T")


@dataclass(frozen=True)
class Task:
    """One picture through one codec at all its levels: the unit of work of a process."""

    id: str
    picture: Picture
    captions: tuple[str, ...]
    codec: CodecEntry
    levels: tuple[int, ...]
    told: tuple[Told, ...]
    measures: Measures
    timed: bool
    warm_up: bool


def _timed(call: Callable[[], T]) -> tuple[T, float]:
    """A call's result and its wall time in milliseconds."""
    start = time.perf_counter()
    result = call()
    return result, 1000 * (time.perf_counter() - start)


def _measure_level(task: Task, level: int, examiner: Examiner) -> list[ResultRow]:
    """One encoding, and a decoding for everything that is told; an encoder that reads it does so anew."""
    codec = open_codec(task.codec)
    rows = []
    encoder = codec.encoder
    # Preview levels stand behind the plain ones: they are no codec's choice but an evaluation's.
    at = encoder.encode_at if isinstance(encoder, LatentEncoder) else codec.encode
    encoded, encode_ms = _timed(lambda: at(task.picture, level))
    for told in task.told:
        caption = told.caption
        if codec.text.at_encoder:
            call = partial(encode, codec.encoder, task.picture, level, caption)
            encoded, encode_ms = _timed(call)
        decoded, decode_ms = _timed(partial(codec.decode, encoded.blob, caption))
        scores = examiner.scores(decoded.picture, task.captions)
        judged = [scores.judge[place] for place in told.judged] if scores.judge else []
        # What an encoder alone is told does not travel.
        caption_bytes = len((caption or "").encode()) if codec.text.at_decoder else 0
        rows.append(
            ResultRow(
                id=task.id,
                codec=task.codec.label,
                quality=level,
                text=told.label,
                width=encoded.width,
                height=encoded.height,
                bytes=encoded.counted,
                bpp=encoded.bits_per_pixel,
                caption_bytes=caption_bytes,
                caption_bpp=8 * caption_bytes / (encoded.width * encoded.height),
                psnr=scores.psnr,
                ms_ssim=scores.ms_ssim,
                ssimulacra2=scores.ssimulacra2,
                feature_distance=scores.feature_distance,
                judge=fmean(judged) if judged else None,
                judge_scores=scores.judge,
                trust=decoded.trust,
                encode_ms=encode_ms if task.timed else None,
                decode_ms=decode_ms if task.timed else None,
            )
        )
    return rows


def _measure(task: Task | Failure) -> list[ResultRow | Failure]:
    """An outcome for each level and text; a picture that could not be read passes through."""
    if isinstance(task, Failure):
        return [task]
    if task.warm_up:
        codec = open_codec(task.codec)
        with suppress(Exception):  # what fails here fails again below, and is reported there
            caption = task.told[-1].caption
            blob = encode(codec.encoder, task.picture, task.levels[0], caption).blob
            codec.decode(blob, caption)
    examiner = Examiner(task.picture, task.measures)
    outcomes: list[ResultRow | Failure] = []
    for level in task.levels:
        try:
            outcomes.extend(_measure_level(task, level, examiner))
        except Exception as error:  # a codec may fail in any way: the others go on
            reason = f"{type(error).__name__}: {error}"
            outcomes.append(Failure(task.id, task.codec.label, level, reason))
    return outcomes


def codecs_named(patterns: Sequence[str]) -> tuple[str, ...]:
    """Every codec that a pattern names, each once.

    Raises:
        UnknownCodecError: a pattern names none.
    """
    found: list[str] = []
    for pattern in patterns:
        names = [name for name in codec_names() if fnmatchcase(name, pattern)]
        if not names:
            raise UnknownCodecError(f"no codec {pattern!r}; known: {', '.join(codec_names())}")
        found += names
    return tuple(dict.fromkeys(found))


def chosen_levels(patterns: Sequence[str], qualities: Sequence[int] | Literal["all"]) -> Levels:
    """The levels to measure of every codec that a pattern names; loads the codecs.

    Raises:
        UnknownCodecError: a pattern names none. QualityError: a codec has none of the qualities.
    """
    levels: Levels = {}
    for name in codecs_named(patterns):
        own = get_codec(name).qualities
        levels[name] = tuple(q for q in own if qualities == "all" or q in qualities)
        if not levels[name]:
            raise QualityError(f"{name} has none of the qualities {qualities}, but {own}")
    return levels


def entries_of(levels: Levels) -> dict[CodecEntry, tuple[int, ...]]:
    """Registered codecs as they are measured."""
    return {CodecEntry(name, name): own for name, own in levels.items()}


def texts_of(feed: Path, modes: Sequence[TextMode], limit: int | None) -> list[tuple[Told, ...]]:
    """What is told of each picture of a feed.

    Raises:
        FeedError: it cannot be read. TextModeError: wrong captions cannot be had from it.
    """
    captions = [row.captions for row in islice(read_feed(feed, CAPTION_COLUMNS), limit)]
    wanted = TextMode.MISMATCHED in modes
    lenders = borrowed_from(captions) if wanted else [None] * len(captions)
    return [
        told_in(modes, own, None if lender is None else captions[lender][0])
        for own, lender in zip(captions, lenders, strict=True)
    ]


def _told_to(codec: Codec, told: tuple[Told, ...]) -> tuple[Told, ...]:
    """A codec that reads no text is measured once, by what it is judged by untold."""
    if codec.text is not TextPlacement.NOWHERE:
        return told
    return (Told(TextMode.NONE, None, told[0].judged if told else ()),)


def tasks_of(
    feed: Path,
    levels: Mapping[CodecEntry, tuple[int, ...]],
    texts: Sequence[tuple[Told, ...]],
    ssimulacra2_every: int,
    *,
    matching: bool,
    timed: bool,
) -> Iterator[Task | Failure]:
    """Everything to measure, in the feed's order; as many pictures as there are ``texts``."""
    cold = set(levels) if timed else set()
    for index, (row, told) in enumerate(zip(read_feed(feed), texts, strict=False)):
        try:
            picture = picture_from_bytes(row.image)
        except SidewireError as error:
            yield Failure(row.id, None, None, str(error))
            continue
        scored = ssimulacra2_every > 0 and index % ssimulacra2_every == 0
        measures = Measures(ssimulacra2=scored, matching=matching)
        for entry, own in levels.items():
            yield Task(
                id=row.id,
                picture=picture,
                captions=row.captions,
                codec=entry,
                levels=own,
                told=_told_to(open_codec(entry), told),
                measures=measures,
                timed=timed,
                warm_up=entry in cold,
            )
            cold.discard(entry)


def measured(tasks: Iterable[Task | Failure], jobs: int) -> Iterator[list[ResultRow | Failure]]:
    """Measure tasks in order, here or in ``jobs`` processes with a few tasks in flight."""
    if jobs == 1:
        yield from map(_measure, tasks)
        return
    # A fork would copy torch's threads and locks in any state; one thread a process, or the
    # processes fight over the cores.
    with ProcessPoolExecutor(jobs, get_context("spawn"), torch.set_num_threads, (1,)) as pool:
        flying: deque[Future[list[ResultRow | Failure]]] = deque()
        for task in tasks:
            flying.append(pool.submit(_measure, task))
            if len(flying) > 2 * jobs:
                yield flying.popleft().result()
        while flying:
            yield flying.popleft().result()
