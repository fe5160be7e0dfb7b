"""The place of a sink, as a setting has it: a folder, or ``s3://BUCKET/PREFIX`` and ``gs://BUCKET/PREFIX``."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import PurePath
from typing import Annotated
from urllib.parse import parse_qsl, urlsplit

from pydantic import AfterValidator, BeforeValidator

__all__ = ["SinkPlace", "StorePlace", "is_of_store"]

#: Schemes to what their stores are told, in pyarrow's names.
PARAMETERS: Mapping[str, tuple[str, ...]] = {
    "s3": ("endpoint_override", "region", "scheme", "tls_ca_file_path"),
    "gs": ("endpoint_override", "scheme"),
}
TRANSPORTS = ("http", "https")


@dataclass(frozen=True, slots=True)
class StorePlace:
    """A prefix in a bucket of an object store.

    Attributes:
        scheme: ``s3`` for all that speak its protocol, ``gs`` for Google's.
        prefix: without slashes at its ends; empty for the whole bucket.
        parameters: of the store, by pyarrow's names.
    """

    scheme: str
    bucket: str
    prefix: str
    parameters: Mapping[str, str]

    @classmethod
    def parse(cls, uri: str) -> StorePlace:
        """Read a place, such as ``s3://pictures/news?endpoint_override=minio:9000&scheme=http``.

        Raises:
            ValueError: it names no bucket, an unknown scheme or parameter, or holds credentials.
        """
        parts = urlsplit(uri)
        known = PARAMETERS.get(parts.scheme)
        if known is None:
            raise ValueError(
                f"must be a folder or begin with {' or '.join(map('{}://'.format, PARAMETERS))}"
            )
        if "@" in parts.netloc:
            raise ValueError("must hold no credentials: those come from the environment")
        if not parts.netloc:
            raise ValueError(f"must name a bucket: {parts.scheme}://BUCKET/PREFIX")
        parameters = dict(parse_qsl(parts.query, keep_blank_values=True))
        for name, value in parameters.items():
            if name not in known:
                raise ValueError(f"has a parameter {name!r}, must be one of {', '.join(known)}")
            if not value or (name == "scheme" and value not in TRANSPORTS):
                wanted = " or ".join(TRANSPORTS) if name == "scheme" else "something"
                raise ValueError(f"has {name} {value!r}, must be {wanted}")
        return cls(parts.scheme, parts.netloc, parts.path.strip("/"), parameters)

    def __str__(self) -> str:
        return f"{self.scheme}://{self.bucket}/{self.prefix}".rstrip("/")


def is_of_store(place: str) -> bool:
    """Whether a place is in an object store; else it is a folder."""
    return "://" in place


def _checked(place: str) -> str:
    if is_of_store(place):
        StorePlace.parse(place)
    return place


#: A setting: text or a path.
SinkPlace = Annotated[
    str,
    BeforeValidator(lambda given: os.fspath(given) if isinstance(given, PurePath) else given),
    AfterValidator(_checked),
]
