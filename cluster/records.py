"""Dataclasses as files that other programs read: Parquet for rows, JSON for figures."""

from __future__ import annotations

import io
import math
from collections.abc import Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from shared.pictures import write_atomically

__all__ = ["columns_of", "plain", "write_table"]

_ARROW_TYPES = {
    "str": pa.string(),
    "int": pa.int64(),
    "float": pa.float64(),
    "bool": pa.bool_(),
    "tuple[float, ...]": pa.list_(pa.float64()),
}


def columns_of(kind: type[Any]) -> list[pa.Field]:
    """A column for each field of a dataclass; those that may be None are nullable.

    The dataclass's module postpones its annotations, so that they are text.
    """
    return [
        pa.field(
            field.name,
            _ARROW_TYPES[str(field.type).removesuffix(" | None")],
            nullable=str(field.type).endswith("None"),
        )
        for field in fields(kind)
    ]


def write_table(path: Path, rows: Sequence[Mapping[str, Any]], schema: pa.Schema) -> None:
    """Rows as a Parquet file, which is replaced whole."""
    file = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(list(rows), schema), file)
    write_atomically(path, file.getvalue())


def plain(value: Any) -> Any:
    """A value as JSON can hold it: null for what is not a finite number, text for a path."""
    match value:
        case float() if not math.isfinite(value):
            return None
        case dict():
            return {name: plain(one) for name, one in value.items()}
        case list() | tuple():
            return [plain(one) for one in value]
        case Path():
            return str(value)
    return value
