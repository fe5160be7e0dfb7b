"""Who is who: TLS and mutual TLS, and bearer tokens that travel over TLS alone.

A receiver calls a sender by its token's name, else by its certificate's, else "anonymous". Streams
belong to that name.
"""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc

from shared.wire.errors import Reason, WireError
from shared.wire.tokens import (
    Principal,
    SecurityError,
    Token,
    check_token,
    principal_of,
    read_tokens,
)

__all__ = [
    "ANONYMOUS",
    "ClientSecurity",
    "Principal",
    "SecurityError",
    "ServerSecurity",
]

BEARER = "bearer "
ANONYMOUS = Principal("anonymous")


@dataclass(frozen=True)
class ClientSecurity:
    """How a client proves who it is, and checks whom it talks to.

    Attributes:
        credentials: None for plaintext.
        ca, certificate, key: the PEM files that they were read from.
    """

    credentials: grpc.ChannelCredentials | None = None
    ca: Path | None = None
    certificate: Path | None = None
    key: Path | None = None

    @classmethod
    def load(
        cls,
        ca: Path | None = None,
        certificate: Path | None = None,
        key: Path | None = None,
        token: str = "",
    ) -> ClientSecurity:
        """Read PEM files.

        Args:
            ca: authorities that receivers' certificates are checked with; None for plaintext.
            certificate, key: own ones, for mutual TLS; both or neither.
            token: sent with every call; empty for none.

        Raises:
            SecurityError: a file is missing or no PEM file, certificate and key do not belong
            together, or there is a certificate or token but no TLS.
        """
        _check_pair(certificate, key)
        if ca is None:
            if certificate is not None:
                raise SecurityError(f"{certificate}: a certificate needs TLS, give tls_ca too")
            if token:
                raise SecurityError("a token is sent over TLS alone: give tls_ca too")
            return cls()
        own = _read_pair(certificate, key) if certificate and key else (None, None)
        credentials = grpc.ssl_channel_credentials(_read_authorities(ca), *own)
        if token:
            check_token(token, "the token")
            bearer = grpc.access_token_call_credentials(token)
            credentials = grpc.composite_channel_credentials(credentials, bearer)
        return cls(credentials, ca, certificate, key)


@dataclass(frozen=True)
class ServerSecurity:
    """How a receiver proves who it is, and finds out who calls.

    Attributes:
        pair: its private key and certificate chain, in PEM; None for plaintext.
        authorities: every client's certificate is checked with them, in PEM; None for no check.
        tokens: if there are any, every call must bring one of them.
    """

    pair: tuple[bytes, bytes] | None = None
    authorities: bytes | None = None
    tokens: tuple[Token, ...] = ()

    @classmethod
    def load(
        cls,
        certificate: Path | None = None,
        key: Path | None = None,
        client_ca: Path | None = None,
        tokens: Path | None = None,
    ) -> ServerSecurity:
        """Read PEM files, and the YAML file of tokens (:func:`shared.wire.tokens.read_tokens`).

        Args:
            client_ca: authorities that every client's certificate is checked with; None for no check.

        Raises:
            SecurityError: a file is missing or malformed, certificate and key do not belong
            together, or there are tokens or ``client_ca`` but no TLS.
        """
        _check_pair(certificate, key)
        if certificate is None or key is None:
            for what, path in (("client certificates", client_ca), ("tokens", tokens)):
                if path is not None:
                    raise SecurityError(f"{path}: {what} need TLS, give tls_cert and tls_key too")
            return cls()
        pair = _read_pair(certificate, key)
        authorities = _read_authorities(client_ca) if client_ca else None
        return cls(pair, authorities, read_tokens(tokens) if tokens else ())

    @property
    def credentials(self) -> grpc.ServerCredentials | None:
        """For a port that keeps them as they are; None for plaintext."""
        if self.pair is None:
            return None
        return grpc.ssl_server_credentials(
            [self.pair], self.authorities, self.authorities is not None
        )

    def authenticate(self, context: grpc.aio.ServicerContext[Any, Any]) -> Principal:
        """Who makes this call.

        Raises:
            WireError: UNAUTHENTICATED: tokens are asked for, and it has none of them.
        """
        if self.tokens:
            return self._bearer(context)
        names = context.auth_context()
        for kind in ("x509_common_name", "x509_subject_alternative_name"):
            for name in names.get(kind, ()):
                if name:
                    return Principal(name.decode(errors="replace"))
        return ANONYMOUS

    def _bearer(self, context: grpc.aio.ServicerContext[Any, Any]) -> Principal:
        given = ""
        for key, value in context.invocation_metadata() or ():
            if key == "authorization" and str(value).lower().startswith(BEARER):
                given = str(value)[len(BEARER) :]
        if not given:
            raise WireError(Reason.UNAUTHENTICATED, "this receiver asks for a bearer token")
        principal = principal_of(given, self.tokens)
        if principal is None:
            raise WireError(Reason.UNAUTHENTICATED, "the bearer token is not known here")
        return principal


def _check_pair(certificate: Path | None, key: Path | None) -> None:
    if (certificate is None) != (key is None):
        missing = "key" if key is None else "certificate"
        raise SecurityError(f"{certificate or key}: its {missing} is missing, give both")


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise SecurityError(f"cannot read {path}: {error.strerror}") from None


def _read_pair(certificate: Path, key: Path) -> tuple[bytes, bytes]:
    """Private key and certificate chain. gRPC would find out what is wrong with them in a handshake."""
    pair = _read(key), _read(certificate)
    try:
        # An empty password, or an encrypted key would ask for one on the terminal.
        ssl.create_default_context().load_cert_chain(certificate, key, password="")
    except (ssl.SSLError, ValueError) as error:
        raise SecurityError(
            f"{certificate} and {key} are not a certificate chain and its unencrypted key in PEM"
            f" ({getattr(error, 'reason', None) or error})"
        ) from None
    return pair


def _read_authorities(path: Path) -> bytes:
    pem = _read(path)
    try:
        ssl.create_default_context().load_verify_locations(path)
    except ssl.SSLError:
        raise SecurityError(f"{path} holds no certificates in PEM") from None
    return pem
