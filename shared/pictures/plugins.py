"""What Pillow is taught: HEIC and JPEG XL, and to keep its remarks on files to itself."""

from __future__ import annotations

import importlib
import logging
import warnings
from contextlib import suppress

__all__ = ["register"]


def register() -> None:
    """Register the formats that come as plugins, and silence what Pillow and they warn of and log.

    They are about files, such as of metadata that is odd, and would stand on standard error with a line of
    source. A picture is read or refused with an error. The filter is the process's, as one around each call
    would not be safe in threads.
    """
    with suppress(ImportError):  # a gateway reads no pictures
        importlib.import_module("pillow_heif").register_heif_opener()
    with suppress(ImportError):  # JPEG XL is an extra: its plugin is under the GPL
        importlib.import_module("pillow_jxl")
    logging.getLogger("PIL").setLevel(logging.CRITICAL)
    warnings.filterwarnings("ignore", module=r"(PIL|pillow_heif|pillow_jxl)\b")
