"""Commands whose options are a program's settings: names, help, bounds and defaults come from the model.

A model loads much (pydantic, gRPC), so it waits until its own command is used: the list of all commands, and
every other command, do without.
"""

from __future__ import annotations

import json
import pkgutil
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import typer
from typer.core import TyperCommand

from cluster.commands.flags import flags_of
from cluster.console import EXIT_USAGE, print_columns, stop

if TYPE_CHECKING:
    from shared.settings import Setting, Settings

__all__ = ["command_of", "settings_of"]

AnySettings = TypeVar("AnySettings", bound="Settings")


class SettingsCommand(TyperCommand):
    """A command whose function finds its settings by :func:`settings_of`, and is given all else itself.

    Attributes:
        model: where the class of its settings is, as ``module:name``.
    """

    model: str

    @cached_property
    def _of_model(self) -> Sequence[Any]:
        return flags_of(pkgutil.resolve_name(self.model))

    def get_params(self, ctx: Any) -> list[Any]:
        """The settings' flags before the function's own."""
        return [*self._of_model, *super().get_params(ctx)]

    def invoke(self, ctx: Any) -> Any:
        """Call the function without the flags, which it does not declare."""
        own = {one.name for one in self.params}
        return ctx.invoke(
            self.callback, **{name: ctx.params[name] for name in ctx.params.keys() & own}
        )


def command_of(model: str) -> type[SettingsCommand]:
    """The kind of commands that have these settings.

    Args:
        model: where their class is, as ``module:name``.
    """
    return type("SettingsCommand", (SettingsCommand,), {"model": model})


def settings_of(context: typer.Context, kind: type[AnySettings]) -> AnySettings:
    """A command's settings: what is on its command line, in the environment and in ``--config``.

    ``--show-config`` prints them and exits with 0; a wrong one is an error in one line, and exits with 2.
    """
    from shared.settings import SettingsError  # noqa: PLC0415

    given = context.params
    flags = {
        name: given[name]
        for name in kind.model_fields.keys() & given.keys()
        if _is_on_command_line(context, name)
    }
    try:
        for assignment in given["assignments"] or ():
            name, equals, value = assignment.partition("=")
            if not equals:
                raise SettingsError(f"--set {assignment}: must be NAME=VALUE")
            if name in flags:
                raise SettingsError(f"{name} is given twice on the command line")
            flags[name] = value
        config = given["config"]
        settings = kind.load(flags, Path(config) if config else None)
    except SettingsError as error:
        stop(error, EXIT_USAGE)
    if given["show_config"]:
        _show(settings.describe(), given["json"])
        raise typer.Exit
    return settings


def _is_on_command_line(context: typer.Context, name: str) -> bool:
    source = context.get_parameter_source(name)
    return source is not None and source.name == "COMMANDLINE"


def _show(settings: Sequence[Setting], as_json: bool) -> None:
    if as_json:
        print(json.dumps({one.name: _record(one) for one in settings}))
    else:
        print_columns([(one.name, _shown(one.value), one.origin) for one in settings])


def _record(setting: Setting) -> dict[str, object]:
    return {
        "value": setting.value,
        "origin": setting.origin,
        "description": setting.description,
    }


def _shown(value: object) -> str:
    """A value as ``--set`` and the environment take it; a dash for none."""
    match value:
        case None | "" | []:
            return "-"
        case bool():
            return str(value).lower()
        case list():
            return ",".join(map(str, value))
    return str(value)
