"""Holds posts against formats of the day: those that somebody has asked for, and now and then the newest."""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from receiver.viewer.lab import Lab
from receiver.viewer.posts import Post
from receiver.viewer.rivals import FORMATS, Comparison, Fitted, Matched, Rival
from receiver.viewer.timeline import Timeline
from shared.errors import SidewireError
from shared.pictures import write_atomically

__all__ = ["Comparer", "comparable"]

log = logging.getLogger("sidewire.viewer")

#: Folder of the gallery.
RIVALS = "rivals"
#: From one post that nobody has asked for to the next: searches take a core some seconds.
UNASKED_SECONDS = 30.0


class Comparer:
    """Searches one format of one post at a time, so that somebody who asks waits for one search at most; what
    is found is a post's ``comparison``, as far as it has come.
    """

    def __init__(
        self,
        gallery: Path,
        timeline: Timeline,
        lab: Lab,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._gallery = gallery
        self._timeline = timeline
        self._lab = lab
        self._now = now
        self._asked: deque[str] = deque()
        #: The post that nobody has asked for, and when the next one may be begun.
        self._unasked = ""
        self._next_unasked = 0.0
        (gallery / RIVALS).mkdir(parents=True, exist_ok=True)

    def ask(self, id: str) -> bool:
        """Put a post first; whether it can be compared at all, or has been."""
        post = self._timeline.get(id)
        if post is None or not comparable(post):
            return False
        if id not in self._asked:
            self._asked.append(id)
            self._timeline.wake()
        return True

    async def run(self) -> None:
        """Compare until cancelled."""
        seen = 0
        while not self._timeline.closed:
            seen = await self._timeline.news(seen)
            while (post := self._next()) is not None:
                await self.step(post)

    def _next(self) -> Post | None:
        while self._asked:
            post = self._timeline.get(self._asked[0])
            if post is not None and _unfinished(post):
                return post
            self._asked.popleft()
        post = self._timeline.get(self._unasked)
        if post is not None and _unfinished(post):
            return post
        if self._now() < self._next_unasked:
            return None
        posts = (one for one in reversed(self._timeline.posts) if one.settled)
        post = next((one for one in posts if comparable(one) and _unfinished(one)), None)
        if post is not None:
            self._unasked, self._next_unasked = post.id, self._now() + UNASKED_SECONDS
        return post

    async def finish(self, id: str) -> None:
        """All searches of one post."""
        while (post := self._timeline.get(id)) is not None and _unfinished(post):
            await self.step(post)

    async def step(self, post: Post) -> None:
        """One search more: what each format makes of the bytes first, then what each needs."""
        found = post.comparison or Comparison(post.picture_bytes)
        try:
            found = await self._searched(post, found)
        except (SidewireError, OSError) as error:
            log.warning("%s cannot be compared: %s", post.name, error)
            found = replace(found, done=True, problem=str(error))
        self._timeline.change(post.id, comparison=found)

    async def _searched(self, post: Post, found: Comparison) -> Comparison:
        names = list(FORMATS)
        if len(found.rivals) < len(names):
            rival = await self._fitted(post, names[len(found.rivals)])
            return replace(found, rivals=(*found.rivals, rival))
        place = next(place for place, one in enumerate(found.rivals) if not one.done)
        matched = await self._matched(post, names[place])
        rivals = list(found.rivals)
        rivals[place] = replace(rivals[place], matched=matched, done=True)
        return replace(found, rivals=tuple(rivals), done=all(one.done for one in rivals))

    async def _fitted(self, post: Post, name: str) -> Rival:
        original = (self._gallery / post.original).read_bytes()
        found = await self._lab.fit(original, name, post.picture_bytes)
        if found is None:
            return Rival(FORMATS[name])
        file = f"{RIVALS}/{post.id}.{name.rpartition('/')[2]}.png"
        write_atomically(self._gallery / file, found.png)
        fitted = Fitted(found.bytes, found.quality, found.shrink, file)
        return Rival(FORMATS[name], fitted)

    async def _matched(self, post: Post, name: str) -> Matched | None:
        assert post.final is not None
        original = (self._gallery / post.original).read_bytes()
        decoded = (self._gallery / post.final.picture).read_bytes()
        found = await self._lab.match(original, name, decoded)
        return None if found is None else Matched(found.bytes, found.quality, found.shrink)


def comparable(post: Post) -> bool:
    """Whether there is a picture and an original to hold it against."""
    return post.final is not None and bool(post.original)


def _unfinished(post: Post) -> bool:
    return post.comparison is None or not post.comparison.done
