"""A post: one picture of a stream with all that has happened to it. Pure values, as the page gets them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from receiver.viewer.gallery import picture_file
from receiver.work import Caption, End, Key
from shared.bitstream.container import Container
from shared.systems.catalogue import stream_name
from shared.wire.v1.types_pb2 import Disposition

__all__ = ["Origin", "Overlays", "Post", "Shown", "first_post", "post_id", "with_end"]


@dataclass(frozen=True, slots=True)
class Origin:
    """What the sending side knows of a picture and a receiver does not.

    Attributes:
        picture: file in the gallery; empty where the feed's picture cannot be read.
        sent_at, caption_sent_at: seconds of the clock of :class:`~receiver.viewer.timeline.Timeline`.
        words: "own", "other" where another picture's were sent, "lost" where none are sent,
            "none" where the feed has none.
    """

    name: str
    source: str
    picture: str
    sent_at: float
    words: str
    caption_sent_at: float | None = None


@dataclass(frozen=True, slots=True)
class Shown:
    """One decoded picture of a post.

    Attributes:
        revision: of the caption it was made with; 0 for none.
        picture: file in the gallery.
        after_ms: since what it was made of was given to the sender: the picture for the first one, the
            caption for a refined one. None where that is not known.
        psnr, ms_ssim: against the original, in dB and in 0..1; None until measured, or where that cannot be.
    """

    revision: int
    disposition: str
    picture: str
    after_ms: float | None
    psnr: float | None = None
    ms_ssim: float | None = None


@dataclass(frozen=True, slots=True)
class Overlays:
    """What can be laid over a picture: files in the gallery.

    Attributes:
        bits: where the stream spends its bits.
        bits_most: of one place of 16x16 pixels, in bits; full colour on the map.
        masks: where the decoder lets the caption in, coarse to fine; empty where it reads none.
        trust: 0..1, how far it followed the caption; None where it does not say.
        caption_note: what its text encoder could not make of the caption; empty where all is well.
    """

    bits: str
    bits_most: float
    masks: tuple[str, ...]
    trust: float | None
    caption_note: str


@dataclass(frozen=True, slots=True)
class Post:
    """What is known of one picture.

    Attributes:
        at: wall clock, in seconds, when it first ended.
        original, words: as in :class:`Origin`; empty where nobody knows.
        language: BCP 47 tag that came with the caption; empty where unknown.
        first, refined: without text, and with its caption.
        unguarded: file in the gallery, decoded as if the guard trusted the caption fully.
        reason: why there is no picture; empty where there is one.
        dispositions: of its ends, in their order.
    """

    id: str
    number: int
    name: str
    at: float
    source: str = ""
    original: str = ""
    words: str = ""
    codec: str = ""
    quality: int = 0
    width: int = 0
    height: int = 0
    picture_bytes: int = 0
    caption: str = ""
    language: str = ""
    caption_bytes: int = 0
    first: Shown | None = None
    refined: Shown | None = None
    overlays: Overlays | None = None
    unguarded: str = ""
    reason: str = ""
    dispositions: tuple[str, ...] = ()

    @property
    def final(self) -> Shown | None:
        """The picture to show."""
        return self.refined or self.first

    @property
    def pixels(self) -> int:
        """The number of pixels of the true picture."""
        return self.width * self.height


def post_id(key: Key) -> str:
    """Names a post on its page; one page shows one stream."""
    return f"{key.epoch}-{key.seq}"


def first_post(end: End, origin: Origin | None, at: float) -> Post:
    """The post that a frame's first end begins."""
    name = end.frame.name if end.frame else ""
    post = Post(id=post_id(end.key), number=end.key.seq, name=name, at=at)
    if origin is not None:
        post = replace(post, source=origin.source, original=origin.picture, words=origin.words)
    if end.picture_made and end.frame:
        header = Container.from_bytes(end.frame.container).header
        post = replace(
            post,
            codec=stream_name(header.codec_id),
            quality=header.quality,
            width=header.width,
            height=header.height,
            picture_bytes=len(end.frame.container),
        )
    return post


def with_end(post: Post, end: End, after_ms: float | None) -> Post:
    """The post after one more end of its key."""
    disposition = Disposition.Name(end.disposition).removeprefix("DISPOSITION_")
    post = replace(post, dispositions=(*post.dispositions, disposition))
    if end.words_beside and end.caption is not None and post.refined is None:
        return replace(post, **_words_of(end.caption))
    if not end.picture_made:
        return replace(post, reason=end.reason or disposition) if end.frame_ended else post
    shown = Shown(end.revision, disposition, picture_file(end.key, end.revision), after_ms)
    caption = end.caption
    if caption is None or not caption.text:
        return replace(post, first=shown)
    if post.refined is not None and post.refined.revision > shown.revision:
        return post
    return replace(
        post,
        refined=shown,
        overlays=None,
        unguarded="",
        **_words_of(caption),
    )


def _words_of(caption: Caption) -> dict[str, Any]:
    """A post's fields that say a caption."""
    return {
        "caption": caption.text or "",
        "language": caption.language,
        "caption_bytes": caption.held_bytes,
    }
