"""What the page may know and change of the sending side, where that is part of the same program."""

from __future__ import annotations

from typing import Annotated, Protocol

from pydantic import BaseModel, ConfigDict, Field

from receiver.viewer.posts import Origin
from shared.settings import Share

__all__ = ["CaptionDelay", "Controls", "Desk", "Rate", "Sending"]

Rate = Annotated[float, Field(ge=0.1, le=20, allow_inf_nan=False)]
CaptionDelay = Annotated[float, Field(ge=0, le=60, allow_inf_nan=False)]


class Controls(BaseModel):
    """How a feed is replayed; a wrong value is named by pydantic's ValidationError.

    Attributes:
        rate: pictures a second.
        caption_delay: seconds that a caption leaves after its picture.
        loss: share of captions that are never sent.
        mismatch: share of captions that are replaced by another picture's.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    rate: Rate = 0.5
    caption_delay: CaptionDelay = 2.0
    loss: Share = 0.0
    mismatch: Share = 0.0
    paused: bool = False


class Sending(BaseModel):
    """How much has been given to the senders."""

    model_config = ConfigDict(frozen=True)

    frames: int = 0
    previews: int = 0
    captions: int = 0


class Desk(Protocol):
    """The side that replays a feed."""

    @property
    def controls(self) -> Controls:
        """The controls as they are now."""

    @controls.setter
    def controls(self, controls: Controls) -> None:
        """Takes effect at once."""

    @property
    def sending(self) -> Sending:
        """What has been given to the senders."""

    def origin(self, seq: int) -> Origin | None:
        """The origin of the picture with this number; None where it is not known any more."""

    def forget(self, seq: int) -> None:
        """Nobody will ask for it again."""
