"""Options that several commands share, and the way from a command line to settings."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from cluster.console import EXIT_USAGE, print_columns, stop

if TYPE_CHECKING:
    from shared.settings import Setting, Settings

__all__ = [
    "TLS",
    "Assignments",
    "BundleFolder",
    "ClientCertificate",
    "ClientKey",
    "ConfigFile",
    "Json",
    "ReceiverAuthorities",
    "ShowConfig",
    "TokenFile",
    "settings_of",
]

#: Headings in ``--help``.
SETTINGS, TLS = "Settings", "Security"

Json = Annotated[bool, typer.Option("--json", help="Print one JSON object for programs.")]
BundleFolder = Annotated[
    Path | None,
    typer.Option("--bundle", help="Folder of another model bundle than the one that ships."),
]

ConfigFile = Annotated[
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

ReceiverAuthorities = Annotated[
    Path | None,
    typer.Option(
        "--tls-ca",
        help="PEM file of authorities that the receiver is checked with; without it, no TLS.",
        rich_help_panel=TLS,
    ),
]
ClientCertificate = Annotated[
    Path | None,
    typer.Option("--tls-cert", help="PEM file of the own certificate.", rich_help_panel=TLS),
]
ClientKey = Annotated[
    Path | None, typer.Option("--tls-key", help="PEM file of its key.", rich_help_panel=TLS)
]
# No --token: others on the machine can read command lines. The environment has SIDEWIRE_..._TOKEN.
TokenFile = Annotated[
    Path | None,
    typer.Option("--token-file", help="File that holds the token.", rich_help_panel=TLS),
]

#: Parameters of commands that are no settings.
NO_SETTINGS = frozenset({"config", "assignments", "show_config", "json", "watch"})

AnySettings = TypeVar("AnySettings", bound="Settings")


def settings_of(context: typer.Context, kind: type[AnySettings]) -> AnySettings:
    """A command's settings: what is on its command line, in the environment and in ``--config``.

    Every parameter of the command but :data:`NO_SETTINGS` is a setting of the same name; None and False
    say that the flag was not given.
    ``--show-config`` prints them and exits with 0; a wrong one is an error in one line, and exits with 2.
    """
    from shared.settings import SettingsError  # noqa: PLC0415

    given = context.params
    flags = {
        name: value
        for name, value in given.items()
        if name not in NO_SETTINGS and value is not None and value is not False
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
