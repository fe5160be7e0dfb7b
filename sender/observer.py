"""Whoever watches a sender at work, such as a benchmark. Watching changes nothing that is sent or stored."""

from __future__ import annotations

__all__ = ["UNSEEN", "SendObserver"]


class SendObserver:
    """Sees nothing; override what is to be seen. Calls come from the sender's loop and must not block."""

    def encoding(self, seq: int) -> None:
        """An encoder has begun with this picture."""

    def encoded(self, seq: int, size: int) -> None:
        """A picture's container is ready, of so many bytes; 0 for a picture that cannot be encoded."""

    def sent(self, seq: int) -> None:
        """A picture's frame was handed to gRPC; a resend counts again."""

    def stalled(self, seconds: float) -> None:
        """A frame was ready so long, and only credit was missing."""

    def traceparent(self, seq: int) -> str:
        """W3C trace context that goes with this picture or caption; empty for none."""
        return ""

    def ended(self, seq: int, disposition: str) -> None:
        """An ack names it. The disposition as the protocol has it, without its prefix."""


UNSEEN = SendObserver()
