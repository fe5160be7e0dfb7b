"""Feeds of every kind: what is read, what is refused, and what a sender of pictures never touches."""

from __future__ import annotations

import hashlib
import io
import itertools
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyarrow import ipc

from sender.sources import (
    SourceCaption,
    SourcePicture,
    default_stream_id,
    read_captions,
    read_pictures,
)
from shared.errors import LimitError
from shared.feed import FeedError
from tests.patience import PATIENCE

COUNT = 20
CAPTION = "words of number"
ROWS: list[dict[str, Any]] = [
    {"id": f"p{n:02}", "image": b"%d" % n * 50, "captions": [f"{CAPTION} {n}", f"more {n}"]}
    for n in range(COUNT)
]
PICTURES = [SourcePicture(n, row["id"], row["image"]) for n, row in enumerate(ROWS)]


def table(rows: list[dict[str, Any]]) -> pa.Table:
    """Captions first, so that a column's place is not its place among the chosen ones."""
    kinds = {"captions": pa.list_(pa.string()), "id": pa.string(), "image": pa.binary()}
    present = [pa.field(name, kind) for name, kind in kinds.items() if name in rows[0]]
    return pa.Table.from_pylist(rows, schema=pa.schema(present))


def write_parquet(folder: Path, rows: list[dict[str, Any]]) -> Path:
    path = folder / "feed.parquet"
    pq.write_table(table(rows), path, row_group_size=6, compression="none", use_dictionary=False)
    return path


def write_parquet_folder(folder: Path, rows: list[dict[str, Any]]) -> Path:
    path = folder / "shards"
    path.mkdir()
    for first in range(0, len(rows), 7):
        pq.write_table(table(rows[first : first + 7]), path / f"{first:03}.parquet")
    return path


def write_ipc(path: Path, rows: list[dict[str, Any]], **options: Any) -> Path:
    opened = ipc.new_stream if path.suffix == ".arrows" else ipc.new_file
    whole = table(rows)
    with opened(path, whole.schema, options=ipc.IpcWriteOptions(**options)) as writer:
        writer.write_table(whole, max_chunksize=9)
    return path


def write_arrow_file(folder: Path, rows: list[dict[str, Any]]) -> Path:
    return write_ipc(folder / "feed.arrow", rows)


def write_arrow_stream(folder: Path, rows: list[dict[str, Any]]) -> Path:
    return write_ipc(folder / "feed.arrows", rows)


def write_compressed_arrow(folder: Path, rows: list[dict[str, Any]]) -> Path:
    return write_ipc(folder / "feed.feather", rows, compression="zstd")


def write_pictures(folder: Path, rows: list[dict[str, Any]]) -> Path:
    path = folder / "pictures"
    path.mkdir()
    for row in rows:
        (path / f"{row['id']}.png").write_bytes(row["image"])
        if row.get("captions"):
            (path / f"{row['id']}.txt").write_text(row["captions"][0] + "\n")
    return path


Writer = Callable[[Path, list[dict[str, Any]]], Path]
TABLES: list[Writer] = [
    write_parquet,
    write_parquet_folder,
    write_arrow_file,
    write_arrow_stream,
    write_compressed_arrow,
]
every_feed = pytest.mark.parametrize("write", [*TABLES, write_pictures])
every_table = pytest.mark.parametrize("write", TABLES)


@every_feed
def test_pictures_come_in_order(tmp_path: Path, write: Writer) -> None:
    feed = str(write(tmp_path, ROWS))
    assert list(read_pictures(feed)) == PICTURES
    assert PICTURES[3].content_id == hashlib.sha256(b"3" * 50).digest()[:16]


@every_feed
def test_captions_name_the_same_pictures(tmp_path: Path, write: Writer) -> None:
    feed = str(write(tmp_path, ROWS))
    assert list(read_captions(feed)) == [
        SourceCaption(one.seq, one.name, one.content_id, f"{CAPTION} {one.seq}") for one in PICTURES
    ]


@every_feed
@pytest.mark.parametrize("start", [0, 5, 6, 13, COUNT, COUNT + 1])
def test_start_goes_on_where_the_last_reader_was(tmp_path: Path, write: Writer, start: int) -> None:
    feed = str(write(tmp_path, ROWS))
    assert list(read_pictures(feed, start=start)) == PICTURES[start:]
    assert [one.seq for one in read_captions(feed, start=start)] == list(range(start, COUNT))


@every_feed
def test_rounds_go_on_counting(tmp_path: Path, write: Writer) -> None:
    feed = str(write(tmp_path, ROWS))
    start = COUNT + 8
    repeated = list(read_pictures(feed, start=start, repeat=3))
    assert [one.seq for one in repeated] == list(range(start, 3 * COUNT))
    assert all(one.image == ROWS[one.seq % COUNT]["image"] for one in repeated)
    for_ever = itertools.islice(read_pictures(feed, start=start, repeat=0), 5 * COUNT)
    assert [one.seq for one in for_ever] == list(range(start, start + 5 * COUNT))


@every_table
def test_a_feed_of_pictures_needs_no_captions(tmp_path: Path, write: Writer) -> None:
    rows = [{"id": row["id"], "image": row["image"]} for row in ROWS]
    feed = str(write(tmp_path, rows))
    assert list(read_pictures(feed)) == list(read_pictures(feed, told=0)) == PICTURES
    with pytest.raises(FeedError, match="no column 'captions'"):
        read_captions(feed)


@every_table
def test_null_image_is_an_empty_one_and_null_id_an_error(tmp_path: Path, write: Writer) -> None:
    rows = [ROWS[0], {**ROWS[1], "image": None}, ROWS[2], {**ROWS[3], "id": None}]
    pictures = read_pictures(str(write(tmp_path, rows)))
    assert [next(pictures).image for _ in range(3)] == [ROWS[0]["image"], b"", ROWS[2]["image"]]
    with pytest.raises(FeedError, match="'id' holds a null"):
        next(pictures)


@every_table
def test_which_of_several_captions(tmp_path: Path, write: Writer) -> None:
    captions = [["a", "b", "c"], ["d"], [], None, [None, "e"], [""]]
    rows = [{**row, "captions": texts} for row, texts in zip(ROWS, captions, strict=False)]
    feed = str(write(tmp_path, rows))
    for which, wanted in enumerate(("ad  e ", "bd  e ", "cd  e ", "cd  e ")):
        texts = [one.text for one in read_captions(feed, which=which)]
        assert texts == [text if text != " " else None for text in wanted]


@every_table
@pytest.mark.parametrize("kind", [pa.string(), pa.list_(pa.string()), pa.list_(pa.string_view())])
def test_a_caption_that_is_no_text_fails_no_other(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, write: Writer, kind: pa.DataType
) -> None:
    texts = [b"zero", b"the mayor\x92s desk", b"two"]
    raw = pa.binary_view() if kind == pa.list_(pa.string_view()) else pa.binary()
    if pa.types.is_list(kind):
        captions = pa.array([[text] for text in texts], pa.list_(raw)).view(kind)
    else:
        captions = pa.array(texts, raw).view(kind)
    odd = table(ROWS[:3]).set_column(0, "captions", captions)
    feed = write(tmp_path, ROWS[:3])
    if feed.suffix == ".parquet" or feed.is_dir():
        pq.write_table(odd, feed if feed.is_file() else feed / "000.parquet")
    else:
        with (ipc.new_stream if feed.suffix == ".arrows" else ipc.new_file)(feed, odd.schema) as to:
            to.write_table(odd)
    assert [one.text for one in read_captions(str(feed))] == ["zero", None, "two"]
    (message,) = caplog.messages
    assert "of 'p01': not UTF-8" in message
    assert list(read_pictures(str(feed))) == PICTURES[:3]


def test_an_empty_feed_has_no_rounds(tmp_path: Path) -> None:
    feed = tmp_path / "feed.parquet"
    pq.write_table(table(ROWS)[:0], feed)
    assert list(read_pictures(str(feed), repeat=0)) == []


@pytest.mark.parametrize("number", ["start", "repeat", "which"])
def test_negative_numbers(tmp_path: Path, number: str) -> None:
    feed = str(write_parquet(tmp_path, ROWS))
    with pytest.raises(LimitError, match=f"{number} is -1, must be at least 0"):
        read_captions(feed, **{number: -1})


# Who reads pictures never reads a caption


def test_parquet_captions_are_never_read(tmp_path: Path) -> None:
    feed = write_parquet(tmp_path, ROWS)
    data = bytearray(feed.read_bytes())
    metadata = pq.read_metadata(feed)
    for group in range(metadata.num_row_groups):
        chunk = metadata.row_group(group).column(0)
        assert chunk.path_in_schema.startswith("captions")
        start = chunk.data_page_offset
        data[start : start + chunk.total_compressed_size] = b"\xff" * chunk.total_compressed_size
    feed.write_bytes(data)
    assert list(read_pictures(str(feed))) == PICTURES
    with pytest.raises(FeedError, match="damaged"):
        list(read_captions(str(feed)))


@pytest.mark.parametrize("suffix", [".arrow", ".arrows", ".ipc", ".feather"])
def test_arrow_captions_are_never_unpacked(tmp_path: Path, suffix: str) -> None:
    feed = write_ipc(tmp_path / f"feed{suffix}", ROWS, compression="zstd")
    data = feed.read_bytes()
    frame = b"\x28\xb5\x2f\xfd"  # how a zstd frame begins
    # The first compressed buffer belongs to the first column: see table().
    first = data.index(frame)
    feed.write_bytes(data[:first] + b"\xff" * 4 + data[first + 4 :])
    assert list(read_pictures(str(feed))) == PICTURES
    with pytest.raises(FeedError, match="damaged"):
        list(read_captions(str(feed)))


def test_sidecars_and_caption_files_are_never_opened(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = write_pictures(tmp_path, [{**row, "captions": None} for row in ROWS])
    (folder / "p00.txt").mkdir()
    assert list(read_pictures(str(folder))) == PICTURES
    assert not caplog.messages
    assert next(read_captions(str(folder))).text is None
    assert "p00.txt: cannot be read: Is a directory" in caplog.text
    (folder / "captions.jsonl").mkdir()
    assert list(read_pictures(str(folder))) == PICTURES
    with pytest.raises(FeedError, match=r"captions\.jsonl: cannot be read: Is a directory"):
        read_captions(str(folder))


# Folders of pictures


def test_captions_of_one_file_replace_sidecars(tmp_path: Path) -> None:
    folder = write_pictures(tmp_path, ROWS[:5])
    entries = [
        {"file": "p00.png", "caption": "zero"},
        {"file": "p01", "captions": ["one", "uno"]},
        {"id": "p02", "caption": "two", "width": 7},
        {"id": "p03", "captions": []},
    ]
    lines = "\n\n".join(map(json.dumps, entries))
    (folder / "captions.jsonl").write_text(lines)
    texts = [one.text for one in read_captions(str(folder), which=1)]
    assert texts == ["zero", "uno", "two", None, None]


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        (b"{", "line 2: "),
        (b'{"id": "p01", "caption": "the mayor\x92s desk"}', "line 2: 'utf-8'"),
        (b"[" * 100_000, "line 2: "),
        (b"null", "line 2: not an object"),
        (b'{"caption": "x"}', "line 2: no string 'file' or 'id'"),
        (b'{"id": true, "caption": "x"}', "line 2: no string 'file' or 'id'"),
        (b'{"id": "p01"}', "line 2: no 'caption' or 'captions'"),
        (b'{"id": "p01", "captions": [3]}', "line 2: 'caption' and 'captions' are strings"),
        (b'{"id": "p01", "caption": "\\ud800"}', "line 2: 'utf-8' codec can't encode"),
    ],
)
def test_bad_line_fails_no_other(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, line: bytes, problem: str
) -> None:
    folder = write_pictures(tmp_path, ROWS[:3])
    good = b'{"id": "p00", "caption": "x"}\n%s\n{"id": "p02", "caption": "z"}\n'
    (folder / "captions.jsonl").write_bytes(good % line)
    assert [one.text for one in read_captions(str(folder))] == ["x", None, "z"]
    (message,) = caplog.messages
    assert problem in message
    assert "captions.jsonl" in message


def test_many_bad_lines_are_counted(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    folder = write_pictures(tmp_path, ROWS[:1])
    lines = b"\xff\n" * 1000 + b'{"id": "p00", "caption": "x"}\n'
    (folder / "captions.jsonl").write_bytes(lines)
    assert [one.text for one in read_captions(str(folder))] == ["x"]
    assert len(caplog.messages) == 11
    assert "skipped 990 more captions" in caplog.messages[-1]


def test_captions_as_they_come_in_a_line(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A null is none, a string is one, a number is a name, and a byte order mark is nothing."""
    pictures = [{"id": name, "image": b"x"} for name in ("0", "1", "2", "3", "4")]
    folder = write_pictures(tmp_path, pictures)
    entries = [
        {"id": 0, "captions": "zero"},
        {"id": "1", "caption": None},
        {"id": 2, "captions": [None, "two"]},
        {"id": "3", "captions": None, "caption": "three"},
        {"id": "4", "caption": ["four"]},
    ]
    lines = "\r\n".join(map(json.dumps, entries))
    (folder / "captions.jsonl").write_text("\ufeff" + lines)
    texts = [one.text for one in read_captions(str(folder))]
    assert texts == ["zero", None, "two", "three", "four"]
    assert not caplog.messages


def test_folder_takes_pictures_alone_by_any_name(tmp_path: Path) -> None:
    (tmp_path / "notes.md").write_text("no picture")
    (tmp_path / "more.png").mkdir()
    with pytest.raises(FeedError, match="holds no picture"):
        read_pictures(str(tmp_path))
    for name in (b"b.JPEG", b"a.v2.webp", b"c\xff.swi"):
        Path(os.fsdecode(os.path.join(os.fsencode(tmp_path), name))).write_bytes(name)
    names = [(one.name, one.image) for one in read_pictures(str(tmp_path))]
    assert names == [("a.v2", b"a.v2.webp"), ("b", b"b.JPEG"), ("c\ufffd", b"c\xff.swi")]


def test_pictures_of_one_stem_have_their_whole_names(tmp_path: Path) -> None:
    for name in ("anim.gif", "anim.png", "still.png"):
        (tmp_path / name).write_bytes(name.encode())
    (tmp_path / "anim.txt").write_text("moving")
    names = [one.name for one in read_pictures(str(tmp_path))]
    assert names == ["anim.gif", "anim.png", "still"]
    assert [one.text for one in read_captions(str(tmp_path))] == ["moving", "moving", None]


def test_files_passed_over_are_counted_and_said_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for name in ("a.png", "a.txt", "b.mpo", ".hidden", "captions.jsonl", "notes.txt", "README"):
        (tmp_path / name).write_bytes(b"")
    for number in range(3):
        (tmp_path / f"{number}.MP4").write_bytes(b"")
    for _ in range(2):
        assert [one.name for one in read_pictures(str(tmp_path))] == ["a", "b"]
        list(read_captions(str(tmp_path)))
    assert caplog.messages == [
        f"{tmp_path}: passed over 5 files that are no pictures: 3 .mp4, 1 without ending, 1 .txt"
    ]


def test_a_folder_without_pictures_says_what_it_holds(tmp_path: Path) -> None:
    for number in range(8):
        (tmp_path / f"x.{number}").write_bytes(b"")
    with pytest.raises(FeedError, match=r"no picture .*\(but 1 \.0, 1 \.1, .*, 3 others\)"):
        read_pictures(str(tmp_path))


def test_sidecar_that_is_no_text_fails_no_other(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = write_pictures(tmp_path, ROWS[:4])
    (folder / "p01.txt").write_bytes(b"the mayor\x92s desk")
    (folder / "p02.txt").write_bytes(b"\xef\xbb\xbfwith a mark\r\n")
    texts = [one.text for one in read_captions(str(folder))]
    assert texts == [f"{CAPTION} 0", None, "with a mark", f"{CAPTION} 3"]
    (message,) = caplog.messages
    assert "p01.txt: not UTF-8" in message


def test_files_over_the_limit_are_not_read(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = write_pictures(tmp_path, ROWS[:2])
    os.truncate(folder / "p00.txt", (1 << 20) + 1)
    texts = [one.text for one in read_captions(str(folder))]
    assert texts == [None, f"{CAPTION} 1"]
    assert "p00.txt: its size in bytes is 1048577, must be at most 1048576" in caplog.text
    os.truncate(folder / "p00.png", (1 << 30) + 1)  # sparse: takes no room
    assert next(read_pictures(str(folder))).image == b""
    assert "p00.png: its size in bytes is 1073741825" in caplog.text


def test_big_folder_is_not_loaded_whole(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    folder = write_pictures(tmp_path, ROWS[:3])
    pictures = read_pictures(str(folder))
    assert next(pictures) == PICTURES[0]
    (folder / "p01.png").write_bytes(b"changed meanwhile")
    assert next(pictures).image == b"changed meanwhile"
    (folder / "p02.png").unlink()
    # No bytes are no picture: it is refused by itself, and the feed goes on.
    assert next(pictures).image == b""
    assert "p02.png cannot be read" in caplog.text
    assert next(pictures, None) is None


# Arrow


def test_views_and_large_types_are_read(tmp_path: Path) -> None:
    """What Polars and others write."""
    for kinds in (
        (pa.string_view(), pa.binary_view(), pa.list_(pa.string_view())),
        (pa.large_string(), pa.large_binary(), pa.large_list(pa.large_string())),
    ):
        schema = pa.schema(list(zip(("id", "image", "captions"), kinds, strict=True)))
        feed = tmp_path / "feed.ipc"
        with ipc.new_file(feed, schema) as writer:
            writer.write_table(pa.Table.from_pylist(ROWS, schema=schema))
        assert list(read_pictures(str(feed))) == PICTURES
        assert [one.text for one in read_captions(str(feed))] == [
            row["captions"][0] for row in ROWS
        ]


@pytest.mark.parametrize("suffix", [".arrow", ".arrows"])
def test_nulls_structs_and_integers_are_read(tmp_path: Path, suffix: str) -> None:
    rows = [{"id": n, "image": {"bytes": b"%d" % n, "path": "p"}, "captions": []} for n in range(3)]
    feed = tmp_path / f"feed{suffix}"
    whole = pa.Table.from_pylist(rows)
    assert whole.schema.field("captions").type == pa.list_(pa.null())
    with (ipc.new_stream if suffix == ".arrows" else ipc.new_file)(feed, whole.schema) as writer:
        writer.write_table(whole)
    wanted = [SourcePicture(n, str(n), b"%d" % n) for n in range(3)]
    assert list(read_pictures(str(feed))) == wanted
    assert [one.text for one in read_captions(str(feed))] == [None] * 3


@pytest.mark.parametrize("suffix", [".arrow", ".arrows"])
def test_damaged_arrow_is_typed(tmp_path: Path, suffix: str) -> None:
    feed = write_ipc(tmp_path / f"feed{suffix}", ROWS)
    data = feed.read_bytes()
    # Each image has 50 or 100 bytes: these are the first offsets, which are then far out of bounds.
    offsets = data.index(b"".join(n.to_bytes(4, "little") for n in (0, 50, 100, 150)))
    feed.write_bytes(data[: offsets + 4] + b"\xff\xff\xff\x7f" + data[offsets + 8 :])
    with pytest.raises(FeedError, match=rf"feed\{suffix}: damaged"):
        list(read_pictures(str(feed)))


@pytest.mark.parametrize("data", [b"", b"ARROW1", b"ARROW1" + bytes(100), b"FEA1" + bytes(50)])
def test_what_is_no_arrow_is_refused_at_once(tmp_path: Path, data: bytes) -> None:
    feed = tmp_path / "feed.arrow"
    feed.write_bytes(data)
    with pytest.raises(FeedError, match=r"feed\.arrow: not a readable Arrow IPC file"):
        read_pictures(str(feed))


@pytest.mark.parametrize("name", ["none.arrow", "none.parquet", "none"])
def test_no_feed(tmp_path: Path, name: str) -> None:
    with pytest.raises(FeedError, match=f"no feed at .*{name}"):
        read_pictures(str(tmp_path / name))


@every_table
def test_wrong_type_is_named_at_once(tmp_path: Path, write: Writer) -> None:
    kinds = {"id": pa.float64(), "image": pa.binary()}
    wrong = pa.Table.from_pylist([{"id": 1.0, "image": b"x"}], schema=pa.schema(kinds))
    feed = write(tmp_path, ROWS)
    if feed.suffix == ".parquet":
        pq.write_table(wrong, feed)
    elif feed.is_dir():
        pq.write_table(wrong, feed / "last.parquet")
    else:
        with ipc.new_file(feed, wrong.schema) as writer:
            writer.write_table(wrong)
    with pytest.raises(FeedError, match="column 'id' is double, not string"):
        read_pictures(str(feed))


# Standard input

ReadStdin = Callable[[bytes], None]
READ_STDIN = """
import json, sys
from sender.sources import read_pictures
pictures = read_pictures("-", start=int(sys.argv[1]))
print(json.dumps([(one.seq, one.name, one.image.decode()) for one in pictures]))
"""


def stream_bytes(rows: list[dict[str, Any]], **options: Any) -> bytes:
    sink = io.BytesIO()
    whole = table(rows)
    with ipc.new_stream(sink, whole.schema, options=ipc.IpcWriteOptions(**options)) as writer:
        writer.write_table(whole, max_chunksize=9)
    return sink.getvalue()


@pytest.fixture
def read_stdin(monkeypatch: pytest.MonkeyPatch) -> Iterator[ReadStdin]:
    """Makes bytes what comes through the standard input, a real pipe."""
    with ExitStack() as pipes:

        def read(data: bytes) -> None:
            read_end, write_end = os.pipe()
            with os.fdopen(write_end, "wb") as pipe:
                pipe.write(data)
            monkeypatch.setattr(sys, "stdin", pipes.enter_context(os.fdopen(read_end)))

        yield read


def test_pipe_of_another_process(tmp_path: Path) -> None:
    run = subprocess.run(
        [sys.executable, "-c", READ_STDIN, "8"],
        input=stream_bytes(ROWS),
        stdout=subprocess.PIPE,
        check=True,
    )
    wanted = [[one.seq, one.name, one.image.decode()] for one in PICTURES[8:]]
    assert json.loads(run.stdout) == wanted


def test_pipe_gives_captions_and_their_pictures(read_stdin: ReadStdin) -> None:
    read_stdin(stream_bytes(ROWS, compression="lz4"))
    captions = list(read_captions("-", which=1))
    assert [one.text for one in captions] == [f"more {n}" for n in range(COUNT)]
    assert [one.content_id for one in captions] == [one.content_id for one in PICTURES]


def test_pipe_passes_captions_over(read_stdin: ReadStdin) -> None:
    data = stream_bytes(ROWS, compression="zstd")
    first = data.index(b"\x28\xb5\x2f\xfd")
    damaged = data[:first] + b"\xff" * 4 + data[first + 4 :]
    read_stdin(damaged)
    assert list(read_pictures("-")) == PICTURES
    read_stdin(damaged)
    with pytest.raises(FeedError, match="standard input: damaged"):
        list(read_captions("-"))


def test_pipe_that_ends_early(read_stdin: ReadStdin) -> None:
    data = stream_bytes(ROWS)
    read_stdin(data[: len(data) - 400])
    pictures = read_pictures("-")
    assert next(pictures) == PICTURES[0]
    with pytest.raises(FeedError, match="standard input: damaged"):
        list(pictures)


@pytest.mark.parametrize("data", [b"", b"nonsense", stream_bytes(ROWS)[:100]])
def test_pipe_without_a_stream(read_stdin: ReadStdin, data: bytes) -> None:
    read_stdin(data)
    with pytest.raises(FeedError, match="standard input: not a readable Arrow IPC stream"):
        read_pictures("-")


def test_a_process_ends_while_a_thread_still_reads_the_pipe() -> None:
    program = (
        "import sys, threading;"
        "from sender.sources import read_pictures;"
        "threading.Thread(target=lambda: list(read_pictures('-')), daemon=True).start();"
        "threading.Event().wait(0.5); sys.exit(3)"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program], stdin=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stderr is not None
        # The pipe stays open, and nothing comes through it.
        assert (process.wait(PATIENCE), process.stderr.read()) == (3, b"")


@pytest.mark.parametrize("repeat", [0, 2])
def test_pipe_cannot_be_repeated(read_stdin: ReadStdin, repeat: int) -> None:
    read_stdin(stream_bytes(ROWS))
    with pytest.raises(FeedError, match="standard input: can be read only once"):
        read_pictures("-", repeat=repeat)


# Names


@pytest.mark.parametrize(
    ("feed", "stream_id"),
    [
        ("-", "stdin"),
        ("news/photos.parquet", "photos"),
        ("/data/photos.v2.ARROW", "photos.v2"),
        ("news/2024.05/", "2024.05"),
        ("my photos (best).parquet", "my-photos-best-"),
        ("..hidden.parquet", "hidden"),
        ("ä.parquet", "-"),
        ("/", "feed"),
        ("x" * 100 + ".parquet", "x" * 64),
    ],
)
def test_default_stream_id(feed: str, stream_id: str) -> None:
    assert default_stream_id(feed) == stream_id


def test_stream_id_of_the_folder_one_stands_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "walks").mkdir()
    monkeypatch.chdir(tmp_path / "walks")
    assert default_stream_id(".") == "walks"
