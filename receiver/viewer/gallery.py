"""The viewer's pictures, as files of one folder under names that follow from their keys."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import PurePosixPath

from receiver.sinks.staged import StagedSink
from receiver.work import Delivery, Key

__all__ = ["GallerySink", "picture_file"]


def picture_file(key: Key, revision: int) -> str:
    """Path of a decoded picture in the gallery."""
    return f"pictures/{key.epoch}-{key.seq}.r{revision}.png"


class GallerySink(StagedSink):
    """PNG files, one a delivery that has a picture.

    Exactly once: a path follows from (frame, revision), and a file becomes visible after the commit that
    holds its row (:mod:`receiver.sinks.staging`).

    Args:
        folder: made where there is none.
    """

    def files(self, deliveries: Sequence[Delivery]) -> Mapping[PurePosixPath, bytes]:
        """See :class:`receiver.sinks.staged.StagedSink`."""
        return {
            PurePosixPath(picture_file(one.key, one.revision)): one.picture
            for one in deliveries
            if one.picture
        }
