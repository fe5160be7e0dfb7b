"""The newest posts of a stream, built from facts as they reach the ledger."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from receiver.observer import Observer
from receiver.viewer.news import News
from receiver.viewer.packets import stream_file
from receiver.viewer.posts import Origin, Post, new_post, with_end, with_preview
from receiver.work import End
from shared.wire.streams import is_of_previews

__all__ = ["Timeline"]


class Timeline(News, Observer):
    """Posts by id, oldest first, and who has not seen which.

    What a page is to be told is computed when it asks, not queued: a slow reader costs no memory. The version
    rises also with what is told beside the posts.

    Args:
        keep: posts at most; the oldest go. None for all.
        origin: what the sending side knows of a number.
        forget: called with the posts that go.
    """

    def __init__(
        self,
        keep: int | None,
        origin: Callable[[int], Origin | None] = lambda _: None,
        forget: Callable[[Post], None] = lambda _: None,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__()
        self.keep = keep
        self._origin = origin
        self._forget = forget
        self._now = now
        self._posts: dict[str, Post] = {}
        #: By post and :func:`~receiver.viewer.packets.stream_file`.
        self._containers: dict[str, dict[str, bytes]] = {}
        #: Number below which posts have gone.
        self._oldest = 0
        self._changed: dict[str, int] = {}

    def ended(self, end: End) -> None:
        """A fact is in the ledger: see :class:`Observer`."""
        origin = self._origin(end.key.seq)
        after_ms = self._after_ms(end, origin)
        if is_of_previews(end.key.stream_id):
            self._preview_ended(end, origin, after_ms)
            return
        post = self._posts.get(str(end.key.seq))
        if post is None:
            if not end.frame_ended:  # a caption of a post that has gone, or of a picture to come
                self.wake()
                return
            post = new_post(end, origin, time.time())
        self._put(with_end(post, end, after_ms), end)

    def _preview_ended(self, end: End, origin: Origin | None, after_ms: float | None) -> None:
        # What cannot be a preview cannot be a picture either, and then that one says why.
        if not end.picture_made or end.key.seq < self._oldest:
            self.wake()
            return
        post = self._posts.get(str(end.key.seq)) or new_post(end, origin, time.time())
        self._put(with_preview(post, end, after_ms), end)

    def _put(self, post: Post, end: End) -> None:
        if end.picture_made and end.frame_ended and end.frame:
            self._containers.setdefault(post.id, {})[stream_file(end.key)] = end.frame.container
        self.put(post)

    def _after_ms(self, end: End, origin: Origin | None) -> float | None:
        if origin is None:
            return None
        since = origin.caption_sent_at if end.caption and end.caption.text else origin.sent_at
        return None if since is None else 1000 * (self._now() - since)

    def put(self, post: Post) -> None:
        """Add a post, or show it as it is now."""
        self._posts[post.id] = post
        while self.keep is not None and len(self._posts) > self.keep:
            gone = self._posts.pop(next(iter(self._posts)))
            self._changed.pop(gone.id, None)
            self._containers.pop(gone.id, None)
            self._oldest = max(self._oldest, gone.number + 1)
            self._forget(gone)
        self.wake()
        if post.id in self._posts:
            self._changed[post.id] = self.version

    def change(self, id: str, **values: object) -> None:
        """Set fields of a post, if it has not gone."""
        post = self._posts.get(id)
        if post is not None:
            self.put(replace(post, **values))  # type: ignore[arg-type]

    def get(self, id: str) -> Post | None:
        """A post by its id."""
        return self._posts.get(id)

    def streams(self, id: str) -> Mapping[str, bytes]:
        """The containers of a post's picture and preview, by the files that they are offered as."""
        return self._containers.get(id, {})

    def stream(self, file: str) -> bytes | None:
        """The container that is offered as this file."""
        return next((one[file] for one in self._containers.values() if file in one), None)

    def container(self, id: str, what: str = "picture") -> bytes | None:
        """The stream of a post's picture, or of its preview."""
        post = self._posts.get(id)
        packets = post.sent if post else ()
        file = next((one.file for one in packets if one.what == what), "")
        return self.streams(id).get(file)

    @property
    def posts(self) -> Sequence[Post]:
        """All posts, oldest first."""
        return list(self._posts.values())

    def since(self, version: int) -> list[Post]:
        """Posts that have changed after ``version``, oldest first."""
        return [post for id, post in self._posts.items() if self._changed[id] > version]
