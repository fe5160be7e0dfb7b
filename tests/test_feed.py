"""The feed: what is read from Parquet, and what is refused and how."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from shared.feed import FeedError, FeedRow, count_rows, read_feed

ROWS: list[dict[str, Any]] = [
    {"id": "a", "image": b"\x01\x02", "captions": ["one", "two"], "source": "s", "licence": "l"},
    {"id": "b", "image": b"\x03", "captions": [], "source": "s", "licence": "l"},
]


def write(path: Path, rows: list[dict[str, Any]], **columns: pa.DataType) -> Path:
    table = pa.Table.from_pylist(rows)
    for name, kind in columns.items():
        table = table.set_column(
            table.schema.get_field_index(name), name, pa.nulls(len(rows), kind)
        )
    pq.write_table(table, path)
    return path


def test_rows_come_back_as_written(tmp_path: Path) -> None:
    feed = write(tmp_path / "feed.parquet", ROWS)
    assert list(read_feed(feed)) == [
        FeedRow("a", b"\x01\x02", ("one", "two"), "s", "l"),
        FeedRow("b", b"\x03", (), "s", "l"),
    ]
    assert count_rows(feed) == 2


def test_folder_is_read_in_order_of_names(tmp_path: Path) -> None:
    for name in ("2", "1"):
        write(tmp_path / f"{name}.parquet", [{**ROWS[0], "id": name}])
    (tmp_path / "notes.txt").write_text("not a feed")
    assert [row.id for row in read_feed(tmp_path)] == ["1", "2"]
    assert count_rows(tmp_path) == 2


def test_more_rows_than_a_batch_keep_their_order(tmp_path: Path) -> None:
    feed = write(tmp_path / "feed.parquet", [{**ROWS[0], "id": str(n)} for n in range(100)])
    assert [row.id for row in read_feed(feed)] == [str(n) for n in range(100)]


def test_optional_columns_and_nulls_become_empty(tmp_path: Path) -> None:
    rows: list[dict[str, Any]] = [
        {"id": "a", "image": None, "captions": ["one", None]},
        {"id": "b", "image": b"\x01", "captions": None},
    ]
    feed = write(tmp_path / "feed.parquet", rows)
    assert list(read_feed(feed)) == [
        FeedRow("a", b"", ("one",), "", ""),
        FeedRow("b", b"\x01", (), "", ""),
    ]


@pytest.mark.parametrize(
    "kind",
    [
        pa.null(),
        pa.list_(pa.null()),
        pa.large_list(pa.null()),
        pa.list_(pa.null(), 0),
        pa.large_list(pa.large_string()),
        pa.string(),
    ],
)
def test_a_column_of_nulls_is_none_whatever_its_type(tmp_path: Path, kind: pa.DataType) -> None:
    feed = write(tmp_path / "feed.parquet", ROWS, captions=kind)
    assert [row.captions for row in read_feed(feed)] == [(), ()]


@pytest.mark.parametrize("column", ["image", "source", "licence"])
def test_any_column_but_ids_may_be_nulls(tmp_path: Path, column: str) -> None:
    feed = write(tmp_path / "feed.parquet", ROWS, **{column: pa.null()})
    assert [bool(getattr(row, column)) for row in read_feed(feed)] == [False, False]
    feed = write(tmp_path / "feed.parquet", ROWS, id=pa.null())
    with pytest.raises(FeedError, match="column 'id' holds a null"):
        list(read_feed(feed))


def test_a_part_without_rows_or_captions_fails_no_other(tmp_path: Path) -> None:
    """A program that knows types by values alone gives such parts the type null."""
    write(tmp_path / "1.parquet", ROWS)
    write(tmp_path / "2.parquet", [{**row, "captions": []} for row in ROWS])
    nulls = {name: pa.nulls(0) for name in ROWS[0]}
    pq.write_table(pa.table(nulls), tmp_path / "3.parquet")
    write(tmp_path / "4.parquet", ROWS, captions=pa.null())
    captions = [row.captions for row in read_feed(tmp_path)]
    assert captions == [("one", "two"), *[()] * 5]


def test_hugging_faces_columns_are_read(tmp_path: Path) -> None:
    rows: list[dict[str, Any]] = [
        {"image": {"bytes": b"\x01", "path": "1.png"}, "caption": "one", "id": 2**40},
        {"image": {"bytes": None, "path": "2.png"}, "caption": None, "id": -2},
        {"image": None, "caption": "", "id": 3},
    ]
    feed = write(tmp_path / "feed.parquet", rows)
    assert list(read_feed(feed)) == [
        FeedRow(str(2**40), b"\x01", ("one",), "", ""),
        FeedRow("-2", b"", (), "", ""),
        FeedRow("3", b"", ("",), "", ""),
    ]


def test_captions_may_be_one_string(tmp_path: Path) -> None:
    rows = [{**ROWS[0], "captions": text, "caption": "not read"} for text in ("one", None)]
    feed = write(tmp_path / "feed.parquet", rows)
    assert [row.captions for row in read_feed(feed)] == [("one",), ()]


@pytest.mark.parametrize("column", ["id", "image", "captions"])
def test_missing_column_is_named_with_the_path(tmp_path: Path, column: str) -> None:
    rows = [{name: value for name, value in row.items() if name != column} for row in ROWS]
    feed = write(tmp_path / "feed.parquet", rows)
    with pytest.raises(FeedError, match=rf"feed\.parquet: no column '{column}'"):
        read_feed(feed)


@pytest.mark.parametrize(
    ("column", "kind"),
    [
        ("id", pa.float64()),
        ("image", pa.string()),
        ("image", pa.struct([("path", pa.string())])),
        ("image", pa.struct([("bytes", pa.string()), ("path", pa.string())])),
        ("captions", pa.int64()),
        ("captions", pa.list_(pa.field("element", pa.binary()))),
        ("source", pa.int8()),
    ],
)
def test_wrong_type_is_named(tmp_path: Path, column: str, kind: pa.DataType) -> None:
    feed = write(tmp_path / "feed.parquet", ROWS, **{column: kind})
    with pytest.raises(
        FeedError, match=rf"feed\.parquet: column '{column}' is {re.escape(str(kind))}, not "
    ):
        read_feed(feed)


def test_wrong_file_late_in_a_folder_is_found_before_any_row(tmp_path: Path) -> None:
    write(tmp_path / "1.parquet", ROWS)
    (tmp_path / "2.parquet").write_bytes(b"PAR1 is not enough")
    with pytest.raises(FeedError, match=r"2\.parquet: not a readable Parquet file"):
        read_feed(tmp_path)


def test_null_id_is_refused(tmp_path: Path) -> None:
    feed = write(tmp_path / "feed.parquet", ROWS, id=pa.string())
    with pytest.raises(FeedError, match="'id' holds a null"):
        list(read_feed(feed))


def test_damage_inside_a_file_is_typed(tmp_path: Path) -> None:
    feed = write(tmp_path / "feed.parquet", ROWS * 50)
    data = bytearray(feed.read_bytes())
    data[4:400] = bytes(396)
    feed.write_bytes(data)
    with pytest.raises(FeedError, match=r"feed\.parquet: damaged"):
        list(read_feed(feed))


def test_no_feed_and_empty_folder(tmp_path: Path) -> None:
    for path in (tmp_path / "none.parquet", tmp_path):
        with pytest.raises(FeedError, match=str(path)):
            count_rows(path)
        with pytest.raises(FeedError, match=str(path)):
            read_feed(path)
