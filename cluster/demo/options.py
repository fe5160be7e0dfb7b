"""What ``sidewire demo`` is told."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator
from pydantic_settings import SettingsConfigDict

from receiver.viewer.desk import CaptionDelay, Controls, Rate
from shared.settings import Count, Flag, Settings, Share
from shared.systems.catalogue import systems

__all__ = ["DemoOptions"]

CONTROLS = "Can be changed on the page"
START = Controls()


class DemoOptions(Settings):
    """What one run is told."""

    model_config = SettingsConfigDict(env_prefix="SIDEWIRE_DEMO_")

    feed: Annotated[Path | None, Flag(unset="the shipped ones")] = Field(
        None, description="a feed of any kind that send takes"
    )
    codec: Annotated[str | None, Flag(unset="ssa", offers=systems)] = Field(
        None, description="what encodes: ssa reads captions, none is its twin that does not"
    )
    quality: Annotated[
        int | None, Flag("-q", unset="11 for streams of ssa, else the codec's middle one")
    ] = Field(None, description="0 is the smallest stream")
    decoder: Annotated[Literal["ray", "processes"], Flag()] = Field(
        "ray", description="where pictures are decoded: on Ray, or in plain processes"
    )
    limit: Annotated[Count | None, Flag()] = Field(
        None, description="only the first pictures of the feed"
    )
    headless: Annotated[bool, Flag()] = Field(
        False, description="the feed once, without a page, then end"
    )
    report: Annotated[Path | None, Flag()] = Field(
        None,
        description="with --headless: folder for report.json and a page to open from disk",
    )
    port: Annotated[int, Field(ge=0, le=65535), Flag()] = Field(
        0, description="port of the page, on 127.0.0.1; 0 for any free one"
    )
    seed: Annotated[int, Flag()] = Field(0, description="what all that is drawn follows from")

    rate: Annotated[Rate, Flag(panel=CONTROLS)] = Field(START.rate, description="pictures a second")
    caption_delay: Annotated[CaptionDelay, Flag(panel=CONTROLS)] = Field(
        START.caption_delay, description="seconds that a caption leaves after its picture"
    )
    loss: Annotated[Share, Flag(panel=CONTROLS)] = Field(
        START.loss, description="share of captions that are never sent"
    )
    mismatch: Annotated[Share, Flag(panel=CONTROLS)] = Field(
        START.mismatch, description="share of captions that are another picture's"
    )

    @property
    def controls(self) -> Controls:
        """Where the page's controls stand at first."""
        return Controls(
            rate=self.rate,
            caption_delay=self.caption_delay,
            loss=self.loss,
            mismatch=self.mismatch,
        )

    @model_validator(mode="after")
    def _check_report(self) -> Self:
        if self.report is not None and not self.headless:
            raise ValueError("report is written at the end of a feed: give --headless too")
        return self
