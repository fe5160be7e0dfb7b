"""Who is who: TLS and mutual TLS, and bearer tokens that travel over TLS alone.

A receiver calls a sender by its token's name, else by its certificate's, else "anonymous". Streams
belong to that name.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import ssl
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc
import yaml

from shared.errors import SidewireError
from shared.wire.errors import Reason, WireError

__all__ = [
    "ANONYMOUS",
    "ClientSecurity",
    "Principal",
    "SecurityError",
    "ServerSecurity",
    "Token",
]

#: What a bearer token may be made of (RFC 6750).
TOKEN = re.compile(r"[A-Za-z0-9._~+/-]+=*")
BEARER = "bearer "


class SecurityError(SidewireError):
    """A key, certificate or token cannot be used; the message names the file, never the secret."""


@dataclass(frozen=True)
class Principal:
    """Someone who calls."""

    name: str


ANONYMOUS = Principal("anonymous")


@dataclass(frozen=True)
class Token:
    """A sender's name and its token's SHA-256; the token itself is not kept."""

    sender: str
    digest: bytes = field(repr=False)


@dataclass(frozen=True)
class ClientSecurity:
    """How a client proves who it is, and checks whom it talks to.

    Attributes:
        credentials: None for plaintext.
    """

    credentials: grpc.ChannelCredentials | None = None

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
            _check_token(token, "the token")
            bearer = grpc.access_token_call_credentials(token)
            credentials = grpc.composite_channel_credentials(credentials, bearer)
        return cls(credentials)


@dataclass(frozen=True)
class ServerSecurity:
    """How a receiver proves who it is, and finds out who calls.

    Attributes:
        credentials: None for plaintext.
        tokens: if there are any, every call must bring one of them.
    """

    credentials: grpc.ServerCredentials | None = None
    tokens: tuple[Token, ...] = ()

    @classmethod
    def load(
        cls,
        certificate: Path | None = None,
        key: Path | None = None,
        client_ca: Path | None = None,
        tokens: Path | None = None,
    ) -> ServerSecurity:
        """Read PEM files, and the YAML file of tokens: a list of ``{sender: NAME, token: SECRET}``.

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
        chain_key, chain = _read_pair(certificate, key)
        authorities = _read_authorities(client_ca) if client_ca else None
        credentials = grpc.ssl_server_credentials(
            [(chain_key, chain)], authorities, authorities is not None
        )
        return cls(credentials, _read_tokens(tokens) if tokens else ())

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
        digest = _digest(given)
        # All are compared, each in constant time: how long it takes says nothing.
        fitting = [one for one in self.tokens if hmac.compare_digest(one.digest, digest)]
        if not fitting:
            raise WireError(Reason.UNAUTHENTICATED, "the bearer token is not known here")
        return Principal(fitting[0].sender)


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()


def _check_token(token: str, what: str) -> None:
    if not TOKEN.fullmatch(token):
        raise SecurityError(f"{what} is empty or has characters other than A-Za-z0-9._~+/-")


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


def _read_tokens(path: Path) -> tuple[Token, ...]:
    try:
        rows = yaml.safe_load(_read(path))
    except yaml.YAMLError:  # whose message would quote a secret
        raise SecurityError(f"{path} is not YAML") from None
    if not isinstance(rows, list) or not rows:
        raise SecurityError(f"{path} must be a list of one or more {{sender: NAME, token: SECRET}}")
    tokens: dict[bytes, Token] = {}
    for number, row in enumerate(rows, 1):
        place = f"{path}: entry {number}"
        if not isinstance(row, dict) or row.keys() != {"sender", "token"}:
            raise SecurityError(f"{place} must have sender and token, and nothing else")
        sender, token = row["sender"], row["token"]
        if not isinstance(sender, str) or not sender:
            raise SecurityError(f"{place}: sender must be a name")
        if not isinstance(token, str):
            raise SecurityError(f"{place}: token must be a string (in quotes, if all digits)")
        _check_token(token, f"{place}: token")
        if _digest(token) in tokens:
            raise SecurityError(f"{place}: its token is another entry's too")
        tokens[_digest(token)] = Token(sender, _digest(token))
    return tuple(tokens.values())
