"""The viewer at work: counts, measures, renders what is asked for, and tells pages."""

from __future__ import annotations

import asyncio
import logging
import secrets
import time
from collections.abc import Container, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, Literal

from receiver.decoders.interface import DecoderPool, InspectingPool, Inspection
from receiver.viewer.comparing import Comparer
from receiver.viewer.desk import Desk
from receiver.viewer.facts import Facts, read_facts
from receiver.viewer.lab import Abilities, Lab, Measured
from receiver.viewer.overlays import overlay_png
from receiver.viewer.pace import Pace
from receiver.viewer.posts import Overlays, Post, Shown
from receiver.viewer.timeline import Timeline
from shared.errors import SidewireError
from shared.pictures import write_atomically

__all__ = ["Viewer", "unmeasured"]

log = logging.getLogger("sidewire.viewer")

OVERLAYS = "overlays"
Phase = Literal["starting", "running", "over"]
Side = Literal["refined", "first", "preview"]
SIDES: tuple[Side, ...] = ("refined", "first", "preview")


class Viewer:
    """Everything behind the page but HTTP.

    Args:
        stream: id of the stream of pictures that is shown; their previews come on the one beside it.
        gallery: folder of the pictures, which the receiver's :class:`GallerySink` writes to.
        ledger: the receiver's database.
        pool: the receiver's decoders.
    """

    def __init__(
        self,
        stream: str,
        gallery: Path,
        ledger: Path,
        timeline: Timeline,
        desk: Desk,
        lab: Lab,
        pool: DecoderPool,
    ) -> None:
        #: Tells this run's posts from those of another on the same address.
        self.run_id = secrets.token_hex(8)
        self.stream = stream
        self.gallery = gallery
        self.timeline = timeline
        self.desk = desk
        self.facts = Facts()
        self.phase: Phase = "starting"
        self.abilities = Abilities(text=False, guard=False)
        self._ledger = ledger
        self._lab = lab
        self._pool = pool
        self._pace = Pace()
        self._unmeasurable: set[tuple[str, Side, int]] = set()
        self.comparer = Comparer(gallery, timeline, lab)
        (gallery / OVERLAYS).mkdir(parents=True, exist_ok=True)

    @property
    def inspects(self) -> bool:
        """Whether overlays can be had."""
        return isinstance(self._pool, InspectingPool)

    # What pages are told

    def state(self) -> dict[str, Any]:
        """Counters and controls, for the page."""
        return {
            "run": self.run_id,
            "phase": self.phase,
            "real_rate": self._pace.rate(time.monotonic()),
            "facts": asdict(self.facts),
            "sending": self.desk.sending.model_dump(),
            "lost": self.lost,
            "controls": self.desk.controls.model_dump(),
            "abilities": asdict(self.abilities) | {"overlays": self.inspects},
        }

    @property
    def lost(self) -> int:
        """Pictures and previews that will never end: none before all is over, as senders have them."""
        if self.phase != "over":
            return 0
        sending, facts = self.desk.sending, self.facts
        return sending.frames - facts.frames + sending.previews - facts.previews_ended

    @property
    def pending(self) -> int:
        """Pictures and captions that were sent and have not ended."""
        sending = self.desk.sending
        return sending.frames + sending.captions - sum(self.facts.dispositions.values())

    def enter(self, phase: Phase) -> None:
        """Say how far the replay is."""
        self.phase = phase
        self.count()
        self.timeline.wake()

    def count(self) -> None:
        """Read the facts again."""
        facts = read_facts(self._ledger, self.stream) if self._ledger.exists() else Facts()
        self._pace.note(facts.frames, time.monotonic())
        if facts != self.facts:
            self.facts = facts
            self.timeline.wake()

    # What goes on behind

    async def run(self, *, comparing: bool) -> None:
        """Count and measure until cancelled; ``comparing`` also holds posts against formats of the day."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._count())
            group.create_task(self._measure_all())
            if comparing:
                group.create_task(self.comparer.run())

    async def _count(self) -> None:
        seen = 0
        while not self.timeline.closed:
            seen = await self.timeline.news(seen)
            self.count()

    async def _measure_all(self) -> None:
        seen = 0
        while not self.timeline.closed:
            seen = await self.timeline.news(seen)
            while (waiting := self._unmeasured()) is not None:
                await self._measure(*waiting)

    async def measured(self) -> None:
        """Wait until every picture is measured that can be; :meth:`run` does it."""
        seen = 0
        while self._unmeasured() is not None:
            seen = await self.timeline.news(seen)

    def _unmeasured(self) -> tuple[Post, Side] | None:
        return unmeasured(self.timeline.posts, self._unmeasurable)

    async def _measure(self, post: Post, side: Side) -> None:
        shown: Shown = getattr(post, side)
        try:
            original = (self.gallery / post.original).read_bytes()
            decoded = (self.gallery / shown.picture).read_bytes()
            measured = await self._lab.measure(original, decoded)
        except (SidewireError, OSError) as error:
            log.warning("%s cannot be measured: %s", post.name, error)
            measured = Measured(None, None)
        if measured.psnr is None:
            self._unmeasurable.add((post.id, side, shown.revision))
        now = self.timeline.get(post.id)
        if now is not None and getattr(now, side).revision == shown.revision:
            better = replace(shown, psnr=measured.psnr, ms_ssim=measured.ms_ssim)
            self.timeline.change(post.id, **{side: better})

    async def overlays(self, id: str) -> Overlays | None:
        """Bit map and masks of a post as it is now; None where its pool cannot tell.

        Raises:
            SidewireError: its stream cannot be decoded.
        """
        post = self.timeline.get(id)
        if post is None or post.final is None or not isinstance(self._pool, InspectingPool):
            return None
        if post.overlays is None:
            container = self.timeline.container(id)
            if container is None:
                return None
            inspection = await self._pool.inspect(container, post.caption or None, post.language)
            overlays = await asyncio.to_thread(self._rendered, post, inspection)
            now = self.timeline.get(id)
            if now is not None and now.caption == post.caption:
                self.timeline.change(id, overlays=overlays)
            return overlays
        return post.overlays

    def _rendered(self, post: Post, inspection: Inspection) -> Overlays:
        assert post.final is not None
        stem = f"{OVERLAYS}/{post.id}.r{post.final.revision}"
        most = float(inspection.bits.max(initial=0.0))
        maps = {f"{stem}.bits.png": (inspection.bits, most)}
        masks = [f"{stem}.mask{index}.png" for index in range(len(inspection.masks))]
        maps |= {name: (mask, 1.0) for name, mask in zip(masks, inspection.masks, strict=True)}
        for name, (values, full) in maps.items():
            png = overlay_png(values, post.width, post.height, full)
            write_atomically(self.gallery / name, png)
        return Overlays(
            bits=f"{stem}.bits.png",
            bits_most=most,
            masks=tuple(masks),
            trust=inspection.trust,
            caption_note=inspection.caption_note,
        )

    async def unguarded(self, id: str) -> str:
        """File of a post decoded with a caption that is trusted fully; empty where there is none.

        Raises:
            SidewireError: its stream cannot be decoded.
        """
        post = self.timeline.get(id)
        if post is None or not self.abilities.guard:
            return ""
        return post.unguarded or await self._drawn(post, "picture", guard=False)

    async def preview_told(self, id: str) -> str:
        """File of a post's preview drawn with the caption, now that it is there; empty where there is none.

        Raises:
            SidewireError: its stream cannot be decoded.
        """
        post = self.timeline.get(id)
        if post is None or not self.abilities.text:
            return ""
        return post.preview_told or await self._drawn(post, "preview", guard=True)

    async def _drawn(self, post: Post, what: str, *, guard: bool) -> str:
        container = self.timeline.container(post.id, what)
        if post.refined is None or container is None:
            return ""
        name, field = (
            (f"r{post.refined.revision}.preview.png", "preview_told")
            if guard
            else (f"r{post.refined.revision}.unguarded.png", "unguarded")
        )
        name = f"{OVERLAYS}/{post.id}.{name}"
        png = await self._lab.draw(container, post.caption, guard=guard)
        write_atomically(self.gallery / name, png)
        self.timeline.change(post.id, **{field: name})
        return name


def unmeasured(
    posts: Sequence[Post], unmeasurable: Container[tuple[str, Side, int]]
) -> tuple[Post, Side] | None:
    """The next picture to measure: of the newest post, and first of posts that came with and without words.

    What words are worth is told of those alone: where measuring is slower than posts come, newer ones would
    keep them waiting for ever.

    Args:
        posts: the oldest first.
        unmeasurable: ids of posts, sides and revisions.
    """
    newest = posts[::-1]
    for post in sorted(newest, key=lambda post: post.first is None or post.refined is None):
        for side in SIDES:
            shown: Shown | None = getattr(post, side)
            if shown is None or shown.psnr is not None or not post.original:
                continue
            if (post.id, side, shown.revision) not in unmeasurable:
                return post, side
    return None
