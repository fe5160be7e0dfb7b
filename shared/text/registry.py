"""Text encoders by name. An encoder is loaded once a process and device, when first asked for."""

from __future__ import annotations

import os
from functools import cache
from typing import TYPE_CHECKING

from shared.extras import need
from shared.text.cache import FeatureCache
from shared.text.interface import TextEncoder, UnknownTextEncoderError

if TYPE_CHECKING:
    from shared.text.tower import TextTower

__all__ = ["DEFAULT_TEXT_ENCODER", "get_text_encoder"]

DEFAULT_TEXT_ENCODER = "minilm"
#: The model that papers mean by BERT.
BERT = "bert-base-uncased"
#: Of all encoders of a process together.
CACHE_BYTES = 64 << 20
_CACHE = FeatureCache(CACHE_BYTES)


@cache
def get_text_encoder(spec: str = DEFAULT_TEXT_ENCODER, device: str = "cpu") -> TextEncoder:
    """The text encoder that ``spec`` names; nothing is ever downloaded.

    Args:
        spec: ``minilm``; ``clip:FOLDER`` or ``clip:NAME@FILE``; ``transformers:FOLDER`` or
            ``transformers:NAME`` for a model that is on this machine; ``bert``.
        device: as torch names it, such as "cuda:0".

    Raises:
        UnknownTextEncoderError: no such encoder. TextWeightsError: its weights are missing, damaged
            or not supported; the message says what to do. MissingExtraError: its libraries are not
            installed.
    """
    need(f"text encoder {spec}", "words")
    from shared.text.encoder import TowerEncoder  # noqa: PLC0415

    return TowerEncoder(_tower(spec, device), _CACHE)


def _tower(spec: str, device: str) -> TextTower:
    # Libraries read this when they are imported. Only the one that is asked for is: it takes seconds.
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    kind, _, source = spec.partition(":")
    match kind, source:
        case "minilm", "":
            from shared.text.minilm import load_minilm  # noqa: PLC0415

            return load_minilm(device)
        case ("bert", "") | ("transformers", str()) if source or kind == "bert":
            from shared.text.transformer import load_transformer  # noqa: PLC0415

            return load_transformer(source or BERT, device)
        case "clip", str() if source:
            need(f"text encoder {spec}", "clip")
            from shared.text.clip import load_clip  # noqa: PLC0415

            return load_clip(source, device)
    raise UnknownTextEncoderError(
        f"no text encoder {spec!r}; known: minilm, bert, clip:FOLDER, clip:NAME@FILE, "
        "transformers:FOLDER, transformers:NAME"
    )
