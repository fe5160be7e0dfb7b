"""Settings of a receiver."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator
from pydantic_settings import SettingsConfigDict

from receiver.decoders.interface import DECODE_SECONDS
from receiver.flow import Quota
from receiver.sinks.places import SinkPlace
from shared.logs import LogFormat
from shared.settings import (
    ADDRESS,
    TLS,
    Addresses,
    Count,
    Flag,
    ListenAddress,
    OptionalAddress,
    OptionalListenAddress,
    Positive,
    Seconds,
    Settings,
)
from shared.wire.channels import stays_on_machine
from shared.wire.limits import Limits, Window
from shared.wire.security import ServerSecurity

__all__ = ["ReceiveSettings"]

#: gRPC hands messages over whole: larger ones would hold up all others.
FrameBytes = Annotated[int, Field(ge=1024, le=64 << 20)]


class ReceiveSettings(Settings):
    """What ``sidewire receive`` is told. Subscribers of ``sink_kind`` subscriber connect to ``images``."""

    model_config = SettingsConfigDict(env_prefix="SIDEWIRE_RECEIVE_")

    images: Annotated[ListenAddress, Flag(metavar=ADDRESS)] = Field(
        "127.0.0.1:7601",
        description="where to listen for pictures; the same as captions for one port",
    )
    captions: Annotated[ListenAddress, Flag(metavar=ADDRESS)] = Field(
        "127.0.0.1:7602", description="where to listen for captions"
    )
    advertise_images: OptionalAddress = Field(
        "", description="host:port for pictures as senders reach it; empty for where they asked"
    )
    advertise_captions: OptionalAddress = Field("", description="the same for captions")
    plaintext_on_the_network: Annotated[bool, Flag(panel=TLS)] = Field(
        False, description="listen beyond this machine without TLS"
    )

    sink: Annotated[SinkPlace | None, Flag(metavar="PLACE")] = Field(
        None,
        description="where decoded pictures go: a folder, s3://BUCKET/PREFIX or gs://BUCKET/PREFIX",
    )
    sink_kind: Annotated[Literal["folder", "parquet", "subscriber", "none"], Flag()] = Field(
        "folder", description="what becomes of decoded pictures"
    )
    picture_format: Annotated[Literal["png", "jpeg", "webp"], Flag()] = Field(
        "png", description="format of decoded pictures"
    )
    state: Annotated[Path, Flag()] = Field(description="folder of the ledger: keep it")

    mode: Annotated[Literal["wait", "refine"], Flag()] = Field(
        "wait",
        description="wait for a caption before decoding, or decode at once and refine",
    )
    caption_wait: Annotated[Seconds, Flag()] = Field(
        2.0, description="seconds that a picture waits for its caption"
    )
    late_window: Annotated[Seconds, Flag()] = Field(
        60.0, description="seconds after its picture in which a late caption is still used"
    )
    caption_ttl: Seconds = Field(600.0, description="that a caption without its picture is kept")

    decoder: Annotated[
        Literal["processes", "ray", "benchmark-noop", "benchmark-echo"],
        # benchmark-* make no pictures
        Flag(metavar="<processes|ray>", offers=lambda: ("processes", "ray")),
    ] = Field("processes", description="what decodes: processes of this machine, or ray")
    decoder_processes: Count = Field(
        default_factory=lambda: len(os.sched_getaffinity(0)), description="decoding at once"
    )
    decode_seconds: Positive = Field(
        DECODE_SECONDS,
        description="that a batch of pictures may take before its decoder is started again",
    )
    decoder_gpus: Annotated[float, Field(gt=0, le=1)] = Field(
        0.25, description="of a GPU, for each decoder of ray, where there is one"
    )
    ray_address: Annotated[str, Flag(unset="a cluster of its own")] = Field(
        "", description="Ray cluster of the decoders, or auto; empty for one inside this receiver"
    )
    ray_namespace: str = Field("sidewire", description="where ray's decoders are found by name")
    generator: Annotated[str, Flag()] = Field(
        "ssa", description="what decodes streams of ssa: a codec, or the folder of a bundle"
    )
    bundle: Annotated[Path | None, Flag()] = Field(
        None, description="folder of another model bundle than the one that ships"
    )
    text_encoder: str = Field("", description="id of the generators' text encoder; empty for none")
    commit_rows: Count = Field(256, description="most ends in one transaction of the ledger")

    frame_bytes: FrameBytes = Field(Limits.frame_bytes, description="largest compressed picture")
    picture_pixels: Annotated[Count, Field(le=Limits.picture_pixels)] = Field(
        Limits.picture_pixels, description="largest picture, width times height"
    )
    caption_bytes: Annotated[Count, Field(le=1 << 20)] = Field(
        Limits.caption_bytes, description="longest caption, in UTF-8"
    )
    image_window_frames: Count = Field(
        Limits.image_window.frames, description="pictures of a stream in memory"
    )
    image_window_bytes: Count = Field(
        Limits.image_window.bytes, description="and their bytes; at least frame_bytes"
    )
    caption_window_frames: Count = Field(
        Limits.caption_window.frames, description="captions of a stream in memory"
    )
    caption_window_bytes: Count = Field(
        Limits.caption_window.bytes, description="and their bytes; at least caption_bytes"
    )
    quota_streams: Count = Field(Quota.streams, description="open streams of one sender")
    quota_frames: Count = Field(Quota.images.frames, description="pictures of one sender in memory")
    quota_bytes: Count = Field(Quota.images.bytes, description="and their bytes")
    quota_captions: Count = Field(
        Quota.captions.frames, description="captions of one sender in memory"
    )
    quota_caption_bytes: Count = Field(Quota.captions.bytes, description="and their bytes")

    gateways: Addresses = Field(
        (), description="host:port of all gateways, with commas; empty for one alone"
    )
    self_address: OptionalAddress = Field("", description="which of the gateways this one is")

    tls_cert: Annotated[Path | None, Flag(panel=TLS)] = Field(
        None, description="PEM file of the certificate chain"
    )
    tls_key: Annotated[Path | None, Flag(panel=TLS)] = Field(
        None, description="PEM file of its unencrypted key"
    )
    client_ca: Annotated[Path | None, Flag(panel=TLS)] = Field(
        None, description="PEM file of authorities: senders must have a certificate of theirs"
    )
    tokens: Annotated[Path | None, Flag(panel=TLS)] = Field(
        None,
        description="YAML file, a list of {sender: NAME, token: SECRET}: senders must have one,"
        " over TLS; an entry with operator for sender sees all streams and has none",
    )

    metrics: Annotated[OptionalListenAddress, Flag(metavar=ADDRESS, unset="nowhere")] = Field(
        "", description="where to show /metrics, /healthz and /readyz over plain HTTP"
    )
    traces: Annotated[str, Flag(metavar="URL", unset="nowhere")] = Field(
        "",
        description="OpenTelemetry collector that takes OTLP over gRPC, such as http://127.0.0.1:4317",
    )

    reflection: bool = Field(False, description="answer gRPC reflection")
    drain_seconds: Seconds = Field(30.0, description="to finish what is held when told to stop")
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        "info", description="least grave lines that are logged"
    )
    log_format: Annotated[LogFormat, Flag()] = Field(
        "text", description="how lines on standard error are written"
    )

    @property
    def limits(self) -> Limits:
        """What is taken."""
        return Limits(
            frame_bytes=self.frame_bytes,
            picture_pixels=self.picture_pixels,
            caption_bytes=self.caption_bytes,
            image_window=Window(self.image_window_frames, self.image_window_bytes),
            caption_window=Window(self.caption_window_frames, self.caption_window_bytes),
        )

    @property
    def quota(self) -> Quota:
        """What one sender may have."""
        return Quota(
            self.quota_streams,
            Window(self.quota_frames, self.quota_bytes),
            Window(self.quota_captions, self.quota_caption_bytes),
        )

    def security(self) -> ServerSecurity:
        """Read the key, certificate and token files.

        Raises:
            SecurityError: one of them is missing or malformed.
        """
        return ServerSecurity.load(self.tls_cert, self.tls_key, self.client_ca, self.tokens)

    @model_validator(mode="after")
    def _check_network(self) -> Self:
        if self.tls_cert is not None or self.plaintext_on_the_network:
            return self
        for name, address in (("images", self.images), ("captions", self.captions)):
            if not stays_on_machine(address):
                raise ValueError(
                    f"{name} is {address}, which others can reach, and there is no TLS: give tls_cert"
                    " and tls_key, or --plaintext-on-the-network if you trust everyone there"
                )
        return self

    @model_validator(mode="after")
    def _check_sizes(self) -> Self:
        # A message that never fits would make its sender wait for ever.
        for name, least in (
            ("image_window_bytes", self.frame_bytes),
            ("caption_window_bytes", self.caption_bytes),
            ("quota_bytes", self.frame_bytes),
            ("quota_caption_bytes", self.caption_bytes),
        ):
            value = getattr(self, name)
            if value < least:
                raise ValueError(f"{name} is {value}, must be at least {least} to hold one message")
        return self

    @model_validator(mode="after")
    def _check_places(self) -> Self:
        if self.sink is None and self.sink_kind in ("folder", "parquet"):
            raise ValueError(
                f"sink is missing: give --sink, the place for sink_kind {self.sink_kind}"
            )
        if self.metrics.startswith("unix:"):
            raise ValueError(f"metrics is {self.metrics}, must be host:port")
        if self.gateways and self.self_address not in self.gateways:
            raise ValueError(
                f"self_address is {self.self_address!r}, must be one of gateways"
                f" ({', '.join(self.gateways)})"
            )
        return self
