"""Features of the captions seen last, bounded by bytes."""

from __future__ import annotations

import hashlib
import threading
from collections import OrderedDict

from shared.text.windows import CaptionFeatures

__all__ = ["FeatureCache"]


class FeatureCache:
    """Least recently used first out; safe to share between threads and encoders.

    Args:
        most_bytes: limit on the vectors that are kept; a caption beyond it is not kept at all.
    """

    def __init__(self, most_bytes: int) -> None:
        self._most_bytes = most_bytes
        self._bytes = 0
        self._entries: OrderedDict[bytes, CaptionFeatures] = OrderedDict()
        self._lock = threading.Lock()

    @property
    def nbytes(self) -> int:
        """Memory of the vectors that are kept."""
        return self._bytes

    def get(self, space: str, text: str) -> CaptionFeatures | None:
        """Features of the text in an encoder's space (its id and device), if they are here."""
        key = _key(space, text)
        with self._lock:
            found = self._entries.get(key)
            if found is not None:
                self._entries.move_to_end(key)
            return found

    def put(self, space: str, text: str, features: CaptionFeatures) -> None:
        """Keep features, at the cost of those that were not asked for the longest."""
        key = _key(space, text)
        with self._lock:
            if key in self._entries or features.nbytes > self._most_bytes:
                return
            self._entries[key] = features
            self._bytes += features.nbytes
            while self._bytes > self._most_bytes:
                self._bytes -= self._entries.popitem(last=False)[1].nbytes


def _key(space: str, text: str) -> bytes:
    return hashlib.sha256(f"{space}\n{text}".encode()).digest()
