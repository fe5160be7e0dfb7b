"""How the golden streams were made, once. They are the contract: nothing may make them again.

    python -m tests.golden.make SET BUNDLE

writes the streams, the symbols' checksums and the float32 pictures of a freshly trained bundle: of
``training/configs/tiny.yaml`` for the first set, of ``tiny-ladder.yaml`` for the set ``ladder``, which has a
context, copies, preview levels and short containers. A run over existing files is refused.
"""

from __future__ import annotations

import json
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path

from cluster.feeds import KODAK_FEED, NEWSWIRE_FEED
from shared.feed import read_feed
from shared.pictures import Picture, picture_from_bytes, write_picture
from tests.codecs import whole

HERE = Path(__file__).parent

#: (feed, id, rows, columns, level).
Case = tuple[Path, str, slice, slice, int]

#: Odd sizes, one pixel, and a picture of several windows.
CASES: dict[str, Case] = {
    "parrots": (KODAK_FEED, "kodim23", slice(100, 356), slice(200, 520), 1),
    "lighthouse": (KODAK_FEED, "kodim19", slice(0, 191), slice(30, 131), 0),
    "strip": (KODAK_FEED, "kodim15", slice(80, 87), slice(0, 300), 1),
    "pixel": (KODAK_FEED, "kodim03", slice(9, 10), slice(9, 10), 0),
    "windows": (NEWSWIRE_FEED, "claudette-2003", slice(0, 1100), slice(0, 120), 1),
}
#: Of four levels at scales 4, 2, 1, 1: each of them, and preview levels 4, 5 and 7.
LADDER: dict[str, Case] = {
    "quarter": (KODAK_FEED, "kodim23", slice(0, 512), slice(0, 768), 0),
    "half": (KODAK_FEED, "kodim19", slice(0, 191), slice(30, 131), 1),
    "coarse": (KODAK_FEED, "kodim15", slice(80, 207), slice(0, 300), 2),
    "fine": (KODAK_FEED, "kodim03", slice(0, 256), slice(0, 320), 3),
    "pixel": (KODAK_FEED, "kodim03", slice(9, 10), slice(9, 10), 3),
    "preview": (NEWSWIRE_FEED, "claudette-2003", slice(0, 1100), slice(0, 900), 4),
    "portrait": (KODAK_FEED, "kodim19", slice(0, 768), slice(0, 300), 5),
    "strip": (KODAK_FEED, "kodim15", slice(80, 87), slice(0, 700), 7),
}


@dataclass(frozen=True)
class GoldenSet:
    """A frozen bundle and the streams that it must decode for ever.

    Attributes:
        folder: of the bundle, the streams and the pictures.
    """

    folder: Path
    cases: dict[str, Case]

    @property
    def bundle(self) -> Path:
        """Folder of the weights."""
        return self.folder / "bundle"

    @property
    def checksums(self) -> dict[str, str]:
        """CRC32C of header and symbols of each case, in hexadecimal digits."""
        found: dict[str, str] = json.loads((self.folder / "golden.json").read_text())
        return found

    def picture(self, case: str) -> Picture:
        """The part of a shipped picture that a case encodes."""
        feed, name, rows, columns, _ = self.cases[case]
        row = next(row for row in read_feed(feed) if row.id == name)
        return picture_from_bytes(row.image)[rows, columns].copy()

    def stream(self, case: str) -> bytes:
        """What was made of it."""
        return (self.folder / f"{case}.swi").read_bytes()

    def make(self, source: Path) -> None:
        """Copy the bundle and write every case."""
        if (self.folder / "golden.json").exists():
            raise SystemExit("the golden streams exist; they never change")
        shutil.copytree(source, self.bundle)
        codec = whole(self.bundle)
        checksums = {}
        for case, (*_, level) in self.cases.items():
            blob = codec.encoder.encode_at(self.picture(case), level).blob
            decoded = codec.decode(blob)
            (self.folder / f"{case}.swi").write_bytes(blob)
            write_picture(self.folder / f"{case}.png", decoded.picture)
            checksums[case] = f"{decoded.symbols_crc32c:08x}"
        (self.folder / "golden.json").write_text(json.dumps(checksums, indent=2) + "\n")


SETS = {"first": GoldenSet(HERE, CASES), "ladder": GoldenSet(HERE / "ladder", LADDER)}


def picture_of(case: str) -> Picture:
    """The picture of a case of the first set."""
    return SETS["first"].picture(case)


if __name__ == "__main__":
    SETS[sys.argv[1]].make(Path(sys.argv[2]))
