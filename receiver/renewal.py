"""Certificates and tokens that are read again while a receiver serves."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import grpc

from shared.wire.security import Principal, SecurityError, ServerSecurity

__all__ = ["RenewableSecurity"]

log = logging.getLogger("sidewire.receiver")


class RenewableSecurity:
    """A receiver's security whose files can be read again while it serves.

    Args:
        read: reads all files; which there are stays the same.

    Raises:
        SecurityError: from ``read``.
    """

    def __init__(self, read: Callable[[], ServerSecurity]) -> None:
        self._read = read
        self._current = read()

    @property
    def current(self) -> ServerSecurity:
        """What was read last without an error."""
        return self._current

    def renew(self) -> None:
        """Read the files again, and say so. Who is connected stays so; handshakes and calls from now on go by
        the new ones. Where a file is broken everything stays as it was."""
        try:
            self._current = self._read()
        except SecurityError as error:
            log.error("certificates and tokens stay as they were: %s", error)
            return
        if self._current.pair is None:
            log.info("there are no certificates and tokens to read again")
        else:
            log.info("certificates and %d tokens were read again", len(self._current.tokens))

    def authenticate(self, context: grpc.aio.ServicerContext[Any, Any]) -> Principal:
        """See :meth:`ServerSecurity.authenticate`."""
        return self._current.authenticate(context)

    def credentials(self) -> grpc.ServerCredentials | None:
        """For one listening port, which follows each renewal; None for plaintext."""
        used = self._current
        if used.pair is None:
            return None

        def renewed() -> grpc.ServerCertificateConfiguration | None:
            """Asked by gRPC before each handshake, in a thread of its own; None for "as before"."""
            nonlocal used
            if self._current is used:
                return None
            used = self._current
            return _configuration(used)

        return grpc.dynamic_ssl_server_credentials(
            _configuration(used),
            renewed,  # type: ignore[arg-type]  # gRPC's documentation allows None, its types do not
            used.authorities is not None,
        )


def _configuration(security: ServerSecurity) -> grpc.ServerCertificateConfiguration:
    assert security.pair is not None
    return grpc.ssl_server_certificate_configuration([security.pair], security.authorities)
