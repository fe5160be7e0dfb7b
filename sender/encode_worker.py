"""Inside an encoding process, the only place in a sender where torch is loaded.

The sender imports this module for its types, so torch waits until a process is an encoder.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from sender.captioning import captioner_for, told_of
from shared.captioner import Captioner
from shared.errors import UnknownCodecError, reason_of
from shared.faults import reached
from shared.pictures import picture_from_bytes
from shared.systems.catalogue import systems

if TYPE_CHECKING:
    from shared.codecs.halves import LatentEncoder
    from shared.codecs.interface import AnyEncoder

__all__ = ["CodecSettings", "EncodeTask", "EncoderTerms", "Made", "Unencodable", "build_encoder"]


@dataclass(frozen=True, slots=True)
class CodecSettings:
    """What a process encodes with.

    Attributes:
        codec: a registered name; not looked at where there is a bundle.
        threads: of torch.
        bundle: folder of another model bundle than the one that ships.
        preview_bytes: of a preview that is made in place of the picture's own stream; None for that one.
        captioner: folder of a model that is asked about pictures without a caption.
    """

    codec: str
    quality: int | None
    threads: int
    bundle: Path | None = None
    preview_bytes: int | None = None
    captioner: Path | None = None


@dataclass(frozen=True, slots=True)
class EncoderTerms:
    """What an encoding process says of its encoder.

    Attributes:
        stream: name of the streams that it writes.
        model_id: of those, whole: a short container does not tell it.
        told: it reads captions.
        tellings: it reads whole tellings, too, see :mod:`shared.telling.telling`.
    """

    stream: str
    model_id: bytes
    told: bool
    tellings: bool


@dataclass(frozen=True, slots=True)
class EncodeTask:
    """A picture's file, and what is said of it where the encoder is told."""

    image: bytes
    caption: str | None


@dataclass(frozen=True, slots=True)
class Made:
    """A picture's container.

    Attributes:
        warning: why its encoder was told nothing although a captioner was asked, in one line.
    """

    container: bytes
    warning: str = ""


@dataclass(frozen=True, slots=True)
class Unencodable:
    """Why a picture has no container, in one line."""

    reason: str


def build_encoder(
    settings: CodecSettings,
) -> tuple[EncoderTerms, Callable[[EncodeTask], Made | Unencodable]]:
    """The terms of the encoder, and what turns a picture's file into a container.

    Raises:
        UnknownCodecError, QualityError, BundleError, CaptionerError: the settings are wrong.
    """
    import torch  # noqa: PLC0415

    from shared.codecs import StreamEncoder, ToldEncoder, load_encoder  # noqa: PLC0415
    from shared.codecs.preview import previewer  # noqa: PLC0415

    torch.set_num_threads(settings.threads)
    encoder = load_encoder(settings.codec, settings.bundle)
    if not isinstance(encoder, StreamEncoder):
        raise UnknownCodecError(
            f"codec {encoder.name!r} writes files of its own format, not containers:"
            f" choose one of {', '.join(systems())}"
        )
    quality = encoder.default_quality if settings.quality is None else settings.quality
    encoder.check_quality(quality)
    told = isinstance(encoder, ToldEncoder) and settings.preview_bytes is None
    captioner = captioner_for(settings.captioner, encoder.name, told)
    if settings.preview_bytes is not None:
        small = previewer(encoder)
        terms = EncoderTerms(small.stream, small.model_id, told=False, tellings=False)
        return terms, partial(_answer, partial(_preview, small, settings.preview_bytes))
    terms = EncoderTerms(encoder.stream, encoder.model_id, told, encoder.tellings)
    return terms, partial(_answer, partial(_whole, encoder, quality, captioner))


def _whole(
    encoder: AnyEncoder, quality: int, captioner: Captioner | None, task: EncodeTask
) -> Made:
    from shared.codecs import encode  # noqa: PLC0415
    from shared.telling.telling import TellingError  # noqa: PLC0415

    picture = picture_from_bytes(task.image)
    told = told_of(picture, task.caption, captioner)
    try:
        return Made(encode(encoder, picture, quality, told.caption).blob, told.warning)
    except TellingError as error:  # no words cost a picture
        return Made(encode(encoder, picture, quality, None).blob, str(error))


def _preview(encoder: LatentEncoder, limit: int, task: EncodeTask) -> Made:
    from shared.codecs.preview import preview_with  # noqa: PLC0415

    return Made(preview_with(encoder, picture_from_bytes(task.image), limit).blob)


def _answer(encode: Callable[[EncodeTask], Made], task: EncodeTask) -> Made | Unencodable:
    reached("encoder.before_encode")
    try:
        return encode(task)
    except Exception as error:  # whatever this picture did, the next one is encoded
        return Unencodable(reason_of(error))
