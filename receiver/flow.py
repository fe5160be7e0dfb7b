"""How much may be on its way and in memory: credit of a channel, quota of a sender."""

from __future__ import annotations

from dataclasses import dataclass, field

from shared.wire.errors import Reason, WireError
from shared.wire.limits import Window
from shared.wire.positions import Positions
from shared.wire.v1 import types_pb2 as wire

__all__ = ["Account", "Flow", "Quota"]


PICTURES = Window(frames=4096, bytes=128 << 20)
CAPTIONS = Window(frames=16384, bytes=32 << 20)


@dataclass(frozen=True)
class Quota:
    """What one sender may have, over all its streams.

    Pictures and captions are counted apart: however many captions there are, pictures go on.
    """

    streams: int = 64
    images: Window = PICTURES
    captions: Window = CAPTIONS


@dataclass
class Account:
    """What one sender has in memory of one channel, over all its streams."""

    quota: Window
    held: int = 0
    held_bytes: int = 0

    def check(self, size: int) -> None:
        """Whether one more message fits.

        Raises:
            WireError: OVER_CREDIT.
        """
        held, held_bytes = self.held + 1, self.held_bytes + size
        if held > self.quota.frames or held_bytes > self.quota.bytes:
            raise WireError(
                Reason.OVER_CREDIT,
                f"{held} messages of {held_bytes} bytes of this sender are over its quota of"
                f" {self.quota.frames} messages and {self.quota.bytes} bytes",
                frames=self.quota.frames,
                bytes=self.quota.bytes,
            )

    def add(self, messages: int, size: int) -> None:
        """Count messages that are kept, or (negative) let go."""
        self.held += messages
        self.held_bytes += size


@dataclass
class Flow:
    """Credit and position of one channel.

    What may be sent since an attach is ``received + window - held``: it never falls, a message that is
    refused gives its credit back at once, and one that is kept gives it back when it is let go.

    Attributes:
        generation: counts attaches; an older one is fenced.
        outcomes: durable ends that no ack has named yet.
    """

    window: Window
    account: Account
    positions: Positions = field(default_factory=Positions)
    generation: int = 0
    attached: bool = False
    closed: bool = False
    received: int = 0
    received_bytes: int = 0
    held: int = 0
    held_bytes: int = 0
    outcomes: list[wire.Outcome] = field(default_factory=list)

    def attach(self) -> int:
        """A client begins; the generation that its messages belong to."""
        self.generation += 1
        self.attached = True
        self.received = self.received_bytes = 0
        self.outcomes.clear()  # positions say the same, and Attached sends them
        return self.generation

    def granted(self) -> tuple[int, int]:
        """Messages and bytes that may have been sent in all since the attach."""
        return (
            self.received + max(0, self.window.frames - self.held),
            self.received_bytes + max(0, self.window.bytes - self.held_bytes),
        )

    def take(self, size: int) -> None:
        """Count a message, which gives its credit back where it is refused.

        Raises:
            WireError: OVER_CREDIT.
        """
        frames, size_granted = self.granted()
        self.received += 1
        self.received_bytes += size
        if self.received > frames or self.received_bytes > size_granted:
            raise WireError(
                Reason.OVER_CREDIT,
                f"message {self.received} of {self.received_bytes} bytes in all is over the credit of"
                f" {frames} messages and {size_granted} bytes",
                frames=frames,
                bytes=size_granted,
            )
        self.account.check(size)

    def hold(self, size: int) -> None:
        """Something is kept in memory."""
        self.held += 1
        self.held_bytes += size
        self.account.add(1, size)

    def release(self, size: int) -> None:
        """Let go of something that was held."""
        self.held -= 1
        self.held_bytes -= size
        self.account.add(-1, -size)

    def report(self, outcome: wire.Outcome) -> None:
        """An ack shall name this end, if anybody listens."""
        if self.attached:
            self.outcomes.append(outcome)

    def detach(self, generation: int) -> None:
        """The client of this generation is gone."""
        if generation == self.generation:
            self.attached = False
            self.outcomes.clear()
