"""How the golden streams were made, once. They are the contract: nothing may make them again.

    python -m tests.golden.make BUNDLE

writes the streams, the symbols' checksums and the float32 pictures of a freshly trained
``training/configs/tiny.yaml`` bundle. A run over existing files is refused.
"""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

from cluster.feeds import KODAK_FEED, NEWSWIRE_FEED
from shared.feed import read_feed
from shared.pictures import Picture, picture_from_bytes, write_picture
from tests.codecs import whole

HERE = Path(__file__).parent

#: name: (feed, id, rows, columns, quality). Odd sizes, one pixel, and a picture of several windows.
CASES: dict[str, tuple[Path, str, slice, slice, int]] = {
    "parrots": (KODAK_FEED, "kodim23", slice(100, 356), slice(200, 520), 1),
    "lighthouse": (KODAK_FEED, "kodim19", slice(0, 191), slice(30, 131), 0),
    "strip": (KODAK_FEED, "kodim15", slice(80, 87), slice(0, 300), 1),
    "pixel": (KODAK_FEED, "kodim03", slice(9, 10), slice(9, 10), 0),
    "windows": (NEWSWIRE_FEED, "claudette-2003", slice(0, 1100), slice(0, 120), 1),
}


def picture_of(case: str) -> Picture:
    """The part of a shipped picture that a case encodes."""
    feed, name, rows, columns, _ = CASES[case]
    row = next(row for row in read_feed(feed) if row.id == name)
    return picture_from_bytes(row.image)[rows, columns].copy()


def main(source: Path) -> None:
    """Copy the bundle and write every case."""
    if (HERE / "golden.json").exists():
        raise SystemExit("the golden streams exist; they never change")
    shutil.copytree(source, HERE / "bundle")
    codec = whole(HERE / "bundle")
    checksums = {}
    for case, (*_, quality) in CASES.items():
        blob = codec.encode(picture_of(case), quality).blob
        decoded = codec.decode(blob)
        (HERE / f"{case}.swi").write_bytes(blob)
        write_picture(HERE / f"{case}.png", decoded.picture)
        checksums[case] = f"{decoded.symbols_crc32c:08x}"
    (HERE / "golden.json").write_text(json.dumps(checksums, indent=2) + "\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
