"""What an encoder is told of a picture: its caption, or a captioner's where it has none."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from shared.captioner import Captioner, CaptionerError
from shared.pictures import Picture

__all__ = ["Told", "captioner_for", "told_of"]


@dataclass(frozen=True, slots=True)
class Told:
    """What is said of a picture.

    Attributes:
        caption: None where nothing is.
        warning: why a captioner had no words, in one line; empty where it had, or was not asked.
    """

    caption: str | None
    warning: str = ""


def captioner_for(folder: Path | None, codec: str, told: bool) -> Captioner | None:
    """The captioner of the setting ``captioner``, loaded; None where that is not given.

    Args:
        codec: whose encoder is to hear it, for messages.
        told: that encoder reads captions.

    Raises:
        CaptionerError: the encoder reads none, or see :func:`shared.text.image_to_text.load_captioner`.
    """
    if folder is None:
        return None
    if not told:
        raise CaptionerError(
            f"captioner is {folder}, but the encoder of {codec} reads no captions: leave it out, or choose a"
            " codec whose encoder does"
        )
    from shared.text.image_to_text import load_captioner  # noqa: PLC0415

    return load_captioner(folder)


def told_of(picture: Picture, caption: str | None, captioner: Captioner | None) -> Told:
    """What an encoder is told of a picture: what is written of it, else what the captioner sees in it."""
    if caption is not None or captioner is None:
        return Told(caption)
    try:
        return Told(captioner.caption(picture) or None)
    except CaptionerError as error:
        return Told(None, str(error))
