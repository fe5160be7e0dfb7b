"""Where pictures and captions come from: every kind of feed, read as numbered rows."""

from sender.sources.interface import SourceCaption, SourcePicture
from sender.sources.reading import count_rows, default_stream_id, read_captions, read_pictures

__all__ = [
    "SourceCaption",
    "SourcePicture",
    "count_rows",
    "default_stream_id",
    "read_captions",
    "read_pictures",
]
