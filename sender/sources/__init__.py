"""Where pictures and captions come from: every kind of feed, read as numbered rows."""

from sender.sources.interface import SourceCaption, SourcePicture
from sender.sources.reading import default_stream_id, read_captions, read_pictures

__all__ = [
    "SourceCaption",
    "SourcePicture",
    "default_stream_id",
    "read_captions",
    "read_pictures",
]
