"""Sidewire from Python: codecs, previews, and both ends of the wire, in one module.

    import sidewire

    codec = sidewire.get_codec("base")
    blob = codec.encode(sidewire.read_picture(path), quality=16).blob

What is public is listed in ``__init__.pyi`` beside this file, for type checkers and for the module itself.
A name is looked up in its own module when it is first used: whoever sends or receives loads no torch.
"""

from __future__ import annotations

import ast
from importlib import import_module, resources
from typing import Any

from shared.extras import missing_extra
from shared.version import VERSION


def _listed() -> dict[str, str]:
    """The modules of the public names, as the stub imports them."""
    stub = ast.parse(resources.files(__name__).joinpath("__init__.pyi").read_text())
    return {
        one.name: statement.module
        for statement in stub.body
        if isinstance(statement, ast.ImportFrom) and statement.module
        for one in statement.names
        if one.name == one.asname
    }


_HOMES = _listed()

__version__ = VERSION

__all__ = ["__version__", *_HOMES]  # noqa: PLE0604


def __getattr__(name: str) -> Any:
    """A public name, from its module."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    try:
        module = import_module(_HOMES[name])
    except ModuleNotFoundError as error:
        raise missing_extra(name, error) or error from None
    found = globals()[name] = getattr(module, name)
    return found


def __dir__() -> list[str]:
    """The public names, loaded or not."""
    return sorted(__all__)
