"""What ``sidewire bench`` is told."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import BeforeValidator, Field, PlainSerializer, WithJsonSchema, model_validator
from pydantic_settings import NoDecode, SettingsConfigDict

from cluster.bench.arrivals import ClosedLoop, Load, OpenLoop
from sender.codecs import sendable
from shared.settings import Count, Flag, Seconds, Settings, Share

__all__ = ["BenchOptions", "CaptionLoad", "Size", "Slo", "counts"]

PICTURES, LOAD, PIPELINE = "Pictures", "Load", "Pipeline"
CAPTIONS, MEASURING = "Captions", "Measuring"


@dataclass(frozen=True, slots=True)
class Size:
    """The size of synthetic pictures, in pixels."""

    width: int
    height: int

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read a size such as ``768x512``.

        Raises:
            ValueError: it is no size.
        """
        found = re.fullmatch(r"([1-9]\d{0,3})x([1-9]\d{0,3})", text)
        if found is None:
            raise ValueError("must be WIDTHxHEIGHT such as 768x512")
        return cls(int(found[1]), int(found[2]))

    def __str__(self) -> str:
        return f"{self.width}x{self.height}"


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
        """Read an objective such as ``e2e_ms=500,text_rate=0.9``; either may be left out.

        Raises:
            ValueError: a name or a value is wrong.
        """
        values: dict[str, float] = {}
        for part in filter(None, text.split(",")):
            name, _, value = part.partition("=")
            try:
                values[name] = float(value)
            except ValueError:
                raise ValueError(f"{part!r} must be NAME=NUMBER") from None
        if unknown := set(values) - {"e2e_ms", "text_rate"}:
            raise ValueError(f"{min(unknown)!r} is neither e2e_ms nor text_rate")
        slo = cls(**values)
        if not slo.e2e_ms > 0:
            raise ValueError(f"e2e_ms is {slo.e2e_ms:g}, must be above 0")
        if not 0 <= slo.text_rate <= 1:
            raise ValueError(f"text_rate is {slo.text_rate:g}, must be within 0 and 1")
        return slo

    def __str__(self) -> str:
        e2e = f"e2e_ms={self.e2e_ms:g}" if self.e2e_ms < math.inf else ""
        text = f"text_rate={self.text_rate:g}" if self.text_rate else ""
        return ",".join(filter(None, (e2e, text)))


def counts(text: str) -> tuple[int, ...]:
    """Whole numbers with commas, rising, such as ``1,2,4``.

    Raises:
        ValueError: they are not.
    """
    try:
        found = tuple(map(int, text.split(",")))
    except ValueError:
        found = ()
    if not found or found[0] < 1 or sorted(set(found)) != list(found):
        raise ValueError("must be rising numbers from 1 such as 1,2,4")
    return found


def _from_text(parse: Callable[[str], object]) -> BeforeValidator:
    """What is written as one word, or in YAML as a number, is parsed; all else is taken as it is."""
    return BeforeValidator(
        lambda given: parse(str(given)) if isinstance(given, str | int) else given
    )


_TEXT = WithJsonSchema({"type": "string"})
SizeOption = Annotated[
    Size, NoDecode, _from_text(Size.parse), PlainSerializer(str, return_type=str), _TEXT
]
SloOption = Annotated[
    Slo, NoDecode, _from_text(Slo.parse), PlainSerializer(str, return_type=str), _TEXT
]
CountsOption = Annotated[
    tuple[int, ...],
    NoDecode,
    _from_text(counts),
    PlainSerializer(lambda numbers: ",".join(map(str, numbers)), return_type=str),
    _TEXT,
]


@dataclass(frozen=True, slots=True)
class CaptionLoad:
    """What captions meet.

    Attributes:
        delay: seconds that they are behind the pictures of an open loop. In a closed loop all of them leave
            so long after the start.
        loss: share that is never sent.
        wait: seconds that a picture waits for its caption.
    """

    delay: float
    loss: float
    wait: float


class BenchOptions(Settings):
    """What one run is told."""

    model_config = SettingsConfigDict(env_prefix="SIDEWIRE_BENCH_")

    out: Annotated[Path, Flag()] = Field(
        description="folder for frames.parquet, summary.json, plots and index.html"
    )

    feed: Annotated[Path | None, Flag(panel=PICTURES)] = Field(
        None, description="a feed of any kind that send takes; else synthetic pictures"
    )
    size: Annotated[SizeOption, Flag(panel=PICTURES)] = Field(
        Size(768, 512), description="width and height of synthetic pictures"
    )
    codec: Annotated[str, Flag(panel=PICTURES, offers=sendable)] = Field(
        "base", description="what encodes, see sidewire doctor; sealed for a feed of containers"
    )
    generator: Annotated[str, Flag(panel=PICTURES)] = Field(
        "ssa", description="what decodes streams of ssa: ssa or none, or a bundle's folder"
    )
    quality: Annotated[int | None, Flag("-q", panel=PICTURES, unset="the middle one")] = Field(
        None, description="0 is the smallest stream"
    )

    rate: Annotated[Annotated[float, Field(ge=0.001)] | None, Flag(panel=LOAD)] = Field(
        None, description="open loop: pictures a second of all senders, whatever the pipeline does"
    )
    poisson: Annotated[bool, Flag(panel=LOAD)] = Field(
        False, description="with --rate: random gaps"
    )
    under_way: Annotated[Count, Flag(panel=LOAD)] = Field(
        16, description="closed loop, without --rate: pictures of each sender at once"
    )
    senders: Annotated[Count, Field(le=64), Flag(panel=LOAD)] = Field(
        1, description="how many send, a stream each"
    )
    sender_kind: Annotated[Literal["processes", "ray"], Flag(panel=LOAD)] = Field(
        "processes",
        description="with --decoder ray: ray, for actors on all of its nodes. The gateway listens on the"
        " cluster's network then, in plaintext: trust everyone there",
    )
    encoders: Annotated[Count | None, Flag(panel=LOAD, unset="its share of the cores")] = Field(
        None, description="encoding processes of each sender"
    )

    decoder: Annotated[Literal["processes", "ray", "benchmark-noop"], Flag(panel=PIPELINE)] = Field(
        "processes", description="what decodes"
    )
    decoders: Annotated[CountsOption, Flag(panel=PIPELINE)] = Field(
        (1,), description="how many decode; several such as 1,2,4 to see how it scales"
    )
    batch: Annotated[Count, Flag(panel=PIPELINE)] = Field(
        8, description="most pictures in a decoder's batch"
    )
    ray_address: Annotated[str, Flag(panel=PIPELINE)] = Field(
        "", description="with --decoder ray: a cluster that runs; else one is started here"
    )
    sink: Annotated[Literal["folder", "none"], Flag(panel=PIPELINE)] = Field(
        "folder", description="what becomes of decoded pictures"
    )

    captions: Annotated[bool, Flag(panel=CAPTIONS)] = Field(True, description="send captions")
    caption_delay: Annotated[Seconds, Flag(panel=CAPTIONS)] = Field(
        0.0, description="seconds that captions are behind their pictures"
    )
    caption_loss: Annotated[Share, Flag(panel=CAPTIONS)] = Field(
        0.0, description="share of captions that are never sent"
    )
    caption_wait: Annotated[Seconds, Flag(panel=CAPTIONS)] = Field(
        2.0, description="seconds that pictures wait for their captions"
    )

    frames: Annotated[Count, Flag(panel=MEASURING)] = Field(
        200, description="pictures of each sender in a repeat, rounded up to whole feeds"
    )
    warmup: Annotated[int, Field(ge=0), Flag(panel=MEASURING)] = Field(
        20,
        description="pictures before those, uncounted; in a closed loop at least --under-way",
    )
    repeats: Annotated[Count, Field(le=20), Flag(panel=MEASURING)] = Field(
        3, description="how often it is measured at least"
    )
    most_repeats: Annotated[Count, Field(le=20), Flag(panel=MEASURING)] = Field(
        10, description="and at most"
    )
    width: Annotated[float, Field(ge=0), Flag(panel=MEASURING)] = Field(
        0.05,
        description="stop when the 95 % interval of frames/s is no wider, as a share of it",
    )
    slo: Annotated[SloOption, Flag(panel=MEASURING)] = Field(
        Slo(), description="what goodput counts, such as e2e_ms=500,text_rate=0.9"
    )
    references: Annotated[bool, Flag(panel=MEASURING)] = Field(
        True, description="measure a bare loop and CompressAI too"
    )
    baseline: Annotated[Path | None, Flag(panel=MEASURING)] = Field(
        None, description="report of an earlier run to compare with"
    )
    seed: Annotated[int, Flag(panel=MEASURING)] = Field(
        0, description="what all that is drawn follows from"
    )

    @property
    def arrivals(self) -> Load:
        """How pictures come."""
        if self.rate is not None:
            return OpenLoop(self.rate, self.poisson, self.seed)
        return ClosedLoop(self.under_way)

    @property
    def caption_load(self) -> CaptionLoad | None:
        """What captions meet; None where none are sent."""
        if not self.captions:
            return None
        return CaptionLoad(self.caption_delay, self.caption_loss, self.caption_wait)

    @model_validator(mode="after")
    def _check_senders(self) -> Self:
        if self.poisson and self.rate is None:
            raise ValueError("poisson gaps are of an open loop: give --rate too")
        if self.sender_kind == "ray" and self.decoder != "ray":
            raise ValueError(
                f"decoder is {self.decoder}, must be ray where senders are: they share its cluster"
            )
        return self

    @model_validator(mode="after")
    def _check_frames(self) -> Self:
        at_once = 0 if self.rate is not None else self.under_way
        if self.warmup < at_once:
            raise ValueError(
                f"warmup is {self.warmup}, must be at least {at_once}: so many are sent at once, at first"
            )
        least = max(2, 2 * at_once)
        if self.frames < least:
            raise ValueError(
                f"frames is {self.frames}, must be at least {least}: fewer show no rate"
            )
        return self
