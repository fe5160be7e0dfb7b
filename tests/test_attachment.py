"""What a client is told, and in which order, while more comes up."""

from __future__ import annotations

from typing import Any

from receiver.admission import Admission
from receiver.attachment import Attachment
from receiver.flow import Account
from receiver.joiner import JoinPolicy
from receiver.session import Session
from shared.wire.errors import Reason, WireError
from shared.wire.limits import Limits, Window
from shared.wire.v1 import types_pb2 as wire


def attachment() -> Attachment:
    limits, accounts = Limits(), (Account(Window(9, 999)), Account(Window(9, 999)))
    session = Session("s", 1, "id", "sender", JoinPolicy(), limits, accounts)
    return Attachment(session, session.images, Admission("s", 1, limits, None, 1.0, True))


def end(flow: Any, seq: int) -> None:
    flow.positions.add(seq)
    flow.report(wire.Outcome(seq=seq))


def said(messages: list[tuple[str, Any]]) -> list[tuple[str, list[int]]]:
    return [
        (kind, [one.seq for one in message.outcomes] if kind == "ack" else [message.seq])
        for kind, message in messages
        if kind in ("ack", "refusal")
    ]


def test_an_end_is_never_told_before_the_refusal_of_an_earlier_message() -> None:
    """While the first refusal is written, a second message is refused and a third one ends."""
    told = attachment()
    told.refuse(WireError(Reason.MALFORMED, "first"), 0)
    end(told.flow, 1)
    news = told.news()
    first = [next(news)]
    told.refuse(WireError(Reason.MALFORMED, "second"), 2)
    end(told.flow, 3)
    assert said(first + list(news)) == [("refusal", [0]), ("ack", [1])]
    assert said(list(told.news())) == [("refusal", [2]), ("ack", [3])]
    assert said(list(told.news())) == []


def test_a_client_that_left_is_told_no_end() -> None:
    told = attachment()
    end(told.flow, 0)
    told.flow.attach()
    assert said(list(told.news())) == []
