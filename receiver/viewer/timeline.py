"""The newest posts of a stream, built from facts as they reach the ledger."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import replace

from receiver.observer import Observer
from receiver.viewer.posts import Origin, Post, first_post, post_id, with_end
from receiver.work import End

__all__ = ["Timeline"]


class Timeline(Observer):
    """Posts by id, oldest first, and who has not seen which.

    What a page is to be told is computed when it asks, not queued: a slow reader costs no memory.

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
        self.keep = keep
        self._origin = origin
        self._forget = forget
        self._now = now
        self._posts: dict[str, Post] = {}
        self._containers: dict[str, bytes] = {}
        self._changed: dict[str, int] = {}
        #: Rises with every change, also of what is told beside the posts.
        self.version = 0
        self._news = asyncio.Event()
        self.closed = False

    def ended(self, end: End) -> None:
        """A fact is in the ledger: see :class:`Observer`."""
        id, origin = post_id(end.key), self._origin(end.key.seq)
        post = self._posts.get(id)
        if post is None:
            if (
                not end.frame_ended
            ):  # a caption of a post that has gone, or of a picture still to come
                self.wake()
                return
            post = first_post(end, origin, time.time())
            if end.picture_made and end.frame:
                self._containers[id] = end.frame.container
        self.put(with_end(post, end, self._after_ms(end, origin)))

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

    def container(self, id: str) -> bytes | None:
        """The stream of a post's picture."""
        return self._containers.get(id)

    @property
    def posts(self) -> Sequence[Post]:
        """All posts, oldest first."""
        return list(self._posts.values())

    def since(self, version: int) -> list[Post]:
        """Posts that have changed after ``version``, oldest first."""
        return [post for id, post in self._posts.items() if self._changed[id] > version]

    def wake(self) -> None:
        """There is something to tell."""
        self.version += 1
        news, self._news = self._news, asyncio.Event()
        news.set()

    async def news(self, version: int) -> int:
        """Wait until something has changed after ``version``, or the end; the version then."""
        while self.version <= version and not self.closed:
            await self._news.wait()
        return self.version

    def close(self) -> None:
        """Nothing more will come."""
        self.closed = True
        self.wake()
