"""The senders: of pictures and of captions."""

from __future__ import annotations

import shared  # noqa: F401 - before gRPC is imported
