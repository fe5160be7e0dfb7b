"""Command-line options of a settings model: names, help, bounds and defaults as the model has them."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cluster.commands.completion import offered

if TYPE_CHECKING:
    from pydantic.fields import FieldInfo

    from shared.settings import Flag, Settings

__all__ = ["flags_of"]

#: Heading in ``--help``.
SETTINGS = "Settings"

Config = Annotated[
    Path | None,
    typer.Option("--config", help="YAML file of settings.", rich_help_panel=SETTINGS),
]
Assignments = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="NAME=VALUE",
        help="Any setting by its name; may be repeated.",
        rich_help_panel=SETTINGS,
    ),
]
ShowConfig = Annotated[
    bool,
    typer.Option(
        "--show-config",
        help="Print every setting, its value and where that came from; do nothing else.",
        rich_help_panel=SETTINGS,
    ),
]

#: JSON Schema's types as the command line has them; everything else is text.
TYPES: dict[str, type[object]] = {"boolean": bool, "integer": int, "number": float}


def flags_of(model: type[Settings]) -> Sequence[Any]:
    """The options of a command that has these settings, ``--config``, ``--set`` and ``--show-config``.

    They are what Typer makes of a function with such parameters.
    """

    def function() -> None: ...

    parameters = [
        *_flags(model),
        _parameter("config", Config, None),
        _parameter("assignments", Assignments, None),
        _parameter("show_config", ShowConfig, False),
    ]
    function.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    app = typer.Typer(add_completion=False)
    app.command()(function)
    return typer.main.get_command(app).params


def _parameter(name: str, annotation: object, default: object) -> inspect.Parameter:
    return inspect.Parameter(
        name, inspect.Parameter.KEYWORD_ONLY, annotation=annotation, default=default
    )


def _flags(model: type[Settings]) -> Iterator[inspect.Parameter]:
    from shared.settings import Flag  # noqa: PLC0415

    schema = model.model_json_schema(mode="serialization")
    for name, field in model.model_fields.items():
        for flag in field.metadata:
            if isinstance(flag, Flag):
                yield _flag(name, flag, field, schema["properties"][name])


def _flag(name: str, flag: Flag, field: FieldInfo, schema: dict[str, Any]) -> inspect.Parameter:
    (value,) = (one for one in schema.get("anyOf", [schema]) if one["type"] != "null")
    long = name.replace("_", "-")
    default = schema.get("default")
    if default == "":  # nothing to show
        default = None
    names = [f"--{long}/--no-{long}" if default is True else f"--{long}"]
    if flag.short:
        names.append(flag.short)
    offers = flag.offers or (lambda: value.get("enum", ()))
    option = typer.Option(
        *names,
        help=_help(field),
        autocompletion=offered(offers),
        metavar=flag.metavar or _shape(value),
        show_default=flag.unset or default is not False,
        rich_help_panel=flag.panel or None,
    )
    kind: Any = TYPES.get(value["type"], str)
    # Bounds are for the model to check, as they are where a value comes from elsewhere.
    return _parameter(name, Annotated[kind if kind is bool else kind | None, option], default)


def _help(field: FieldInfo) -> str:
    text = field.description or ""
    required = r" [red]\[required][/]" if field.is_required() else ""
    return f"{text[:1].upper()}{text[1:]}.{required}"


def _shape(value: dict[str, Any]) -> str | None:
    """What a value looks like, with its bounds, as Typer writes such; None for what it writes itself."""
    if value["type"] == "boolean":
        return None
    if "enum" in value:
        return f"<{'|'.join(value['enum'])}>"
    name = value["format"] if "format" in value else TYPES.get(value["type"], str).__name__
    bounds = (
        (value.get("minimum"), "{}<="),
        (value.get("exclusiveMinimum"), "{}<"),
        (value.get("exclusiveMaximum"), "<{}"),
        (value.get("maximum"), "<={}"),
    )
    low = "".join(text.format(bound) for bound, text in bounds[:2] if bound is not None)
    high = "".join(text.format(bound) for bound, text in bounds[2:] if bound is not None)
    return f"<{name}> [{low}x{high}]" if low or high else f"<{name}>"
