"""Codecs by name. A codec is built once a process, when it is first asked for."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

from shared.codecs.interface import Codec
from shared.errors import UnknownCodecError

__all__ = ["codec_names", "get_codec", "register"]

Factory = Callable[[], Codec]
_FACTORIES: dict[str, Factory] = {}


def register(name: str) -> Callable[[Factory], Factory]:
    """Decorator: make a factory known as ``name``; a name is taken once."""

    def add(factory: Factory) -> Factory:
        if name in _FACTORIES:
            raise ValueError(f"codec {name!r} is registered twice")
        _FACTORIES[name] = factory
        return factory

    return add


def codec_names() -> tuple[str, ...]:
    """All registered names, sorted."""
    return tuple(sorted(_FACTORIES))


@cache
def get_codec(name: str) -> Codec:
    """The codec called ``name``.

    Raises:
        UnknownCodecError: no such name. BundleError: its weights are missing or damaged.
    """
    if name not in _FACTORIES:
        raise UnknownCodecError(f"no codec {name!r}; known: {', '.join(codec_names())}")
    return _FACTORIES[name]()
