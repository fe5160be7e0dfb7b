"""Bearer tokens of a receiver: whose they are, and what their owner may."""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import yaml

from shared.errors import SidewireError
from shared.wire.errors import Reason, WireError

__all__ = ["Principal", "SecurityError", "Token", "check_token", "principal_of", "read_tokens"]

#: What a bearer token may be made of (RFC 6750).
TOKEN = re.compile(r"[A-Za-z0-9._~+/-]+=*")


class SecurityError(SidewireError):
    """A key, certificate or token cannot be used; the message names the file, never the secret."""


@dataclass(frozen=True)
class Principal:
    """Someone who calls.

    Attributes:
        operator: sees everybody's streams, and has none.
    """

    name: str
    operator: bool = False

    def sender(self) -> str:
        """The name that streams belong to.

        Raises:
            WireError: NOT_YOURS: an operator looks on.
        """
        if self.operator:
            raise WireError(
                Reason.NOT_YOURS, f"{self.name!r} is an operator, who sees all streams and has none"
            )
        return self.name


@dataclass(frozen=True)
class Token:
    """Whose token it is, and its SHA-256; the token itself is not kept."""

    principal: Principal
    digest: bytes = field(repr=False)


def principal_of(given: str, tokens: Sequence[Token]) -> Principal | None:
    """Whose token this is; None if it is none of these."""
    digest = _digest(given)
    # All are compared, each in constant time: how long it takes says nothing.
    fitting = [one for one in tokens if hmac.compare_digest(one.digest, digest)]
    return fitting[0].principal if fitting else None


def check_token(token: str, what: str) -> None:
    """Raise SecurityError where a token has characters that no header may have."""
    if not TOKEN.fullmatch(token):
        raise SecurityError(f"{what} is empty or has characters other than A-Za-z0-9._~+/-")


def read_tokens(path: Path) -> tuple[Token, ...]:
    """The tokens of a YAML file: a list of ``{sender: NAME, token: SECRET}``, or ``operator`` for ``sender``.

    Raises:
        SecurityError: it cannot be read, or is no such list.
    """
    try:
        rows = yaml.safe_load(path.read_bytes())
    except OSError as error:
        raise SecurityError(f"cannot read {path}: {error.strerror}") from None
    except (yaml.YAMLError, UnicodeDecodeError):  # whose message would quote a secret
        raise SecurityError(f"{path} is not YAML") from None
    if not isinstance(rows, list) or not rows:
        raise SecurityError(f"{path} must be a list of one or more {{sender: NAME, token: SECRET}}")
    tokens: dict[bytes, Token] = {}
    for number, row in enumerate(rows, 1):
        place = f"{path}: entry {number}"
        roles = row.keys() - {"token"} if isinstance(row, dict) and "token" in row else set()
        if roles not in ({"sender"}, {"operator"}):
            raise SecurityError(
                f"{place} must have sender and token, or operator and token, and nothing else"
            )
        (role,) = roles
        name, token = row[role], row["token"]
        if not isinstance(name, str) or not name:
            raise SecurityError(f"{place}: {role} must be a name")
        if not isinstance(token, str):
            raise SecurityError(f"{place}: token must be a string (in quotes, if all digits)")
        check_token(token, f"{place}: token")
        if _digest(token) in tokens:
            raise SecurityError(f"{place}: its token is another entry's too")
        tokens[_digest(token)] = Token(Principal(name, role == "operator"), _digest(token))
    return tuple(tokens.values())


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()
