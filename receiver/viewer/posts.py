"""A post: one picture of a stream with all that has happened to it. Pure values, as the page gets them."""

from __future__ import annotations

from dataclasses import dataclass, replace

from receiver.viewer.gallery import picture_file
from receiver.viewer.packets import Packet, caption_packet, frame_packet
from receiver.viewer.rivals import Comparison
from receiver.work import Caption, End
from shared.wire.v1.types_pb2 import Disposition

__all__ = ["Origin", "Overlays", "Post", "Shown", "new_post", "with_end", "with_preview"]


@dataclass(frozen=True, slots=True)
class Origin:
    """What the sending side knows of a picture and a receiver does not.

    Attributes:
        picture: file in the gallery; empty where the feed's picture cannot be read.
        picture_bytes: of the feed's own file.
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
    picture_bytes: int = 0


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
        id: names the post on its page; one page shows one stream, in one epoch.
        at: wall clock, in seconds, when its preview or itself first ended.
        original, original_bytes, words: as in :class:`Origin`; empty where nobody knows.
        language: BCP 47 tag that came with the caption; empty where unknown.
        preview: of a stream of previews, under the same number.
        preview_told: file in the gallery, the preview's bytes drawn with the caption.
        first, refined: without text, and with its caption.
        unguarded: file in the gallery, decoded as if the guard trusted the caption fully.
        comparison: with formats of the day; None until somebody asks.
        reason: why there is no picture; empty where there is one.
        dispositions: of its ends, in their order, without its preview's.
        sent: what came of it, in that order.
    """

    id: str
    number: int
    name: str
    at: float
    source: str = ""
    original: str = ""
    original_bytes: int = 0
    words: str = ""
    codec: str = ""
    quality: int = 0
    width: int = 0
    height: int = 0
    picture_bytes: int = 0
    preview_bytes: int = 0
    caption: str = ""
    language: str = ""
    caption_bytes: int = 0
    preview: Shown | None = None
    preview_told: str = ""
    first: Shown | None = None
    refined: Shown | None = None
    overlays: Overlays | None = None
    unguarded: str = ""
    comparison: Comparison | None = None
    reason: str = ""
    dispositions: tuple[str, ...] = ()
    sent: tuple[Packet, ...] = ()

    @property
    def final(self) -> Shown | None:
        """The picture to show; none while only the preview is there."""
        return self.refined or self.first

    @property
    def settled(self) -> bool:
        """No better picture will come, as far as anybody knows."""
        return self.refined is not None or self.words in ("lost", "none")

    @property
    def pixels(self) -> int:
        """The number of pixels of the true picture."""
        return self.width * self.height


def new_post(end: End, origin: Origin | None, at: float) -> Post:
    """The post that the first end of a picture, or of its preview, begins."""
    name = end.frame.name if end.frame else ""
    post = Post(id=str(end.key.seq), number=end.key.seq, name=name, at=at)
    if origin is None:
        return post
    return replace(
        post,
        source=origin.source,
        original=origin.picture,
        original_bytes=origin.picture_bytes,
        words=origin.words,
    )


def _shown(end: End, after_ms: float | None) -> Shown:
    disposition = Disposition.Name(end.disposition).removeprefix("DISPOSITION_")
    return Shown(end.revision, disposition, picture_file(end.key, end.revision), after_ms)


def with_preview(post: Post, end: End, after_ms: float | None) -> Post:
    """The post after its preview has ended with a picture."""
    assert end.frame is not None
    packet = frame_packet(end.frame)
    return replace(
        post,
        preview=_shown(end, after_ms),
        preview_bytes=packet.bytes,
        width=packet.width,
        height=packet.height,
        sent=(*post.sent, packet),
    )


def with_end(post: Post, end: End, after_ms: float | None) -> Post:
    """The post after one more end of its picture's key."""
    shown = _shown(end, after_ms)
    post = replace(post, dispositions=(*post.dispositions, shown.disposition))
    if end.words_beside and end.caption is not None and post.refined is None:
        return _with_words(post, end.caption)
    if not end.picture_made:
        reason = end.reason or shown.disposition
        return replace(post, reason=reason) if end.frame_ended else post
    if end.frame_ended and end.frame is not None:
        post = _with_picture(post, frame_packet(end.frame))
    caption = end.caption
    if caption is None or not caption.text:
        return replace(post, first=shown)
    if post.refined is not None and post.refined.revision > shown.revision:
        return post
    post = replace(post, refined=shown, overlays=None, unguarded="", preview_told="")
    return _with_words(post, caption)


def _with_words(post: Post, caption: Caption) -> Post:
    """A post that says its caption, which has come."""
    packet = caption_packet(caption)
    return replace(
        post,
        caption=caption.text or "",
        language=caption.language,
        caption_bytes=packet.bytes,
        sent=(*post.sent, packet),
    )


def _with_picture(post: Post, packet: Packet) -> Post:
    return replace(
        post,
        codec=packet.codec,
        quality=packet.level,
        width=packet.width,
        height=packet.height,
        picture_bytes=packet.bytes,
        sent=(*post.sent, packet),
    )
