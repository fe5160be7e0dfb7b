"""The version of the project, in one place: metadata, the command and servers have it from here."""

from __future__ import annotations

__all__ = ["VERSION"]

VERSION = "0.1.0"
