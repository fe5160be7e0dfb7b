"""Rows of an Arrow batch of a feed's columns.

Captions are taken as the bytes they are and decoded one by one: one that is not UTF-8 fails no other.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
from pyarrow import types

from shared.feed_columns import FeedError, FeedRow
from shared.feed_schema import CAPTION_NAMES

__all__ = ["batch_rows", "with_raw_captions"]

log = logging.getLogger("sidewire.captions")

#: The type with the same bytes, by the question whether a type is its string type.
RAW: tuple[tuple[Callable[[Any], bool], Any], ...] = (
    (types.is_string, pa.binary()),
    (types.is_large_string, pa.large_binary()),
    (types.is_string_view, pa.binary_view()),
)
#: Types of lists: the question, and the list of other values.
LISTS: tuple[tuple[Callable[[Any], bool], Callable[[Any, Any], Any]], ...] = (
    (types.is_list, lambda kind, value: pa.list_(value)),
    (types.is_large_list, lambda kind, value: pa.large_list(value)),
    (types.is_fixed_size_list, lambda kind, value: pa.list_(value, kind.list_size)),
    (types.is_list_view, lambda kind, value: pa.list_view(value)),
    (types.is_large_list_view, lambda kind, value: pa.large_list_view(value)),
)


def with_raw_captions(batch: pa.RecordBatch) -> pa.RecordBatch:
    """The same batch, its captions of binary types instead of string types; nothing is copied or checked."""
    for name in CAPTION_NAMES:
        place = batch.schema.get_field_index(name)
        if place >= 0:
            column = batch.column(place)
            batch = batch.set_column(place, name, column.view(_raw(column.type)))
    return batch


def batch_rows(place: Path | str, batch: pa.RecordBatch) -> Iterator[FeedRow]:
    """Rows of a batch of chosen columns.

    Raises:
        FeedError: an id is null; ``place`` is named. What pyarrow raises: the batch is damaged.
    """
    for values in with_raw_captions(batch).to_pylist():
        if values["id"] is None:
            raise FeedError(f"{place}: column 'id' holds a null")
        name = str(values["id"])
        raw = next((values[other] for other in CAPTION_NAMES if other in values), None)
        yield FeedRow(
            id=name,
            image=_image(values["image"]),
            captions=tuple(_decoded(raw, f"{place}: of {name!r}")),
            source=values.get("source") or "",
            licence=values.get("licence") or "",
            telling=values.get("telling") or "",
        )


def _image(value: bytes | dict[str, Any] | None) -> bytes:
    data: bytes | None = value["bytes"] if isinstance(value, dict) else value
    return data or b""


def _decoded(raw: bytes | list[bytes | None] | None, whose: str) -> Iterator[str]:
    for one in raw if isinstance(raw, list) else [raw]:
        if one is not None:
            try:
                yield one.decode()
            except UnicodeDecodeError as error:
                log.warning("skipped a caption: %s: not UTF-8: %s", whose, error)


def _raw(kind: Any) -> Any:
    """The binary type for a type of captions."""
    for is_list, list_of in LISTS:
        if is_list(kind):
            return list_of(kind, _raw(kind.value_type))
    return next((raw for is_string, raw in RAW if is_string(kind)), kind)
