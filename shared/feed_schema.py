"""The feed schema: the columns of a row, and the types that each may have.

| column | type | |
| --- | --- | --- |
| id | string or integer | names the picture |
| image | binary, or struct with binary `bytes` | the encoded picture, see :mod:`shared.pictures` |
| captions, or caption | list of string, or string | may be empty |
| format, width, height | string, integers | optional; not trusted, so not read |
| source, licence | string | optional |

The struct is how Hugging Face's data sets hold pictures. Each column may also be of Arrow's type null, as
it is in a part of a feed whose rows have none there: a null is none, except for an id.

Who reads chooses columns; one that was not chosen need not exist and is never touched, so that a sender
of pictures cannot read a caption.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pyarrow as pa
from pyarrow import types

from shared.feed_columns import CAPTIONS_IF_ANY, FeedError

__all__ = ["CAPTION_NAMES", "present_columns"]


def _is_string(kind: Any) -> bool:
    return bool(types.is_string(kind) or types.is_large_string(kind) or types.is_string_view(kind))


def _is_binary(kind: Any) -> bool:
    return bool(types.is_binary(kind) or types.is_large_binary(kind) or types.is_binary_view(kind))


def _is_list(kind: Any) -> bool:
    return bool(
        types.is_list(kind)
        or types.is_large_list(kind)
        or types.is_fixed_size_list(kind)
        or types.is_list_view(kind)
        or types.is_large_list_view(kind)
    )


def _names(kind: Any) -> bool:
    return _is_string(kind) or bool(types.is_integer(kind))


def _holds_images(kind: Any) -> bool:
    if not types.is_struct(kind):
        return _is_binary(kind)
    place = kind.get_field_index("bytes")
    return place >= 0 and (_is_binary(kind[place].type) or types.is_null(kind[place].type))


def _says(kind: Any) -> bool:
    if not _is_list(kind):
        return _is_string(kind)
    return _is_string(kind.value_type) or bool(types.is_null(kind.value_type))


@dataclass(frozen=True)
class Column:
    """A column that is read: what its type must be, in words and as a test.

    Attributes:
        name: what it is chosen by.
        names: what it may be called in a feed, where that is something else.
    """

    name: str
    wanted: str
    fits: Callable[[Any], bool]
    required: bool = True
    names: tuple[str, ...] = ()


#: What the column of captions may be called.
CAPTION_NAMES = ("captions", "caption")
CAPTIONS = Column("captions", "list<string> or string", _says, names=CAPTION_NAMES)
COLUMNS = (
    Column("id", "string or integer", _names),
    Column("image", "binary or struct<bytes: binary>", _holds_images),
    CAPTIONS,
    replace(CAPTIONS, name=CAPTIONS_IF_ANY, required=False),
    Column("source", "string", _is_string, required=False),
    Column("licence", "string", _is_string, required=False),
    Column("telling", "string", _is_string, required=False),
)


def present_columns(place: Path | str, schema: pa.Schema, columns: Collection[str]) -> list[str]:
    """Names of the chosen columns that are there, as they are called there.

    Raises:
        FeedError: one is missing that must be there, or is of another type; ``place`` is named.
    """
    present = []
    for column in COLUMNS:
        if column.name not in columns:
            continue
        names = column.names or (column.name,)
        name = next((name for name in names if schema.get_field_index(name) >= 0), None)
        if name is not None:
            kind = schema.field(name).type
            if not (types.is_null(kind) or column.fits(kind)):
                raise FeedError(f"{place}: column {name!r} is {kind}, not {column.wanted}")
            present.append(name)
        elif column.required:
            raise FeedError(f"{place}: no column {column.name!r} ({column.wanted})")
    return present
