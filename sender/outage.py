"""An outage at a sender: why there is no connection, told once to the operator."""

from __future__ import annotations

import asyncio
import logging

from shared.wire.diagnosis import diagnosed
from shared.wire.security import ClientSecurity

__all__ = ["Lost", "Outages", "Unreachable"]

log = logging.getLogger("sidewire.sender")


class Lost(Exception):  # noqa: N818 - not an error: the connection's end
    """The connection is gone; why, in one line."""


class Unreachable(Lost):
    """There was no connection, or the other end is gone; gRPC's words hardly say why."""


class Outages:
    """Tells of outages.

    Args:
        security: what connections are made with.
    """

    def __init__(self, security: ClientSecurity) -> None:
        self._security = security
        self._telling: asyncio.Task[None] | None = None

    def warn(self, address: str, error: Exception) -> None:
        """Warn of an outage that begins. A closer look may take seconds, and is not waited for."""

        async def tell() -> None:
            log.warning("%s: %s; trying again", address, await self.explained(address, error))

        self.close()
        self._telling = asyncio.create_task(tell())

    async def explained(self, address: str, error: Exception) -> str:
        """Why there is no connection: what can be seen from here, else what was said."""
        if not isinstance(error, Unreachable):
            return str(error)
        return await diagnosed(address, self._security) or str(error)

    def close(self) -> None:
        """Look no further."""
        if self._telling is not None:
            self._telling.cancel()
