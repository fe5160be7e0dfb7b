"""``sidewire send``: read a feed, encode ahead, journal, stream, until every picture is acked.

With a caption address it starts the caption publisher as a process of its own.
"""

from __future__ import annotations

import asyncio
import logging
import multiprocessing
import os
import signal
import sys
from collections import Counter
from multiprocessing.process import BaseProcess

from sender.captions import LOG_FORMAT, run_captions
from sender.codecs import SEALED, check_codec
from sender.encoders import EncoderPool, Encoders, SealedPool
from sender.journal import Journal, MadeWith
from sender.observer import SendObserver
from sender.sender import Progress, Sender, Sent, quiet
from sender.settings import CaptionSettings, SendSettings
from sender.sources import default_stream_id
from sender.sources.reading import STANDARD_INPUT, check_feed
from sender.traced import traced
from shared.errors import SidewireError, WorkLeftError
from shared.extras import need
from shared.locks import only_one
from shared.logs import log_to_standard_error
from shared.wire.streams import previews_of
from shared.workers import stay_with_parent

__all__ = ["Sent", "make_encoders", "run_send", "send"]

log = logging.getLogger("sidewire.sender")


def make_encoders(settings: SendSettings) -> Encoders:
    """The encoders that the settings ask for."""
    if settings.codec == SEALED:
        return SealedPool(settings.ahead)
    need(f"codec {settings.codec}", "sender")
    return EncoderPool(
        settings.codec,
        settings.quality,
        settings.processes,
        settings.ahead,
        settings.bundle,
        settings.preview_bytes,
        settings.captioner,
    )


def made_with(settings: SendSettings) -> MadeWith:
    """What frames are made with under these settings, for the journal."""
    feed = settings.feed if settings.feed == STANDARD_INPUT else os.path.abspath(settings.feed)
    quality = "" if settings.quality is None else str(settings.quality)
    if settings.preview_bytes is not None:
        quality = f"a preview in {settings.preview_bytes} bytes"
    bundle, captioner = (
        "" if folder is None else os.path.abspath(folder)
        for folder in (settings.bundle, settings.captioner)
    )
    return MadeWith(feed, str(settings.repeat), settings.codec, quality, bundle, captioner)


def stream_of(settings: SendSettings) -> str:
    """The stream's id: the one that is asked for, or it follows from the feed's name."""
    if settings.stream:
        return settings.stream
    feed = default_stream_id(settings.feed)
    return feed if settings.preview_bytes is None else previews_of(feed)


async def send(settings: SendSettings, progress: Progress = quiet) -> Sent:
    """Send a feed; goes on where its journal stands.

    Args:
        progress: told after each ack how many frames of this run have ended, and how many not.

    Raises:
        WorkLeftError: SIGTERM or SIGINT came first; the journal has what is left.
        UnknownCodecError: no such codec; nothing else was looked at. MissingExtraError: what reads the feed,
        or encodes, is not installed.
        SidewireError: the feed, the journal or the receiver refuses, with what to do.
    """
    check_codec(settings.codec, settings.bundle)
    check_feed(settings.feed)
    stream_id = stream_of(settings)
    folder = settings.state_folder(stream_id)
    with only_one(folder):
        journal = Journal(folder / "journal.sqlite", stream_id)
        try:
            place, before, now = journal.place(), journal.made_with(), made_with(settings)
            changes = before.changes(now) if before else ""
            if place.complete and not settings.again:
                log.warning(
                    "all of stream %r was acked before (state in %s): nothing was sent%s; --again sends"
                    " it once more",
                    stream_id,
                    folder,
                    f" although {changes}" if changes else "",
                )
                return Sent(stream_id, place.epoch, Counter(), (), 0, 0, 0.0)
            if place.complete:
                journal.restart()
            elif changes:
                log.warning(
                    "stream %r goes on at number %d with other settings: %s; what was encoded before"
                    " stays as it is",
                    stream_id,
                    place.next_seq,
                    changes,
                )
            journal.go_on_with(now)
            with traced(settings.traces, "picture", stream_id) as observer:
                return await _send(settings, journal, progress, observer)
        finally:
            journal.close()


async def _send(
    settings: SendSettings, journal: Journal, progress: Progress, observer: SendObserver
) -> Sent:
    encoders = make_encoders(settings)
    await encoders.start()
    publisher = _start_publisher(settings, journal.place().stream_id)
    try:
        sender = Sender(settings, journal, encoders, progress, observer)
        work = asyncio.create_task(_all(sender, publisher))
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, work.cancel)
        try:
            return await work
        except asyncio.CancelledError:
            raise WorkLeftError(
                f"stopped; {sender.left} frames are in the journal and will be sent again"
            ) from None
        finally:
            sender.close()
    finally:
        if publisher is not None and publisher.is_alive():
            publisher.terminate()
            publisher.join(5)
        await encoders.close()


async def _all(sender: Sender, publisher: BaseProcess | None) -> Sent:
    sent = await sender.run()
    if publisher is not None:
        await asyncio.to_thread(publisher.join)
        if publisher.exitcode:
            raise SidewireError(f"the caption publisher ended with code {publisher.exitcode}")
    await sender.finish()
    return sent


def _start_publisher(settings: SendSettings, stream_id: str) -> BaseProcess | None:
    if not settings.captions:
        return None
    if settings.feed == "-":
        raise SidewireError(
            "a feed on standard input has one reader: run `sidewire captions` apart"
        )
    captions = settings.caption_settings(stream_id)
    process = multiprocessing.get_context("spawn").Process(
        target=_publish, args=(captions,), name="captions"
    )
    process.start()
    return process


def _publish(settings: CaptionSettings) -> None:
    """The publisher's process: errors in one line, as the command has them."""
    # One that outlived its sender would take the channel from the next sender's.
    parent = multiprocessing.parent_process()
    assert parent is not None
    assert parent.pid is not None
    stay_with_parent(parent.pid)
    try:
        run_captions(settings)
    except SidewireError as error:
        sys.exit(f"sidewire captions: {error}")


def run_send(settings: SendSettings, progress: Progress = quiet) -> Sent:
    """The command.

    Raises:
        SidewireError: as :func:`send`.
    """
    log_to_standard_error(settings.log_format, LOG_FORMAT)
    return asyncio.run(send(settings, progress))
