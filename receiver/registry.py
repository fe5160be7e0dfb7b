"""The streams of a gateway: who may send which, in which epoch, and where each stands."""

from __future__ import annotations

import asyncio
import logging
import re
import secrets
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from receiver.admission import LARGEST_SEQ, Admission, Model, in_words, malformed
from receiver.flow import Account, Quota
from receiver.joiner import JoinPolicy
from receiver.ledger import StreamRow
from receiver.session import Session
from shared.wire.errors import Reason, WireError
from shared.wire.limits import STREAM_ID_LENGTH, Limits
from shared.wire.ownership import owner
from shared.wire.v1 import control_pb2, types_pb2

__all__ = ["Registry", "Terms", "check_channel"]

log = logging.getLogger("sidewire.receiver")

STREAM_ID = re.compile(rf"[A-Za-z0-9_-][A-Za-z0-9._-]{{0,{STREAM_ID_LENGTH - 1}}}")
LARGEST_EPOCH = (1 << 32) - 1
#: Most characters or bytes of a client's own words in an error: gRPC limits a status to some kilobytes.
MOST_SHOWN = 80
#: Seconds after which a session that nobody uses is closed.
UNUSED_SECONDS = 30.0


@dataclass(frozen=True)
class Terms:
    """What a gateway offers to every stream.

    Attributes:
        codecs: what the decoders decode.
        any_model: take every container (a benchmark's no-op decoder).
        text_encoder: of the receiver's generators; empty where they read no text.
        gateways: all of them, this one as ``address``; empty for a single one.
    """

    limits: Limits = field(default_factory=Limits)
    policy: JoinPolicy = field(default_factory=JoinPolicy)
    quota: Quota = field(default_factory=Quota)
    caption_ttl: float = 600.0
    codecs: Sequence[types_pb2.CodecId] = ()
    any_model: bool = False
    text_encoder: str = ""
    gateways: Sequence[str] = ()
    address: str = ""

    @property
    def models(self) -> Collection[Model] | None:
        """The models that :class:`receiver.admission.Admission` lets pass; None for any."""
        if self.any_model:
            return None
        return frozenset((codec.name, codec.model_id) for codec in self.codecs)


class Storage(Protocol):
    """Where streams become durable."""

    async def begin(self, row: StreamRow) -> None:
        """A stream enters an epoch."""

    async def claim(self, stream_id: str) -> None:
        """A picture sender has opened it."""


class Registry:
    """Sessions by stream.

    Args:
        rows: streams that the ledger knows.
        fenced: called with a session whose epoch is over.
    """

    def __init__(
        self,
        terms: Terms,
        rows: Sequence[StreamRow],
        storage: Storage,
        fenced: Callable[[Session], None],
    ) -> None:
        self.terms = terms
        self._rows = {row.stream_id: row for row in rows}
        self._storage = storage
        self._fenced = fenced
        self._sessions: dict[str, Session] = {}
        self._accounts: dict[str, tuple[Account, Account]] = {}
        self._opening = asyncio.Lock()
        self.draining = False

    def __iter__(self) -> Iterator[Session]:
        return iter(self._sessions.values())

    @property
    def closed(self) -> Iterator[StreamRow]:
        """Streams that the ledger knows and that are not open; those that were closed last come first."""
        return (row for name, row in reversed(self._rows.items()) if name not in self._sessions)

    def admission(self, session: Session) -> Admission:
        """The gate of one session."""
        terms = self.terms
        return Admission(
            session.stream_id,
            session.epoch,
            terms.limits,
            terms.models,
            terms.caption_ttl,
            session.text_used,
        )

    def find(self, session_id: str, sender: str | None) -> Session:
        """An open session.

        Args:
            sender: whose it must be; None for anybody's.

        Raises:
            WireError: SESSION_UNKNOWN or NOT_YOURS.
        """
        for session in self._sessions.values():
            if session.session_id == session_id:
                if sender is not None:
                    _check_sender(session.stream_id, session.sender, sender)
                return session
        raise WireError(Reason.SESSION_UNKNOWN, "no session of that id is open here")

    async def open(self, request: control_pb2.OpenSessionRequest, sender: str) -> Session:
        """Claim or join a stream.

        Raises:
            WireError: MALFORMED, DRAINING, NOT_OWNER, NOT_YOURS, SESSION_UNKNOWN, STALE_EPOCH,
            MODEL_UNKNOWN, OVER_QUOTA or STORAGE.
        """
        async with self._opening:
            return await self._open(request, sender)

    async def _open(self, request: control_pb2.OpenSessionRequest, sender: str) -> Session:
        stream_id = request.stream_id
        if not STREAM_ID.fullmatch(stream_id):
            shown = stream_id[:MOST_SHOWN]
            raise malformed(
                "stream_id", f"is {shown!r}, must be 1 to {STREAM_ID_LENGTH} of A-Za-z0-9._-"
            )
        check_channel(request.channel)
        if self.draining:
            raise WireError(Reason.DRAINING, "this receiver is stopping")
        self._check_owner(stream_id)
        row = self._current(stream_id)
        if row is not None:
            _check_sender(stream_id, row.sender, sender)
        if request.resume_session_id and (
            row is None or row.session_id != request.resume_session_id
        ):
            raise WireError(Reason.SESSION_UNKNOWN, "no session of that id is known here")
        self._check_models(request.codecs)
        claims = request.channel == types_pb2.CHANNEL_IMAGES
        epoch = self._epoch(row, request.epoch, claims)
        first_seq = min(request.first_seq, LARGEST_SEQ) if claims else 0
        session = await self._enter(stream_id, epoch, row, sender, claims, first_seq)
        session.text_used &= self._same_text_encoder(request.codecs)
        flow = session.images if claims else session.captions
        flow.closed = False
        return session

    def _check_owner(self, stream_id: str) -> None:
        if not self.terms.gateways:
            return
        address = owner(stream_id, self.terms.gateways)
        if address != self.terms.address:
            raise WireError(
                Reason.NOT_OWNER, f"stream {stream_id!r} belongs to {address}", owner=address
            )

    def _check_models(self, codecs: Sequence[types_pb2.CodecId]) -> None:
        if self.terms.any_model:
            return
        for codec in codecs:
            if not any(_reads(ours, codec) for ours in self.terms.codecs):
                name, model_id = codec.name[:MOST_SHOWN], codec.model_id[:MOST_SHOWN].hex()
                version = codec.bitstream_version
                raise WireError(
                    Reason.MODEL_UNKNOWN,
                    f"codec {name} with model {model_id} in version {version} of the bitstream"
                    f" is not among those decoded here: {in_words(self.terms.models or ())}",
                    codec=name,
                    model_id=model_id,
                    bitstream_version=version,
                )

    def _same_text_encoder(self, codecs: Sequence[types_pb2.CodecId]) -> bool:
        ours = self.terms.text_encoder
        return all(codec.text_encoder_id in ("", ours) for codec in codecs)

    def _current(self, stream_id: str) -> StreamRow | None:
        session = self._sessions.get(stream_id)
        return _row(session) if session else self._rows.get(stream_id)

    def _epoch(self, row: StreamRow | None, asked: int, claims: bool) -> int:
        """The epoch that an OpenSession leads to."""
        if row is None:
            return asked or 1
        if asked == 0:
            # A picture sender with a new journal cannot know what an older one has sent.
            return _after(row) if claims and row.claimed else row.epoch
        # What a caption publisher began is no picture sender's epoch: its journal knows better.
        if asked < row.epoch and (row.claimed or not claims):
            raise WireError(
                Reason.STALE_EPOCH,
                f"epoch {asked} of stream {row.stream_id!r} is over, {row.epoch} has begun",
                epoch=row.epoch,
            )
        if asked > row.epoch and not claims:
            raise malformed(
                "epoch", f"is {asked}; only a picture sender begins one after {row.epoch}"
            )
        return asked

    async def _enter(
        self,
        stream_id: str,
        epoch: int,
        row: StreamRow | None,
        sender: str,
        claims: bool,
        first_seq: int,
    ) -> Session:
        """The session of this epoch; made, and made durable, where it is not open."""
        session = self._sessions.get(stream_id)
        if session is not None and session.epoch == epoch:
            session.begin_at(first_seq)
            if claims and not session.claimed:
                session.claimed = True
                try:
                    await self._storage.claim(stream_id)
                except WireError:
                    session.claimed = False
                    raise
            return session
        if session is None:
            self._check_quota(sender)
        known = row if row is not None and row.epoch == epoch else None
        fresh = self._make(stream_id, epoch, known, sender)
        fresh.claimed |= claims
        fresh.begin_at(first_seq)
        await self._storage.begin(_row(fresh))
        self._sessions[stream_id] = fresh
        self._rows[stream_id] = _row(fresh)
        if session is not None:
            session.fence()
            self._fenced(session)
        log.info("stream %s: epoch %d opened by %s", stream_id, epoch, sender)
        return fresh

    def _make(self, stream_id: str, epoch: int, known: StreamRow | None, sender: str) -> Session:
        quota = self.terms.quota
        accounts = self._accounts.setdefault(
            sender, (Account(quota.images), Account(quota.captions))
        )
        session_id = known.session_id if known else secrets.token_hex(16)
        session = Session(
            stream_id, epoch, session_id, sender, self.terms.policy, self.terms.limits, accounts
        )
        if known is not None:
            session.claimed = known.claimed
            session.images.positions = known.images.copy()
            session.captions.positions = known.captions.copy()
        return session

    def _check_quota(self, sender: str) -> None:
        open_now = sum(session.sender == sender for session in self._sessions.values())
        limit = self.terms.quota.streams
        if open_now >= limit:
            raise WireError(
                Reason.OVER_QUOTA,
                f"{open_now} streams of {sender!r} are open, must be at most {limit}",
                value=open_now,
                limit=limit,
            )

    def sweep(self, now: float) -> None:
        """Forget sessions that nobody uses, and that hold nothing, for a while; the ledger has their rows.

        Args:
            now: in seconds, of a clock that does not go back.
        """
        for stream_id, session in list(self._sessions.items()):
            if session.images.attached or session.captions.attached or not session.idle:
                session.unused_since = None
            elif session.unused_since is None:
                session.unused_since = now
            elif now - session.unused_since >= UNUSED_SECONDS:
                self._rows.pop(stream_id, None)  # the last one closed stands last
                self._rows[stream_id] = _row(session)
                del self._sessions[stream_id]


def check_channel(channel: int) -> None:
    """Raise MALFORMED where ``channel`` is neither pictures nor captions."""
    if channel not in (types_pb2.CHANNEL_IMAGES, types_pb2.CHANNEL_CAPTIONS):
        raise malformed("channel", "must be CHANNEL_IMAGES or CHANNEL_CAPTIONS")


def _reads(ours: types_pb2.CodecId, theirs: types_pb2.CodecId) -> bool:
    """Whether what a sender is going to send can be decoded: of the same model, and no newer a bitstream."""
    same_model = (ours.name, ours.model_id) == (theirs.name, theirs.model_id)
    return same_model and theirs.bitstream_version <= ours.bitstream_version


def _after(row: StreamRow) -> int:
    """The epoch after a stream's."""
    if row.epoch == LARGEST_EPOCH:
        raise WireError(
            Reason.STALE_EPOCH,
            f"epoch {row.epoch} of stream {row.stream_id!r} is the last: take another stream_id",
            epoch=row.epoch,
        )
    return row.epoch + 1


def _check_sender(stream_id: str, owned_by: str, sender: str) -> None:
    if owned_by != sender:
        raise WireError(Reason.NOT_YOURS, f"stream {stream_id!r} is another sender's")


def _row(session: Session) -> StreamRow:
    return StreamRow.of(session, session.images.positions, session.captions.positions)
