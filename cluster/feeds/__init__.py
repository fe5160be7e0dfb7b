"""The feeds that ship: press-like public-domain photographs, and eight of the Kodak pictures."""

from __future__ import annotations

from importlib import resources
from pathlib import Path

__all__ = ["KODAK_FEED", "NEWSWIRE_FEED"]

_HERE = Path(str(resources.files(__name__)))

#: Nine news pictures of about 1200 pixels with one caption each.
NEWSWIRE_FEED = _HERE / "newswire.parquet"
#: Eight lossless 768x512 test pictures with five captions each.
KODAK_FEED = _HERE / "kodak8.parquet"
