"""Pictures as files in a folder or an object store, with what is known of each in a JSON file beside it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import PurePosixPath

from receiver.sinks.facts import facts
from receiver.sinks.staged import StagedSink
from receiver.work import Delivery

__all__ = ["FolderSink"]

#: Media types to endings.
ENDINGS = {
    "image/png": ".png",
    "image/jpeg": ".jpg",
    "image/webp": ".webp",
    "application/x-sidewire": ".swi",
}
UNSAFE = re.compile(r"[^A-Za-z0-9._-]+")
LONGEST_NAME = 100


class FolderSink(StagedSink):
    """One file a delivery that has a picture, one ``.json`` a delivery:
    ``<stream_id>/<epoch>-<seq>-<name>.r<revision><ending>``.

    Exactly once: a path follows from (frame, revision), and a file becomes visible after the commit
    that holds its row. A crash before the commit leaves nothing; one after it leaves files that
    :meth:`recover` makes visible.
    """

    def files(self, deliveries: Sequence[Delivery]) -> Mapping[PurePosixPath, bytes]:
        """See :class:`receiver.sinks.staged.StagedSink`."""
        return dict(file for one in deliveries for file in _files(one))


def _files(delivery: Delivery) -> Iterator[tuple[PurePosixPath, bytes]]:
    stem = _stem(delivery)
    yield PurePosixPath(delivery.key.stream_id, f"{stem}.json"), _description(delivery)
    if delivery.picture:
        name = stem + ENDINGS.get(delivery.media_type, ".bin")
        yield PurePosixPath(delivery.key.stream_id, name), delivery.picture


def _stem(delivery: Delivery) -> str:
    """A file's name without its ending. The sender's name is in it for people, made harmless."""
    key = delivery.key
    safe = UNSAFE.sub("_", delivery.name)[:LONGEST_NAME]
    return "-".join(filter(None, (f"{key.epoch}-{key.seq:08d}", safe))) + f".r{delivery.revision}"


def _description(delivery: Delivery) -> bytes:
    text = json.dumps(facts(delivery), ensure_ascii=False, indent=2, default=datetime.isoformat)
    return f"{text}\n".encode()
