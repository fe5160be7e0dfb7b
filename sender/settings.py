"""Settings of the programs that call a receiver: the sender, the caption publisher, and status."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import Field, SecretStr, model_validator
from pydantic_settings import SettingsConfigDict

from sender.codecs import SEALED, sendable
from shared.logs import LogFormat
from shared.settings import (
    ADDRESS,
    TLS,
    Address,
    Count,
    Flag,
    Positive,
    Seconds,
    Settings,
    SettingsError,
    Share,
)
from shared.wire.limits import STREAM_ID_LENGTH, Limits
from shared.wire.security import ClientSecurity, SecurityError

__all__ = ["CallerSettings", "CaptionSettings", "SendSettings", "StatusSettings"]

#: "" or a stream id; the empty one stands for the feed's name.
StreamId = Annotated[
    str,
    Field(
        pattern=rf"^([A-Za-z0-9_-][A-Za-z0-9._-]{{0,{STREAM_ID_LENGTH - 1}}})?$",
        description="the stream's id",
    ),
    Flag(unset="the feed's name"),
]
FeedPlace = Annotated[
    str,
    Field(
        min_length=1,
        description="Parquet or Arrow file, folder of such or of pictures, or - for Arrow on standard"
        " input",
    ),
    Flag(),
]
Repeat = Annotated[int, Field(ge=0, description="how often the feed is sent; 0 for ever"), Flag()]
Rate = Annotated[
    Positive | None, Field(description="most messages a second"), Flag(unset="no limit")
]
Reconnect = Annotated[
    Seconds, Field(description="seconds without a connection after which to give up; 0 for never")
]
Stall = Annotated[
    Positive,
    Field(
        description="seconds without an end, while something is unacked, before it attaches anew"
    ),
]

# What a caption publisher can be told to do to its captions, for experiments.
EXPERIMENT = Flag(panel="Captions that come late, in disorder or not at all")
Which = Annotated[int, Field(ge=0, description="which caption of a picture, from 0")]
Delay = Annotated[
    Seconds, Field(description="seconds that a caption is behind its place in the feed"), EXPERIMENT
]
Jitter = Annotated[Seconds, Field(description="seconds more at most, evenly drawn"), EXPERIMENT]
Drop = Annotated[Share, Field(description="share of captions that are never sent"), EXPERIMENT]
Shuffle = Annotated[
    int, Field(ge=0, description="captions that are mixed up; 0 keeps the order"), EXPERIMENT
]
Tombstones = Annotated[bool, Field(description="say so where a picture has no caption")]
Seed = Annotated[int, Field(description="what all that is drawn follows from")]
Ttl = Annotated[Positive | None, Field(description="seconds after which it is worth nothing")]
Language = Annotated[str, Field(max_length=35, description="language of the captions, such as en")]


Traces = Annotated[
    str,
    Field(
        description="OpenTelemetry collector that takes OTLP over gRPC, such as http://127.0.0.1:4317"
    ),
    Flag(metavar="URL", unset="nowhere"),
]
Logs = Annotated[LogFormat, Field(description="how lines on standard error are written"), Flag()]


class CallerSettings(Settings):
    """How to prove who one is, and check whom one talks to."""

    tls_ca: Annotated[Path | None, Flag(panel=TLS)] = Field(
        None,
        description="PEM file of authorities that the receiver is checked with; without it, no TLS",
    )
    tls_cert: Annotated[Path | None, Flag(panel=TLS)] = Field(
        None, description="PEM file of the own certificate chain"
    )
    tls_key: Annotated[Path | None, Flag(panel=TLS)] = Field(
        None, description="PEM file of its unencrypted key"
    )
    # It has no flag: others on the machine can read command lines.
    token: SecretStr = Field(SecretStr(""), description="sent with every call; needs TLS")
    token_file: Annotated[Path | None, Flag(panel=TLS)] = Field(
        None, description="file that holds the token"
    )

    @model_validator(mode="after")
    def _one_token(self) -> Self:
        if self.token.get_secret_value() and self.token_file:
            raise ValueError("token and token_file are both given: give one")
        return self

    def security(self) -> ClientSecurity:
        """Read the key, certificate and token files.

        Raises:
            SecurityError: one is missing or malformed, or there is a token without TLS.
        """
        token = self.token.get_secret_value()
        if self.token_file:
            try:
                token = self.token_file.read_text(encoding="utf-8").strip()
            except (OSError, UnicodeDecodeError) as error:
                reason = getattr(error, "strerror", None) or "it is not text"
                raise SecurityError(f"cannot read token_file {self.token_file}: {reason}") from None
            if not token:
                raise SecurityError(f"token_file {self.token_file} is empty")
        return ClientSecurity.load(self.tls_ca, self.tls_cert, self.tls_key, token)


class CaptionSettings(CallerSettings):
    """What ``sidewire captions`` is told."""

    model_config = SettingsConfigDict(env_prefix="SIDEWIRE_CAPTIONS_")

    feed: FeedPlace
    to: Annotated[Address, Flag(metavar=ADDRESS)] = Field(
        description="the receiver's address for captions"
    )
    stream: StreamId = ""
    repeat: Repeat = 1
    rate: Rate = None
    ttl: Ttl = None
    stall_seconds: Stall = 60.0
    reconnect_seconds: Reconnect = 0.0
    traces: Traces = ""
    log_format: Logs = "text"

    which: Annotated[Which, Flag()] = 0
    language: Annotated[Language, Flag()] = ""
    delay: Delay = 0.0
    delay_jitter: Jitter = 0.0
    drop: Drop = 0.0
    shuffle: Shuffle = 0
    tombstones: Tombstones = True
    seed: Seed = 0


#: Settings of a sender that its caption publisher has too, and how those begin that are for it alone.
AS_THE_PUBLISHER = (
    *CallerSettings.model_fields,
    "feed",
    "repeat",
    "rate",
    "stall_seconds",
    "reconnect_seconds",
    "traces",
    "log_format",
)
OF_CAPTIONS = "caption_"


class SendSettings(CallerSettings):
    """What ``sidewire send`` is told."""

    model_config = SettingsConfigDict(env_prefix="SIDEWIRE_SEND_")

    feed: FeedPlace
    images: Annotated[Address, Flag(metavar=ADDRESS)] = Field(
        description="the receiver's address for pictures"
    )
    captions: Annotated[Address | None, Flag(metavar=ADDRESS)] = Field(
        None, description="its address for captions; without it, none are sent"
    )
    stream: StreamId = ""
    state: Annotated[Path | None, Flag(unset="in ~/.local/state/sidewire/send")] = Field(
        None, description="folder of the journal"
    )
    again: Annotated[bool, Flag()] = Field(
        False, description="send a feed once more that was acked whole"
    )
    repeat: Repeat = 1
    rate: Rate = None
    ttl: Ttl = None
    stall_seconds: Stall = 60.0
    reconnect_seconds: Reconnect = 0.0
    traces: Traces = ""
    log_format: Logs = "text"

    codec: Annotated[str, Flag(offers=sendable)] = Field(
        "base", description="what encodes, see sidewire doctor"
    )
    quality: Annotated[int | None, Flag("-q", unset="the middle one")] = Field(
        None, ge=0, description="0 is the smallest stream"
    )
    preview_bytes: Annotated[Count | None, Flag(unset="the pictures themselves")] = Field(
        None,
        description="send a preview of each picture in at most so many bytes instead; without --stream,"
        " on the stream FEED.previews",
    )
    bundle: Annotated[Path | None, Flag()] = Field(
        None, description="folder of another model bundle than the one that ships"
    )
    captioner: Annotated[Path | None, Flag(unset="nobody is asked")] = Field(
        None,
        description="folder of a transformers model, such as a BLIP, that says what it sees on pictures"
        " without a caption; for codecs whose encoder reads captions",
    )
    processes: Annotated[Count, Flag(unset="one a core")] = Field(
        default_factory=lambda: len(os.sched_getaffinity(0)),
        description="processes that encode at once",
    )
    ahead: Count = Field(32, description="pictures that are encoded before they can be sent")
    expect_captions: bool | None = Field(
        None, description="whether the receiver waits for captions; unset: if captions is given"
    )
    journal_bytes: int = Field(
        256 << 20, ge=Limits.frame_bytes, description="unacked pictures on disk at most"
    )

    # Also of an encoder that reads captions, from the feed and without the publisher.
    caption_which: Which = 0
    caption_delay: Delay = 0.0
    caption_delay_jitter: Jitter = 0.0
    caption_drop: Drop = 0.0
    caption_shuffle: Shuffle = 0
    caption_tombstones: Tombstones = True
    caption_seed: Seed = 0
    caption_language: Language = ""
    caption_ttl: Ttl = None

    @model_validator(mode="after")
    def _check_previews(self) -> Self:
        if self.preview_bytes is None:
            return self
        if self.quality is not None:
            raise ValueError("quality and preview_bytes are both given: a size chooses its level")
        if self.codec == SEALED:
            raise ValueError(f"preview_bytes needs pictures, codec {SEALED} sends what is made")
        return self

    @model_validator(mode="after")
    def _check_captioner(self) -> Self:
        if self.captioner is None:
            return self
        if self.preview_bytes is not None:
            raise ValueError(
                "captioner and preview_bytes are both given: previews are made without captions"
            )
        if self.codec == SEALED:
            raise ValueError(f"captioner needs pictures, codec {SEALED} sends what is made")
        return self

    def state_folder(self, stream_id: str) -> Path:
        """Where the journal is: ``state``, or by the XDG Base Directory Specification."""
        if self.state is not None:
            return self.state
        home = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
        return Path(home) / "sidewire" / "send" / stream_id

    def caption_settings(self, stream_id: str) -> CaptionSettings:
        """The settings of the publisher of this feed's captions.

        Raises:
            SettingsError: ``captions`` is not given.
        """
        if self.captions is None:
            raise SettingsError("captions is missing: there is nowhere to publish to")
        values: dict[str, Any] = {name: getattr(self, name) for name in AS_THE_PUBLISHER}
        for name, value in self:
            if name.startswith(OF_CAPTIONS):
                values[name.removeprefix(OF_CAPTIONS)] = value
        return CaptionSettings(to=self.captions, stream=stream_id, **values)


class StatusSettings(CallerSettings):
    """What ``sidewire status`` is told."""

    model_config = SettingsConfigDict(env_prefix="SIDEWIRE_STATUS_")

    images: Annotated[Address, Flag(metavar=ADDRESS)] = Field(
        "127.0.0.1:7601", description="the receiver's address"
    )
