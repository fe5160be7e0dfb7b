"""The newsroom: replays a feed through the senders at a pace that can be changed while it runs."""

from __future__ import annotations

import asyncio
import itertools
import random
import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

from cluster.demo.items import Item
from cluster.demo.pipe import FeedPipe
from receiver.viewer.desk import Controls, Desk, Sending
from receiver.viewer.posts import Origin
from shared.errors import SidewireError
from shared.pictures import picture_from_bytes, picture_head, quick_png, write_atomically

__all__ = ["ChosenWords", "Newsroom", "choose_words"]

#: Formats that every browser shows as they are.
SHOWN = {"JPEG": "jpg", "PNG": "png", "WEBP": "webp"}
#: Captions of other pictures that a mismatched one is drawn from.
OTHERS = 32
ORIGINALS = "originals"
LOOK_SECONDS = 0.05

ChosenWords = tuple[str, str]


def choose_words(
    item: Item, others: deque[Item], controls: Controls, chance: random.Random
) -> ChosenWords:
    """What is sent for a picture, and what that is, as in :class:`Origin`: its own caption, another
    picture's, or none.

    As many numbers are drawn whatever comes of them: a control that is moved changes nothing else.
    """
    lost, mixed = chance.random() < controls.loss, chance.random() < controls.mismatch
    foreign = [one.caption for one in others if one.name != item.name and one.caption]
    other = chance.choice(foreign or [""])
    if not item.caption:
        return "", "none"
    if lost:
        return "", "lost"
    if mixed and other:
        return other, "other"
    return item.caption, "own"


class Newsroom(Desk):
    """Hands pictures to a sender, before it their previews to another, and captions to a third, later.

    Args:
        rounds: gives the feed's items, called with the number of the round.
        repeat: begin again when the feed is over.
        gallery: folder that originals go to, for the page.
        changed: called when there is something new to tell.
        pending: how many pictures and captions have been sent and have not ended.
        told: the pictures' sender gets the words, too, for an encoder that reads them.
        most_pending: beyond which the next picture waits: a machine that cannot keep the pace gets a slower
            one, not a queue that grows for ever.
    """

    def __init__(
        self,
        rounds: Callable[[int], Iterator[Item]],
        *,
        repeat: bool,
        gallery: Path,
        controls: Controls,
        seed: int,
        changed: Callable[[], None],
        pending: Callable[[], int],
        most_pending: int,
        told: bool = False,
    ) -> None:
        self._rounds = rounds
        self._repeat = repeat
        self._gallery = gallery
        self._controls = controls
        self._chance = random.Random(seed)
        self._changed = changed
        self._pending = pending
        self._most_pending = most_pending
        self._told = told
        self._moved = asyncio.Event()
        self._origins: dict[int, Origin] = {}
        self._sending = Sending()
        #: When the last picture left.
        self._left = float("-inf")
        #: (number, item, words, when its picture left), in the order of the pictures.
        self._words: asyncio.Queue[tuple[int, Item, ChosenWords, float] | None] = asyncio.Queue()
        (gallery / ORIGINALS).mkdir(parents=True, exist_ok=True)

    # The desk

    @property
    def controls(self) -> Controls:
        """See :class:`Desk`."""
        return self._controls

    @controls.setter
    def controls(self, controls: Controls) -> None:
        self._controls = controls
        moved, self._moved = self._moved, asyncio.Event()
        moved.set()
        self._changed()

    @property
    def sending(self) -> Sending:
        """See :class:`Desk`."""
        return self._sending

    def origin(self, seq: int) -> Origin | None:
        """See :class:`Desk`."""
        return self._origins.get(seq)

    def forget(self, seq: int) -> None:
        """See :class:`Desk`."""
        origin = self._origins.pop(seq, None)
        if origin is not None and origin.picture:
            (self._gallery / origin.picture).unlink(missing_ok=True)

    # The replay

    async def replay(self, pictures: FeedPipe, previews: FeedPipe, captions: FeedPipe) -> None:
        """Replay until the feed is over and every caption has left.

        Raises:
            FeedError: the feed cannot be read. SidewireError: a sender has ended.
        """
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._send_pictures(pictures, previews))
                group.create_task(self._send_captions(captions))
        finally:
            for pipe in (pictures, previews, captions):
                pipe.close()

    def _items(self) -> Iterator[Item]:
        for number in itertools.count():
            found = False
            for item in self._rounds(number):
                found = True
                yield item
            if not self._repeat or not found:
                return

    async def _send_pictures(self, pipe: FeedPipe, previews: FeedPipe) -> None:
        items = self._items()
        others: deque[Item] = deque(maxlen=OTHERS)
        coming = await asyncio.to_thread(next, items, None)
        for seq in itertools.count():
            if coming is None:
                break
            item, coming = coming, await asyncio.to_thread(next, items, None)
            if coming is not None:  # so that the first picture's caption can be another's too
                others.append(replace(coming, image=b""))
            words = choose_words(item, others, self._controls, self._chance)
            picture = await asyncio.to_thread(self._original, seq, item.image)
            while self._pending() >= self._most_pending:
                await asyncio.sleep(LOOK_SECONDS)
            await self._due(lambda: self._left + 1 / self._controls.rate)
            self._left = left = time.monotonic()
            self._origins[seq] = Origin(
                item.name, item.source, picture, left, words[1], picture_bytes=len(item.image)
            )
            self._sending = self._sending.model_copy(
                update={"frames": seq + 1, "previews": seq + 1}
            )
            self._changed()
            self._words.put_nowait((seq, item, words, left))
            # The same row twice: a preview has its picture's number.
            await previews.write(item.name, item.image, ())
            await pipe.write(item.name, item.image, (words[0],) if self._told and words[0] else ())
        self._words.put_nowait(None)
        pipe.close()
        previews.close()

    async def _send_captions(self, pipe: FeedPipe) -> None:
        while (entry := await self._words.get()) is not None:
            seq, item, (text, _), left = entry
            await self._due(partial(self._caption_due, left))
            origin = self._origins.get(seq)
            if origin is not None and text:
                self._origins[seq] = replace(origin, caption_sent_at=time.monotonic())
            if text:
                more = self._sending.captions + 1
                self._sending = self._sending.model_copy(update={"captions": more})
                self._changed()
            # A row without words keeps the numbers of both channels together.
            await pipe.write(item.name, item.image, (text,) if text else ())

    def _caption_due(self, left: float) -> float:
        """When the caption of a picture leaves that left then."""
        return left + self._controls.caption_delay

    async def _due(self, when: Callable[[], float]) -> None:
        """Wait until it is time, by the controls as they are then."""
        while self._controls.paused or when() > time.monotonic():
            left = None if self._controls.paused else when() - time.monotonic()
            try:
                async with asyncio.timeout(left):
                    await self._moved.wait()
            except TimeoutError:
                pass

    def _original(self, seq: int, image: bytes) -> str:
        """Write it for the page; its file in the gallery, empty where it is no picture."""
        try:
            ending = SHOWN.get(picture_head(image).format, "")
            if not ending:
                image, ending = quick_png(picture_from_bytes(image)), "png"
            else:
                picture_from_bytes(image)
        except SidewireError:
            return ""
        name = f"{ORIGINALS}/{seq}.{ending}"
        write_atomically(self._gallery / name, image)
        return name
