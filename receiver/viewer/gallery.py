"""The viewer's pictures, as files of one folder under names that follow from their keys."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import PurePosixPath

from receiver.sinks.staged import StagedSink
from receiver.viewer.packets import frame_name
from receiver.work import Delivery, Key
from shared.wire.streams import is_of_previews

__all__ = ["FOLDERS", "GallerySink", "picture_file"]

#: Of the gallery, as far as pages load them.
FOLDERS = ("pictures", "previews", "originals", "overlays", "rivals")


def picture_file(key: Key, revision: int) -> str:
    """Path of a decoded picture in the gallery."""
    folder = "previews" if is_of_previews(key.stream_id) else "pictures"
    return f"{folder}/{frame_name(key)}.r{revision}.png"


class GallerySink(StagedSink):
    """PNG files, one a delivery that has a picture.

    Exactly once: a path follows from (frame, revision), and a file becomes visible after the commit that
    holds its row (:mod:`receiver.sinks.staging`).
    """

    def files(self, deliveries: Sequence[Delivery]) -> Mapping[PurePosixPath, bytes]:
        """See :class:`receiver.sinks.staged.StagedSink`."""
        return {
            PurePosixPath(picture_file(one.key, one.revision)): one.picture
            for one in deliveries
            if one.picture
        }
