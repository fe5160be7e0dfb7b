"""What ``sidewire page`` is told."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import Field
from pydantic_settings import SettingsConfigDict

from shared.settings import Flag, Settings

__all__ = ["PageSettings"]


class PageSettings(Settings):
    """What one run is told."""

    model_config = SettingsConfigDict(env_prefix="SIDEWIRE_PAGE_")

    port: Annotated[int, Field(ge=0, le=65535), Flag()] = Field(
        0, description="port of the page, on 127.0.0.1; 0 for any free one"
    )
    captioner: Annotated[Path | None, Flag(metavar="FOLDER")] = Field(
        None,
        description="folder of a transformers model, such as a BLIP, that says what it sees on a picture",
    )
