"""A receiver's status as people read it."""

from __future__ import annotations

from collections.abc import Iterable

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from shared.wire.v1 import control_pb2, types_pb2

__all__ = ["as_table"]

LEFT = frozenset({"stream", "sender", "channel", "client", "how they ended"})


def as_table(answer: control_pb2.ListSessionsResponse, problem: str = "") -> Group:
    """The receiver in a line, open streams with a row a channel, and the others with a row each.

    Args:
        problem: why the answer is an older one; empty if it is not.
    """
    parts: list[RenderableType] = [_headline(answer)]
    for trouble in filter(
        None, (answer.trouble and f"nothing is acked: {answer.trouble}", problem)
    ):
        parts.append(Text(trouble, style="bold red"))
    senders = len({one.sender for one in (*answer.sessions, *answer.ended)}) > 1
    parts.append(_open_streams(answer.sessions, senders=senders))
    if answer.ended:
        parts.append(_closed_streams(answer, senders=senders))
    return Group(*parts)


def _headline(answer: control_pb2.ListSessionsResponse) -> Text:
    decoders = answer.decoders
    text = Text(f"{answer.server or 'receiver'}, up {_duration(answer.up_seconds)}; ")
    health = f"{decoders.alive} of {decoders.wanted} decoders alive"
    text.append(health, style="bold red" if decoders.alive < decoders.wanted else "")
    text.append(f", {decoders.decoding:,} decodes under way, {answer.decode_queue:,} wait")
    return text


def _duration(seconds: int) -> str:
    minutes, hours, days = seconds // 60, seconds // 3600, seconds // 86400
    if days:
        return f"{days} d {hours % 24} h"
    if hours:
        return f"{hours} h {minutes % 60} min"
    return f"{minutes} min" if minutes else f"{seconds} s"


def _table(title: str, names: Iterable[str]) -> Table:
    table = Table(title=title, title_justify="left")
    for name in names:
        long = name in ("stream", "sender", "how they ended")
        table.add_column(
            name,
            justify="left" if name in LEFT else "right",
            no_wrap=not long,
            # A name that has no room goes on in the next line: cut off, it would be another's.
            overflow="fold",
        )
    return table


def _open_streams(sessions: Iterable[control_pb2.Session], *, senders: bool) -> Table:
    names = ["stream", *(["sender"] if senders else []), "epoch", "channel", "client"]
    names += ["ended below", "gaps", "held", "bytes", "credit", "1/s", "how they ended"]
    table = _table("open streams", names)
    for one in sessions:
        for channel, state, rate in (
            ("pictures", one.images, one.frames_per_second),
            ("captions", one.captions, one.captions_per_second),
        ):
            client = "attached" if state.attached else "closed" if state.closed else "away"
            table.add_row(
                one.stream_id,
                *([one.sender] if senders else []),
                str(one.epoch),
                channel,
                client,
                f"{state.positions.cumulative:,}",
                str(len(state.positions.ranges)),
                f"{state.held:,}",
                f"{state.held_bytes:,}",
                f"{state.granted.frames - state.used.frames:,}",
                f"{rate:.1f}",
                _ends(one, pictures=channel == "pictures"),
            )
    return table


def _closed_streams(answer: control_pb2.ListSessionsResponse, *, senders: bool) -> Table:
    names = ["stream", *(["sender"] if senders else []), "epoch", "pictures below"]
    names += ["captions below", "how they ended"]
    shown, total = len(answer.ended), answer.ended_streams
    some = f", the last {shown:,} of {total:,}" if shown < total else ""
    table = _table(f"streams that nobody has open{some}", names)
    for one in answer.ended:
        table.add_row(
            one.stream_id,
            *([one.sender] if senders else []),
            str(one.epoch),
            f"{one.images.positions.cumulative:,}",
            f"{one.captions.positions.cumulative:,}",
            _ends(one, pictures=True),
        )
    return table


def _ends(one: control_pb2.Session, *, pictures: bool) -> str:
    """Dispositions since the receiver started."""
    found = []
    for tally in one.tallies:
        count = tally.frames if pictures else tally.captions
        if count:
            name = types_pb2.Disposition.Name(tally.disposition).removeprefix("DISPOSITION_")
            found.append(f"{count:,} {name.lower().replace('_', ' ')}")
    return ", ".join(found)
