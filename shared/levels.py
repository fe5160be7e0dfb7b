"""Levels of a stream that serves captioned generators: what is sent, and what is left to the words.

A caption holds some sixty bits. They are worth most where the stream is silent, and words speak of
colour first; so the levels of this ladder send luma alone and leave chroma to the generator, which
knows what the caption says (Wyner-Ziv: do not send what the side information tells).
"""

from __future__ import annotations

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from shared.pictures import Picture

__all__ = ["LUMA_WEIGHTS", "StreamLevel", "luma_picture"]

#: ITU-R BT.601, in 1/65536 so that every machine rounds alike.
LUMA = np.array([19595, 38470, 7471], np.int64)
#: The same as shares of R, G and B.
LUMA_WEIGHTS = tuple((LUMA / 65536).tolist())


def luma_picture(picture: Picture) -> Picture:
    """(H, W, 3) uint8 -> (H, W, 3) uint8 whose three channels are the picture's luma."""
    luma = ((picture @ LUMA + (1 << 15)) >> 16).astype(np.uint8)
    return np.repeat(luma[:, :, None], 3, axis=2)


class StreamLevel(BaseModel):
    """One quality level of a generator's ladder, as a bundle and a configuration name it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    quality: int = Field(ge=0, description="of the frozen stream's own ladder")
    colour: bool = Field(False, description="chroma is sent; otherwise it is left to the words")

    @property
    def name(self) -> str:
        """Such as ``luma2``."""
        return f"{'colour' if self.colour else 'luma'}{self.quality}"

    def prepare(self, picture: Picture) -> Picture:
        """What the frozen encoder is given for ``picture``."""
        return picture if self.colour else luma_picture(picture)
