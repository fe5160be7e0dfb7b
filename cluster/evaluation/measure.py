"""Measuring: every picture through every codec at every level, in one process or in several."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from fnmatch import fnmatchcase
from itertools import islice
from multiprocessing import get_context
from pathlib import Path
from typing import Literal, TypeVar

import torch

from cluster.evaluation.rows import Failure, Levels, ResultRow
from shared.codecs import codec_names, get_codec
from shared.errors import QualityError, SidewireError, UnknownCodecError
from shared.feed import read_feed
from shared.metrics import ms_ssim, psnr, ssimulacra2
from shared.pictures import Picture, picture_from_bytes

__all__ = ["NO_TEXT", "chosen_levels", "measured", "tasks_of"]

#: No codec here reads a caption yet.
NO_TEXT = "none"

T = TypeVar("T")


@dataclass(frozen=True)
class Task:
    """One picture through one codec at all its levels: the unit of work of a process."""

    id: str
    picture: Picture
    codec: str
    levels: tuple[int, ...]
    with_ssimulacra2: bool
    timed: bool
    warm_up: bool


def _timed(call: Callable[[], T]) -> tuple[T, float]:
    """A call's result and its wall time in milliseconds."""
    start = time.perf_counter()
    result = call()
    return result, 1000 * (time.perf_counter() - start)


def _measure_level(task: Task, level: int) -> ResultRow:
    codec = get_codec(task.codec)
    encoded, encode_ms = _timed(lambda: codec.encode(task.picture, level))
    decoded, decode_ms = _timed(lambda: codec.decode(encoded.blob).picture)
    return ResultRow(
        id=task.id,
        codec=task.codec,
        quality=level,
        text=NO_TEXT,
        width=encoded.width,
        height=encoded.height,
        bytes=len(encoded.blob),
        bpp=encoded.bits_per_pixel,
        caption_bytes=0,
        caption_bpp=0.0,
        psnr=psnr(task.picture, decoded),
        ms_ssim=ms_ssim(task.picture, decoded),
        ssimulacra2=ssimulacra2(task.picture, decoded) if task.with_ssimulacra2 else None,
        encode_ms=encode_ms if task.timed else None,
        decode_ms=decode_ms if task.timed else None,
    )


def _measure(task: Task | Failure) -> list[ResultRow | Failure]:
    """An outcome for each level; a picture that could not be read passes through."""
    if isinstance(task, Failure):
        return [task]
    if task.warm_up:
        codec = get_codec(task.codec)
        with suppress(Exception):  # what fails here fails again below, and is reported there
            codec.decode(codec.encode(task.picture, task.levels[0]).blob)
    outcomes: list[ResultRow | Failure] = []
    for level in task.levels:
        try:
            outcomes.append(_measure_level(task, level))
        except Exception as error:  # a codec may fail in any way: the others go on
            reason = f"{type(error).__name__}: {error}"
            outcomes.append(Failure(task.id, task.codec, level, reason))
    return outcomes


def chosen_levels(patterns: Sequence[str], qualities: Sequence[int] | Literal["all"]) -> Levels:
    """The levels to measure of every codec that a pattern names; loads the codecs."""
    levels: Levels = {}
    for pattern in patterns:
        names = [name for name in codec_names() if fnmatchcase(name, pattern)]
        if not names:
            raise UnknownCodecError(f"no codec {pattern!r}; known: {', '.join(codec_names())}")
        for name in names:
            own = get_codec(name).qualities
            levels[name] = tuple(q for q in own if qualities == "all" or q in qualities)
            if not levels[name]:
                raise QualityError(f"{name} has none of the qualities {qualities}, but {own}")
    return levels


def tasks_of(
    feed: Path, levels: Levels, ssimulacra2_every: int, limit: int | None, timed: bool
) -> Iterator[Task | Failure]:
    cold = set(levels) if timed else set()
    for index, row in enumerate(islice(read_feed(feed), limit)):
        try:
            picture = picture_from_bytes(row.image)
        except SidewireError as error:
            yield Failure(row.id, None, None, str(error))
            continue
        scored = ssimulacra2_every > 0 and index % ssimulacra2_every == 0
        for name, own in levels.items():
            yield Task(row.id, picture, name, own, scored, timed, warm_up=name in cold)
            cold.discard(name)


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
