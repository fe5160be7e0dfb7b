"""The evidence of ``misc`` on small pictures: what tables hold, and the set that can be made again."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from cluster.feeds import KODAK_FEED
from cluster.reproduce.evidence import Request
from cluster.reproduce.generated import SEEDS, generated_feed
from cluster.reproduce.misc_parts import TABLE4, WHOLE
from cluster.reproduce.run import reproduce_command
from shared.feed import read_feed
from shared.pictures import picture_from_bytes
from tests.picture_files import png

COCO = Path("test") / "coco-val.parquet"
CROP = slice(100, 196), slice(200, 328)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two cut-outs with captions, as if they were COCO's."""
    folder = tmp_path_factory.mktemp("data")
    (folder / COCO.parent).mkdir()
    rows = [
        {
            "id": row.id,
            "image": png(picture_from_bytes(row.image)[CROP]),
            "captions": [*row.captions, "A photograph of it."],
        }
        for row in read_feed(KODAK_FEED)
        if row.id in ("kodim03", "kodim23")
    ]
    pq.write_table(pa.Table.from_pylist(rows), folder / COCO)
    return folder


def tables(evidence: str, data: Path, out: Path) -> list[dict[str, Any]]:
    reproduce_command(Request(evidence, data, out, data, data))
    found: list[dict[str, Any]] = json.loads((out / f"{evidence}.json").read_text())
    return found


def test_the_generated_set_follows_from_its_seeds(data: Path, tmp_path: Path) -> None:
    holds, _ = tables("misc-generated", data, tmp_path)
    path = tmp_path / "painted.parquet"
    given, made = list(read_feed(data / COCO)), list(read_feed(path))
    assert [row.id for row in made] == [f"painted-{seed}" for seed in SEEDS[:2]]
    for row, source in zip(made, given, strict=True):
        painted, taken = (picture_from_bytes(one.image) for one in (row, source))
        assert painted.shape == taken.shape
        assert (painted != taken).any()
        assert row.captions == source.captions
    generated_feed(data / COCO, tmp_path / "again.parquet", 1)
    assert next(iter(read_feed(tmp_path / "again.parquet"))).image == made[0].image

    assert [row["name"] for row in holds["rows"]] == ["MISC-1", "MISC-2", "MISC-3"]
    for row in holds["rows"]:
        whole, _, *parts, _ = row["cells"]
        assert sum(parts) == pytest.approx(whole)
    # The last level tells no items.
    assert holds["rows"][2]["cells"][4:6] == [0, 0]


def test_leaving_out_a_part_leaves_out_its_bytes(data: Path, tmp_path: Path) -> None:
    sections = tables("misc-table4", data, tmp_path)
    assert len(sections) == len(WHOLE)
    for section in sections:
        rates = {row["name"]: row["cells"][0] for row in section["rows"]}
        assert list(rates) == [kept.name for kept in TABLE4]
        whole = rates.pop("3 items, description, reference")
        assert all(rate < whole for rate in rates.values())
        three, one = (rates[f"{n} items, no description, reference"] for n in (3, 1))
        assert three > one > rates["no items, no description, reference"]
