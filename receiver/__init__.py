"""The receiver: both channels, the joiner between them, decoders and sinks."""

from __future__ import annotations

import shared  # noqa: F401 - before gRPC is imported
