"""How programs that run for long log: lines for people, or one JSON object a line for programs."""

from __future__ import annotations

import json
import logging
import sys
from datetime import UTC, datetime
from typing import Literal

__all__ = ["LogFormat", "log_to_standard_error"]

LogFormat = Literal["text", "json"]


class JsonLines(logging.Formatter):
    """A record as an object: ``time`` (UTC, RFC 3339), ``level``, ``logger``, ``message``, and ``traceback``
    where there is one."""

    def format(self, record: logging.LogRecord) -> str:
        """See :class:`logging.Formatter`."""
        time = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
        line = {
            "time": time.replace("+00:00", "Z"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False)


def log_to_standard_error(kind: LogFormat, text: str, level: str = "warning") -> None:
    """Set this process's logging up; a program does so once, at its start.

    Args:
        text: the format of lines for people, as :class:`logging.Formatter` takes it.
        level: the least grave records that are logged.
    """
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLines() if kind == "json" else logging.Formatter(text))
    logging.basicConfig(handlers=[handler], level=level.upper())
