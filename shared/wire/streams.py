"""Names of streams: a preview goes on a stream beside its picture's, under the same number."""

from __future__ import annotations

from shared.wire.limits import STREAM_ID_LENGTH

__all__ = ["PREVIEWS", "is_of_previews", "previews_of"]

PREVIEWS = ".previews"


def previews_of(stream_id: str) -> str:
    """The stream of the previews of a stream's pictures, cut where it would be too long for an id."""
    return stream_id[: STREAM_ID_LENGTH - len(PREVIEWS)] + PREVIEWS


def is_of_previews(stream_id: str) -> bool:
    """Whether a stream carries previews."""
    return stream_id.endswith(PREVIEWS)
