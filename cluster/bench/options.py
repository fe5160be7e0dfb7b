"""What ``sidewire bench`` is told."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, Self

from cluster.bench.arrivals import ClosedLoop, Load
from shared.errors import SidewireError

__all__ = ["BenchError", "BenchOptions", "CaptionLoad", "Size", "Slo", "counts"]


class BenchError(SidewireError):
    """A benchmark's options contradict each other, or cannot be read."""


@dataclass(frozen=True, slots=True)
class Size:
    """Of synthetic pictures, in pixels."""

    width: int
    height: int

    @classmethod
    def parse(cls, text: str) -> Self:
        """Such as ``768x512``.

        Raises:
            BenchError: it is no size.
        """
        found = re.fullmatch(r"([1-9]\d{0,3})x([1-9]\d{0,3})", text)
        if found is None:
            raise BenchError(f"size is {text!r}, must be WIDTHxHEIGHT such as 768x512")
        return cls(int(found[1]), int(found[2]))


@dataclass(frozen=True, slots=True)
class Slo:
    """What counts as good service.

    Attributes:
        e2e_ms: from the intended time to the ack, at most.
        text_rate: share of pictures that are decoded with their caption, at least.
    """

    e2e_ms: float = math.inf
    text_rate: float = 0.0

    @classmethod
    def parse(cls, text: str) -> Self:
        """Such as ``e2e_ms=500,text_rate=0.9``; either may be left out.

        Raises:
            BenchError: a name or a value is wrong.
        """
        values: dict[str, float] = {}
        for part in filter(None, text.split(",")):
            name, _, value = part.partition("=")
            try:
                values[name] = float(value)
            except ValueError:
                raise BenchError(f"slo: {part!r} must be NAME=NUMBER") from None
        if unknown := set(values) - {"e2e_ms", "text_rate"}:
            raise BenchError(f"slo: {min(unknown)!r} is neither e2e_ms nor text_rate")
        slo = cls(**values)
        if not slo.e2e_ms > 0:
            raise BenchError(f"slo: e2e_ms is {slo.e2e_ms:g}, must be above 0")
        if not 0 <= slo.text_rate <= 1:
            raise BenchError(f"slo: text_rate is {slo.text_rate:g}, must be within 0 and 1")
        return slo


@dataclass(frozen=True, slots=True)
class CaptionLoad:
    """What captions meet.

    Attributes:
        delay: seconds that they are behind the pictures of an open loop. In a closed loop all of them leave
            so long after the start.
        loss: share that is never sent.
        wait: seconds that a picture waits for its caption.
    """

    delay: float = 0.0
    loss: float = 0.0
    wait: float = 2.0


@dataclass(frozen=True)
class BenchOptions:
    """One run.

    Attributes:
        out: folder of the report.
        feed: None for synthetic pictures of ``size``.
        codec: of the senders; ``sealed`` for a feed of containers.
        generator: what decodes streams that several can.
        quality: None for the codec's own default.
        senders: load senders, each with its own stream.
        sender_kind: processes of this machine, or Ray actors on the nodes of the decoders' cluster, which
            reach the gateway over its network, in plaintext.
        encoders: encoding processes of each sender; None for its share of the cores, of this machine or
            of the cluster.
        decoders: numbers of decoders, measured one after the other.
        batch: pictures in a decoder's batch, at most.
        ray_address: of a cluster that runs; empty for one that lives as long as the run.
        captions: None to send no captions.
        frames: pictures of each sender in a repeat that count, at least: the feed is sent whole.
        warmup: pictures of each sender before those, which do not count. A whole feed goes before the
            first repeat, too, so that none has the costs of a first time.
        least_repeats, most_repeats: how often it is measured.
        width: stop when the 95 % interval of frames/s is no wider than this share of it.
        references: measure the bare loop and CompressAI too.
        baseline: folder of an earlier run's report to compare with.
    """

    out: Path
    feed: Path | None = None
    size: Size = Size(768, 512)
    codec: str = "base"
    generator: str = "ssa"
    quality: int | None = None
    senders: int = 1
    sender_kind: Literal["processes", "ray"] = "processes"
    encoders: int | None = None
    decoder: Literal["processes", "ray", "benchmark-noop"] = "processes"
    decoders: tuple[int, ...] = (1,)
    batch: int = 8
    ray_address: str = ""
    load: Load = field(default_factory=lambda: ClosedLoop(16))
    captions: CaptionLoad | None = field(default_factory=CaptionLoad)
    sink: Literal["folder", "none"] = "folder"
    frames: int = 200
    warmup: int = 20
    least_repeats: int = 3
    most_repeats: int = 10
    width: float = 0.05
    slo: Slo = Slo()
    references: bool = True
    baseline: Path | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        if self.sender_kind == "ray" and self.decoder != "ray":
            raise BenchError(
                f"decoder is {self.decoder}, must be ray where senders are: they share its cluster"
            )
        at_once = self.load.under_way if isinstance(self.load, ClosedLoop) else 0
        if self.warmup < at_once:
            raise BenchError(
                f"warmup is {self.warmup}, must be at least {at_once}: so many are sent at once, at first"
            )
        least = max(2, 2 * at_once)
        if self.frames < least:
            raise BenchError(
                f"frames is {self.frames}, must be at least {least}: fewer show no rate"
            )


def counts(text: str) -> tuple[int, ...]:
    """Whole numbers with commas, rising, such as ``1,2,4``.

    Raises:
        BenchError: they are not.
    """
    try:
        found = tuple(map(int, text.split(",")))
    except ValueError:
        found = ()
    if not found or found[0] < 1 or sorted(set(found)) != list(found):
        raise BenchError(f"decoders is {text!r}, must be rising numbers from 1 such as 1,2,4")
    return found
