"""A visitor's picture and what has been made of it. Pure values, as the page gets them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from shared.errors import LimitError
from shared.wire.limits import Limits

__all__ = [
    "ORIGINAL",
    "Caption",
    "CodecFacts",
    "Made",
    "Order",
    "Result",
    "Step",
    "Upload",
    "new_result",
    "with_result",
]

#: File of the picture as codecs see it.
ORIGINAL = "original.png"
#: Of a caption, in bytes of UTF-8: what a receiver takes.
LONGEST_CAPTION = Limits().caption_bytes
#: That a stream may be asked to have; no picture needs more.
MOST_BYTES = 1 << 30


@dataclass(frozen=True, slots=True)
class CodecFacts:
    """What a page offers of a codec.

    Attributes:
        text: which end reads the caption, as :class:`~shared.systems.catalogue.TextPlacement` has it.
        qualities: its levels, coarsest first.
        streams: it writes containers, which can be saved and decoded anywhere.
    """

    name: str
    text: str
    qualities: tuple[int, ...]
    default_quality: int
    streams: bool


class Order(BaseModel):
    """What a result is to be; a wrong value is named by pydantic's ValidationError.

    Attributes:
        quality, bytes, bpp: the level, or the best one in so many bytes or bits a pixel; one of them at most.
        caption: what is said of the picture; empty for nothing.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    codec: Annotated[str, Field(max_length=100)]
    quality: Annotated[int, Field(ge=0, le=1000)] | None = None
    bytes: Annotated[int, Field(ge=1, le=MOST_BYTES)] | None = None
    bpp: Annotated[float, Field(gt=0, le=1000, allow_inf_nan=False)] | None = None
    caption: str = ""

    @field_validator("caption")
    @classmethod
    def _check_caption(cls, caption: str) -> str:
        caption = caption.strip()
        size = len(caption.encode(errors="replace"))
        if size > LONGEST_CAPTION:
            raise ValueError(str(LimitError("caption in bytes", size, LONGEST_CAPTION)))
        if any("\ud800" <= one <= "\udfff" for one in caption):
            raise ValueError("it holds half a character, which is no text")
        return caption

    @model_validator(mode="after")
    def _check_target(self) -> Self:
        if sum(one is not None for one in (self.quality, self.bytes, self.bpp)) > 1:
            raise ValueError("give one of quality, bytes and bpp")
        return self


@dataclass(frozen=True, slots=True)
class Step:
    """What is being done: ``done`` parts of ``of``; 0 of them where that is not known."""

    name: str
    done: int = 0
    of: int = 0


@dataclass(frozen=True, slots=True)
class Made:
    """A result that is there.

    Attributes:
        level: of the codec's; for a format of the day of its own scale.
        shrink: what the picture's edges were divided by before, for a page to enlarge it again.
        bytes: that the codec needs, header and all.
        bpp: bits of these a pixel of the picture.
        psnr, ms_ssim: against the original, in dB and in 0..1; None where pictures are equal, or too small
            or large for it.
        trust: 0..1, how far the decoder followed the caption; None where it reads none.
        note: what its text encoder could not make of the caption; empty where all is well.
        encode_seconds, decode_seconds: that these took, with all levels that were tried; 0 for what was
            not done apart.
    """

    level: int
    bytes: int
    bpp: float
    psnr: float | None = None
    ms_ssim: float | None = None
    shrink: int = 1
    trust: float | None = None
    note: str = ""
    encode_seconds: float = 0.0
    decode_seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Result:
    """One thing that was asked for.

    Attributes:
        wanted: what it is to be, in words; empty for what the codec does where nobody chose.
        caption: as it was given; ``caption_bytes`` and ``caption_bpp`` are of its UTF-8, apart from the
            picture's.
        before: how many are made before it.
        stream, picture: files of it that can be had; empty where there is none.
        problem: why there is no picture, in one line.
    """

    id: str
    codec: str
    wanted: str
    caption: str
    caption_bytes: int
    caption_bpp: float
    phase: Literal["waiting", "running", "done", "failed"] = "waiting"
    before: int = 0
    step: Step | None = None
    made: Made | None = None
    stream: str = ""
    picture: str = ""
    problem: str = ""

    @property
    def over(self) -> bool:
        """Nothing more will come of it."""
        return self.phase in ("done", "failed")


@dataclass(frozen=True, slots=True)
class Caption:
    """What a captioner says; ``problem`` in one line where it has no words."""

    phase: Literal["none", "waiting", "done", "failed"] = "none"
    text: str = ""
    problem: str = ""


@dataclass(frozen=True, slots=True)
class Upload:
    """A picture.

    Attributes:
        id: nobody can guess it; who knows it may see and order.
        file_bytes: of the visitor's file.
        format: as Pillow calls it.
        original: file of its pixels, upright and in sRGB.
        problem: why it cannot be used, in one line.
        results: in the order in which they were asked for.
    """

    id: str
    file_bytes: int
    phase: Literal["waiting", "ready", "failed"] = "waiting"
    format: str = ""
    width: int = 0
    height: int = 0
    original: str = ""
    problem: str = ""
    caption: Caption = Caption()
    results: tuple[Result, ...] = ()

    def result(self, id: str) -> Result | None:
        """A result by its id."""
        return next((one for one in self.results if one.id == id), None)

    @property
    def busy(self) -> bool:
        """Something is being made for it, or waits."""
        return (
            self.phase == "waiting"
            or self.caption.phase == "waiting"
            or not all(one.over for one in self.results)
        )


def new_result(id: str, upload: Upload, order: Order, before: int) -> Result:
    """What was asked for, before anything is done about it."""
    size = len(order.caption.encode())
    wanted = (
        f"level {order.quality}"
        if order.quality is not None
        else f"at most {order.bytes} bytes"
        if order.bytes is not None
        else f"at most {order.bpp:g} bits a pixel"
        if order.bpp is not None
        else ""
    )
    bpp = 8 * size / (upload.width * upload.height)
    return Result(id, order.codec, wanted, order.caption, size, bpp, before=before)


def with_result(upload: Upload, result: Result) -> Upload:
    """The picture with a result as it is now; one that was removed does not come back."""
    results = tuple(result if one.id == result.id else one for one in upload.results)
    return replace(upload, results=results)
