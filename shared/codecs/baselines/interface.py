"""What a baseline is: a format of others as both halves of a codec, read by libraries that raise anything."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence

from shared.codecs.interface import Decoded, Decoder, Encoder
from shared.errors import CorruptStreamError, SidewireError
from shared.pictures import Picture
from shared.systems.catalogue import TextPlacement

__all__ = ["Baseline"]


class Baseline(Encoder, Decoder):
    """A format as both halves of a codec; it reads no words, its own format and no other."""

    text = TextPlacement.NOWHERE
    reads_text = False

    @abstractmethod
    def picture_of(self, blob: bytes) -> Picture:
        """Decompress a blob; bytes that cannot be read may raise any exception."""

    def decode_batch(
        self, blobs: Sequence[bytes], captions: Sequence[str | None]
    ) -> list[Decoded | SidewireError]:
        """See :meth:`Decoder.decode_batch`."""
        return [self._outcome(blob) for blob in blobs]

    def _outcome(self, blob: bytes) -> Decoded | SidewireError:
        try:
            return Decoded(self.picture_of(blob))
        except SidewireError as error:
            return error
        except Exception as error:  # decoders of damaged bytes raise nearly anything
            return CorruptStreamError(f"{self.name}: damaged: {error}")
