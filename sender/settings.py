"""Settings of the programs that call a receiver: the sender, the caption publisher, and status."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import Field, SecretStr, model_validator
from pydantic_settings import SettingsConfigDict

from shared.settings import Address, Count, Positive, Seconds, Settings, SettingsError
from shared.wire.limits import STREAM_ID_LENGTH, Limits
from shared.wire.security import ClientSecurity

__all__ = ["CallerSettings", "CaptionSettings", "SendSettings", "StatusSettings"]


def default_stream(feed: Path) -> str:
    """The stream id of a feed that is given no other: the file's or folder's name, made to fit.

    Both channels must come to the same one, so nothing but the name counts.
    """
    name = re.sub(r"[^A-Za-z0-9._-]+", "-", feed.absolute().stem).lstrip(".")
    return name[:STREAM_ID_LENGTH] or "feed"


def default_state(stream: str) -> Path:
    """Where a sender keeps its journal (XDG Base Directory Specification)."""
    home = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
    return Path(home) / "sidewire" / "send" / stream


Stream = Annotated[
    str, Field(pattern=rf"^[A-Za-z0-9_-][A-Za-z0-9._-]{{0,{STREAM_ID_LENGTH - 1}}}$")
]
Revisit = Annotated[Count, Field(description="how often the feed is gone through")]
Rate = Annotated[Positive | None, Field(description="most messages a second; unset for no limit")]
Reconnect = Annotated[
    Seconds, Field(description="without a connection after which to give up; 0 for never")
]

# What a caption publisher can be told to do to its captions, for experiments.
Which = Annotated[int, Field(ge=0, description="which caption of a picture that has several")]
Delay = Annotated[Seconds, Field(description="that a caption is behind its place in the feed")]
Jitter = Annotated[Seconds, Field(description="more delay at most, evenly drawn")]
Drop = Annotated[float, Field(ge=0, le=1, description="share of captions that are never sent")]
Shuffle = Annotated[int, Field(ge=0, description="captions that are mixed up; 0 to keep the order")]
Tombstones = Annotated[bool, Field(description="say so where a picture has no caption")]
Seed = Annotated[int, Field(description="of all that is drawn")]
Ttl = Annotated[Positive | None, Field(description="seconds after which it is worth nothing")]
Language = Annotated[str, Field(max_length=35, description="of the captions, such as en")]


class CallerSettings(Settings):
    """How to prove who one is, and check whom one talks to."""

    tls_ca: Path | None = Field(
        None, description="PEM file of authorities that receivers are checked with; unset: no TLS"
    )
    tls_cert: Path | None = Field(None, description="PEM file of the own certificate chain")
    tls_key: Path | None = Field(None, description="PEM file of its unencrypted key")
    token: SecretStr = Field(SecretStr(""), description="sent with every call; needs TLS")
    token_file: Path | None = Field(None, description="file that holds the token")

    @model_validator(mode="after")
    def _one_token(self) -> Self:
        if self.token.get_secret_value() and self.token_file:
            raise ValueError("token and token_file are both given: give one")
        return self

    def security(self) -> ClientSecurity:
        """Read the key, certificate and token files.

        Raises:
            SecurityError: one is malformed, or there is a token without TLS. SettingsError:
            ``token_file`` cannot be read.
        """
        token = self.token.get_secret_value()
        if self.token_file:
            try:
                token = self.token_file.read_text(encoding="utf-8").strip()
            except (OSError, UnicodeDecodeError) as error:
                reason = getattr(error, "strerror", None) or "it is not text"
                raise SettingsError(f"cannot read token_file {self.token_file}: {reason}") from None
        return ClientSecurity.load(self.tls_ca, self.tls_cert, self.tls_key, token)


class CaptionSettings(CallerSettings):
    """What ``sidewire captions`` is told."""

    model_config = SettingsConfigDict(env_prefix="SIDEWIRE_CAPTIONS_")

    feed: Path = Field(description="Parquet file or folder with id, image, captions")
    to: Address = Field(description="host:port of the receiver's caption channel")
    stream: Stream = Field(
        default_factory=lambda known: default_stream(known["feed"]), description="the stream's id"
    )
    repeat: Revisit = 1
    rate: Rate = None
    ttl: Ttl = None
    reconnect_seconds: Reconnect = 0.0

    which: Which = 0
    delay: Delay = 0.0
    delay_jitter: Jitter = 0.0
    drop: Drop = 0.0
    shuffle: Shuffle = 0
    tombstones: Tombstones = True
    seed: Seed = 1
    language: Language = ""


class SendSettings(CallerSettings):
    """What ``sidewire send`` is told."""

    model_config = SettingsConfigDict(env_prefix="SIDEWIRE_SEND_")

    feed: Path = Field(description="Parquet file or folder with id, image, captions")
    images: Address = Field(description="host:port of the receiver's picture channel")
    captions: Address | None = Field(
        None, description="host:port of its caption channel; unset to send no captions"
    )
    stream: Stream = Field(
        default_factory=lambda known: default_stream(known["feed"]), description="the stream's id"
    )
    state: Path = Field(
        default_factory=lambda known: default_state(known["stream"]),
        description="folder of the journal",
    )
    repeat: Revisit = 1
    rate: Rate = None
    ttl: Ttl = None
    reconnect_seconds: Reconnect = 0.0

    codec: str = Field("base", description="codec's name")
    quality: int = Field(4, ge=0, description="0 is the smallest stream")
    bundle: Path | None = Field(None, description="another model bundle than the one that ships")
    processes: Count = Field(
        default_factory=lambda: len(os.sched_getaffinity(0)), description="encoding at once"
    )
    ahead: Count = Field(32, description="pictures that are encoded before they can be sent")
    expect_captions: bool = Field(
        default_factory=lambda known: known["captions"] is not None,
        description="tell the receiver to wait for captions",
    )
    journal_bytes: int = Field(
        256 << 20, ge=Limits.frame_bytes, description="unacked pictures on disk at most"
    )

    caption_which: Which = 0
    caption_delay: Delay = 0.0
    caption_delay_jitter: Jitter = 0.0
    caption_drop: Drop = 0.0
    caption_shuffle: Shuffle = 0
    caption_tombstones: Tombstones = True
    caption_seed: Seed = 1
    caption_language: Language = ""
    caption_ttl: Ttl = None

    def publisher(self) -> CaptionSettings | None:
        """For the publisher of this feed's captions; None if there are none to send."""
        if self.captions is None:
            return None
        shared = CallerSettings.model_fields.keys() | {
            "feed",
            "stream",
            "repeat",
            "rate",
            "reconnect_seconds",
        }
        own: dict[str, Any] = {name: getattr(self, name) for name in shared}
        prefix = "caption_"
        of_captions = {
            name.removeprefix(prefix): value for name, value in self if name.startswith(prefix)
        }
        return CaptionSettings(to=self.captions, **own, **of_captions)


class StatusSettings(CallerSettings):
    """What ``sidewire status`` is told."""

    model_config = SettingsConfigDict(env_prefix="SIDEWIRE_STATUS_")

    images: Address = Field("127.0.0.1:7601", description="host:port of a receiver")
