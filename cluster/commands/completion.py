"""What a shell is offered where a value has few names. It is asked at each Tab: nothing heavy is loaded."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from shared.errors import SidewireError
from shared.systems.catalogue import systems

__all__ = ["BASELINES", "codec_names", "offered"]

#: Asking the baselines themselves would load torch; a test holds the names to theirs.
BASELINES = tuple(
    f"baseline/{name}"
    for name in (
        "avif",
        "avif-copy",
        "blurhash",
        "heic",
        "jpeg",
        "jxl",
        "thumbhash",
        "webp",
        "webp-copy",
    )
)


def codec_names() -> tuple[str, ...]:
    """Systems, and baselines whether or not this machine can write them."""
    return (*systems(), *BASELINES)


def offered(names: Callable[[], Iterable[str]]) -> Callable[[str], list[str]]:
    """A Typer ``autocompletion`` that offers those names that begin with what is typed."""

    def complete(incomplete: str) -> list[str]:
        try:
            return [name for name in names() if name.startswith(incomplete)]
        except SidewireError:  # the command itself will say so
            return []

    return complete
