"""What every captioner is: pictures to what can be said of them.

It stands where an encoder reads captions and nobody has written one. Its words are side information of the
encoder alone: they are neither sent nor stored.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

from shared.errors import SidewireError
from shared.pictures import Picture

__all__ = ["Captioner", "CaptionerError"]


class CaptionerError(SidewireError):
    """A captioner cannot be used, or has no words for a picture; the message says why."""


class Captioner(ABC):
    """A frozen model that says what it sees. Not safe to share between threads."""

    @abstractmethod
    def caption_batch(self, pictures: Sequence[Picture]) -> list[str | CaptionerError]:
        """Captions of (H, W, 3) uint8 pictures; one that has none is its error, and the others go on.

        The same picture is always given the same caption. A caption is clean text
        (:mod:`shared.text.cleaning`), and empty where the model sees nothing to say.
        """

    def caption(self, picture: Picture) -> str:
        """The caption of one.

        Raises:
            CaptionerError: as in :meth:`caption_batch`.
        """
        (outcome,) = self.caption_batch([picture])
        if isinstance(outcome, CaptionerError):
            raise outcome
        return outcome
