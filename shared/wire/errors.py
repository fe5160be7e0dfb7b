"""Reasons a message is refused for, each with its gRPC status code and whose turn it is then.

On the wire a refusal is a ``google.rpc.Status`` with one ``google.rpc.ErrorInfo`` of domain
``sidewire.v1``; inside it is a :class:`WireError`.
"""

from __future__ import annotations

import enum

from google.protobuf.any_pb2 import Any as AnyMessage
from google.protobuf.message import DecodeError
from google.rpc.error_details_pb2 import ErrorInfo
from google.rpc.status_pb2 import Status
from grpc import StatusCode

from shared.errors import SidewireError

__all__ = ["DOMAIN", "Reason", "Turn", "WireError"]

DOMAIN = "sidewire.v1"


class Turn(enum.Enum):
    """What the sender of a refused message does next."""

    RESEND = "send it again"
    GIVE_UP = "never send it again"
    REOPEN = "open the session again, then resend what has not ended"
    STOP = "stop and tell the operator"


class Reason(enum.Enum):
    """ErrorInfo reasons: (what happened, status code, whose turn it is)."""

    MALFORMED = ("a field is missing or makes no sense", StatusCode.INVALID_ARGUMENT, Turn.GIVE_UP)
    TOO_LARGE = ("a size is over the limit", StatusCode.OUT_OF_RANGE, Turn.GIVE_UP)
    SEQ_TOO_FAR = ("seq is beyond the window", StatusCode.OUT_OF_RANGE, Turn.RESEND)
    CHECKSUM = ("the checksum differs", StatusCode.DATA_LOSS, Turn.RESEND)
    MODEL_UNKNOWN = ("no such model here", StatusCode.FAILED_PRECONDITION, Turn.GIVE_UP)
    NOT_OWNER = ("another gateway's stream", StatusCode.FAILED_PRECONDITION, Turn.REOPEN)
    NOT_ATTACHED = ("no attach came first", StatusCode.FAILED_PRECONDITION, Turn.REOPEN)
    CONTENT_CHANGED = ("the key has other content", StatusCode.ALREADY_EXISTS, Turn.GIVE_UP)
    OVER_CREDIT = ("more than was granted", StatusCode.RESOURCE_EXHAUSTED, Turn.RESEND)
    OVER_QUOTA = ("more than this sender may", StatusCode.RESOURCE_EXHAUSTED, Turn.STOP)
    DRAINING = ("the receiver is stopping", StatusCode.UNAVAILABLE, Turn.REOPEN)
    STORAGE = ("nothing can be stored now", StatusCode.UNAVAILABLE, Turn.REOPEN)
    STALE_EPOCH = ("a newer epoch has begun", StatusCode.ABORTED, Turn.STOP)
    SUPERSEDED = ("the channel was attached anew", StatusCode.ABORTED, Turn.STOP)
    SESSION_UNKNOWN = ("no such session", StatusCode.NOT_FOUND, Turn.REOPEN)
    UNAUTHENTICATED = ("no valid token", StatusCode.UNAUTHENTICATED, Turn.STOP)
    NOT_YOURS = ("another sender's stream", StatusCode.PERMISSION_DENIED, Turn.STOP)

    def __init__(self, meaning: str, code: StatusCode, turn: Turn) -> None:
        self.meaning = meaning
        self.code = code
        self.turn = turn


class WireError(SidewireError):
    """A message or call that is refused.

    Attributes:
        reason: why.
        details: names and values for programs, such as ``{"limit": "8388608", "value": "9000000"}``.
    """

    def __init__(self, reason: Reason, message: str, **details: object) -> None:
        super().__init__(message)
        self.reason = reason
        self.details = {name: str(value) for name, value in details.items()}

    def to_status(self) -> Status:
        """The error as it stands in a refusal."""
        info = ErrorInfo(reason=self.reason.name, domain=DOMAIN, metadata=self.details)
        packed = AnyMessage()
        packed.Pack(info)
        return Status(code=self.reason.code.value[0], message=str(self), details=[packed])

    @classmethod
    def from_status(cls, status: Status) -> WireError | None:
        """The error that a status carries; None if it holds no reason of ours."""
        for packed in status.details:
            info = ErrorInfo()
            try:
                ours = packed.Unpack(info) and info.domain == DOMAIN
            except DecodeError:
                continue
            if ours and info.reason in Reason.__members__:
                error = cls(Reason[info.reason], status.message)
                error.details = dict(info.metadata)
                return error
        return None
