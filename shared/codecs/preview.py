"""Previews: a picture in thirty to a few hundred bytes, which travel in the post itself.

    blob = preview(picture, 50).blob        # at most 50 bytes, header and all
    picture = picture_of(blob)              # at the original's size

A preview is a stream like any other, of one of the ladder's preview levels, and decodes wherever streams
do. As text for JSON it is base64url without padding, or a ``data:`` URL.
"""

from __future__ import annotations

import base64
import binascii
import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from shared.bitstream.container import Container
from shared.codecs.fitting import best_that_fits
from shared.codecs.halves import LatentEncoder
from shared.codecs.interface import AnyEncoder, Encoded
from shared.codecs.loading import get_codec
from shared.codecs.semantic import SemanticEncoder
from shared.errors import ContainerError, SizeError, UnknownCodecError
from shared.latents.interface import ROUNDING
from shared.pictures import Picture
from shared.systems.catalogue import decoders_of, stream_name

__all__ = ["MEDIA_TYPE", "Preview", "blob_of", "picture_of", "preview", "preview_with", "previewer"]

MEDIA_TYPE = "image/vnd.sidewire"
#: Level that is tried first: most previews are asked for in 28 to 100 bytes.
FIRST = 3
#: Where no level fits, the coarsest one's dead zone is widened up to so many steps, in so many tries.
WIDEST, THINNINGS = 4.0, 6
#: Longest text that is read as a preview's, in characters.
LONGEST_TEXT = 1 << 16


@dataclass(frozen=True)
class Preview:
    """A picture in few bytes.

    Attributes:
        blob: the whole stream.
        level: of the codec's ladder.
    """

    blob: bytes
    level: int

    @property
    def text(self) -> str:
        """The blob as base64url without padding (RFC 4648, section 5)."""
        return base64.urlsafe_b64encode(self.blob).decode().rstrip("=")

    @property
    def data_url(self) -> str:
        """The blob as a ``data:`` URL (RFC 2397)."""
        return f"data:{MEDIA_TYPE};base64,{base64.b64encode(self.blob).decode()}"


def preview(picture: Picture, limit: int, codec: str = "base") -> Preview:
    """The best preview of (H, W, 3) uint8 pixels in at most ``limit`` bytes.

    Raises:
        SizeError: none is so small; it names the least that is.
        PictureError, LimitError: see :func:`shared.pictures.check_picture`.
        UnknownCodecError: no codec of that name makes previews.
    """
    return preview_with(previewer(get_codec(codec).encoder), picture, limit)


def previewer(encoder: AnyEncoder) -> LatentEncoder:
    """What makes the previews of a codec: its encoder, or that of its references.

    Raises:
        UnknownCodecError: it makes none.
    """
    if isinstance(encoder, SemanticEncoder):
        return encoder.reference
    if not isinstance(encoder, LatentEncoder):
        raise UnknownCodecError(f"{encoder.name} makes no previews: it has no ladder of levels")
    return encoder


def preview_with(encoder: LatentEncoder, picture: Picture, limit: int) -> Preview:
    """The same with an encoder at hand.

    Raises:
        SizeError, PictureError, LimitError: as :func:`preview`.
    """
    levels = encoder.terms.ladder.previews
    encode = partial(encoder.encode_at, picture)
    try:
        level, encoded = best_that_fits(encode, levels, limit, FIRST)
    except SizeError:
        level, encoded = levels[0], _thinned(partial(encode, levels[0]), limit)
    return Preview(encoded.blob, level)


def _thinned(encode: Callable[[float], Encoded], limit: int) -> Encoded:
    """The stream with the smallest dead zone, of a few, that fits.

    Raises:
        SizeError: not even the one without a symbol beyond its mean does.
    """
    best = encode(math.inf)
    if len(best.blob) > limit:
        raise SizeError(limit, len(best.blob))
    fits, over = WIDEST, ROUNDING
    for _ in range(THINNINGS):
        zone = math.sqrt(fits * over)
        encoded = encode(zone)
        if len(encoded.blob) <= limit:
            fits, best = zone, encoded
        else:
            over = zone
    return best


def blob_of(text: str) -> bytes:
    """The bytes of a preview's text: base64url, padded or not, or a ``data:`` URL.

    Raises:
        ContainerError: it is neither, or too long.
    """
    if len(text) > LONGEST_TEXT:
        raise ContainerError(f"preview text has {len(text)} characters, at most {LONGEST_TEXT}")
    encoded = text.strip()
    if encoded.startswith("data:"):
        _, _, encoded = encoded.partition(";base64,")
    encoded = encoded.rstrip("=").replace("+", "-").replace("/", "_")
    if not encoded:
        raise ContainerError("preview text holds no base64")
    try:
        return base64.b64decode(encoded + "=" * (-len(encoded) % 4), b"-_", validate=True)
    except (binascii.Error, ValueError):
        raise ContainerError("preview text is neither base64url nor a data: URL") from None


def picture_of(preview: bytes | str, caption: str | None = None) -> Picture:
    """The picture of a preview's bytes or text, (H, W, 3) uint8 at the original's size.

    Args:
        caption: for a stream whose decoder reads it.

    Raises:
        SidewireError: as :meth:`shared.codecs.interface.Decoder.decode`.
    """
    blob = blob_of(preview) if isinstance(preview, str) else preview
    stream = stream_name(Container.from_bytes(blob).header.codec_id)
    return get_codec(decoders_of(stream)[0]).decode(blob, caption).picture
