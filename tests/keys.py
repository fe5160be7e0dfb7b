"""Keys, certificates and tokens for tests of receivers over TLS, made anew for each folder."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import trustme
import yaml

__all__ = ["Keys", "issue", "make_keys", "write_tokens"]


@dataclass(frozen=True)
class Keys:
    """Files of one authority, of another one, and of those whom they vouch for.

    There are ``receiver`` (of localhost), ``elsewhere`` (of another host), ``client`` and ``stranger``
    (of the other authority).
    """

    folder: Path
    authority: trustme.CA

    @property
    def ca(self) -> Path:
        """The authority."""
        return self.folder / "ca.pem"

    @property
    def other_ca(self) -> Path:
        """The other one."""
        return self.folder / "other.pem"

    def pair(self, name: str) -> tuple[Path, Path]:
        """Somebody's certificate and key."""
        return self.folder / f"{name}.pem", self.folder / f"{name}.key"


def issue(keys: Keys, name: str, leaf: trustme.LeafCert) -> None:
    """Write somebody's certificate and key, in place of those that are there."""
    certificate, key = keys.pair(name)
    certificate.write_bytes(b"".join(pem.bytes() for pem in leaf.cert_chain_pems))
    key.write_bytes(leaf.private_key_pem.bytes())


def make_keys(folder: Path) -> Keys:
    """All files, in a folder that is there."""
    keys, other = Keys(folder, trustme.CA()), trustme.CA()
    keys.authority.cert_pem.write_to_path(keys.ca)
    other.cert_pem.write_to_path(keys.other_ca)
    issue(keys, "receiver", keys.authority.issue_cert("localhost", "127.0.0.1"))
    issue(keys, "elsewhere", keys.authority.issue_cert("receiver.example"))
    issue(keys, "client", keys.authority.issue_cert(common_name="press-office"))
    issue(keys, "stranger", other.issue_cert(common_name="press-office"))
    return keys


def write_tokens(path: Path, senders: dict[str, str], operators: dict[str, str]) -> None:
    """A receiver's list of tokens, by name."""
    rows = [{"sender": name, "token": token} for name, token in senders.items()]
    rows += [{"operator": name, "token": token} for name, token in operators.items()]
    path.write_text(yaml.safe_dump(rows))
