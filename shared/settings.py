"""Settings of a program: a flag beats the environment, that a YAML file, and that the default.

Built directly, a settings class takes its arguments and looks at nothing else.
:meth:`Settings.load` looks everywhere, and remembers where it found each value.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Self

import yaml
from pydantic import AfterValidator, BeforeValidator, Field, PrivateAttr, SecretStr, ValidationError
from pydantic_settings import (
    BaseSettings,
    EnvSettingsSource,
    NoDecode,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
)

from shared.errors import SidewireError
from shared.wire.channels import check_address

__all__ = [
    "ADDRESS",
    "TLS",
    "Address",
    "Addresses",
    "Count",
    "Flag",
    "ListenAddress",
    "OptionalAddress",
    "OptionalListenAddress",
    "Positive",
    "Seconds",
    "Setting",
    "Settings",
    "SettingsError",
    "Share",
]

MASK = "**********"

#: host:port of a receiver.
Address = Annotated[str, AfterValidator(check_address)]
#: The same, or empty.
OptionalAddress = Annotated[str, AfterValidator(lambda text: text and check_address(text))]
#: host:port to listen on; port 0 for any free one.
ListenAddress = Annotated[str, AfterValidator(lambda text: check_address(text, lowest_port=0))]
#: The same, or empty.
OptionalListenAddress = Annotated[
    str, AfterValidator(lambda text: text and check_address(text, lowest_port=0))
]
#: Several, in a list or with commas.
Addresses = Annotated[
    tuple[Address, ...],
    NoDecode,  # or the environment would have to hold JSON
    BeforeValidator(lambda given: given.split(",") if isinstance(given, str) else given),
]
Seconds = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Share = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]
Count = Annotated[int, Field(ge=1)]


class SettingsError(SidewireError):
    """A setting is wrong, unknown or missing: the message names it, its value and where that came from."""


@dataclass(frozen=True)
class Flag:
    """Stands in a setting's annotation where that has a flag of its own; any other is given by ``--set``.

    The flag's name, help, bounds and default are the setting's.

    Attributes:
        short: a second, short name, such as ``-q``.
        metavar: what to write behind it, where its type does not say that.
        panel: heading that it is listed under.
        unset: what its default comes to, where that is not a value.
        offers: values that a shell is to offer; one of a choice's values is offered without it.
    """

    short: str = ""
    metavar: str = ""
    panel: str = ""
    unset: str = ""
    offers: Callable[[], Iterable[str]] | None = None


#: How a flag says that it takes an address.
ADDRESS = "HOST:PORT"
#: Heading of flags for TLS and tokens.
TLS = "Security"


@dataclass(frozen=True)
class Setting:
    """One setting, for people.

    Attributes:
        value: as JSON has it; secrets are masked.
        origin: "flag", "environment NAME", "file PATH" or "default".
    """

    name: str
    value: Any
    origin: str
    description: str


class Settings(BaseSettings):
    """Base of each program's settings; a subclass sets ``env_prefix``."""

    # Empty variables count as unset: templates of deployments leave many behind.
    model_config = SettingsConfigDict(extra="forbid", frozen=True, env_ignore_empty=True)

    _origins: dict[str, str] = PrivateAttr(default_factory=dict)

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Arguments alone; :meth:`load` asks the other sources itself, to know who said what."""
        return (init_settings,)

    @classmethod
    def load(cls, flags: Mapping[str, object] | None = None, file: Path | None = None) -> Self:
        """Settings from flags, the environment and a YAML file.

        Args:
            flags: values by a setting's name.

        Raises:
            SettingsError: the file cannot be read, or a setting is wrong, unknown or missing.
        """
        sources: list[tuple[Mapping[str, object], str]] = [
            (_read_yaml(file) if file else {}, f"file {file}"),
            (EnvSettingsSource(cls)(), "environment"),
            (flags or {}, "flag"),
        ]
        values: dict[str, Any] = {}
        origins: dict[str, str] = {}
        for found, origin in sources:  # the later, the stronger
            for name, value in found.items():
                cls._check_name(name, origin)
                values[name] = value
                environment = origin == "environment"
                origins[name] = f"{origin} {cls._variable(name)}" if environment else origin
        try:
            settings = cls(**values)
        except ValidationError as error:
            raise SettingsError(cls._problems(error, origins)) from None
        settings._origins.update(origins)
        return settings

    @classmethod
    def _check_name(cls, name: str, origin: str) -> None:
        if name not in cls.model_fields:
            close = difflib.get_close_matches(str(name), cls.model_fields, n=1)
            hint = f"; did you mean {close[0]}?" if close else ""
            raise SettingsError(f"no setting is called {name!r} ({origin}){hint}")

    @classmethod
    def _problems(cls, error: ValidationError, origins: Mapping[str, str]) -> str:
        """All problems in one line."""
        found = []
        for problem in error.errors(include_url=False):
            message = problem["msg"].removeprefix("Value error, ").replace("Input should", "must")
            if not problem["loc"]:  # about several settings, which it names
                found.append(message)
                continue
            name = str(problem["loc"][0])
            if problem["type"] == "missing":
                flag, variable = name.replace("_", "-"), cls._variable(name)
                found.append(f"{name} is missing: give --{flag}, {variable} or {name} in a file")
            elif problem["type"] != "default_factory_not_called":  # follows from another problem
                shown = MASK if cls._is_secret(name) else f"{problem['input']!r:.100}"
                found.append(f"{name} is {shown} ({origins.get(name, 'default')}), {message}")
        return "; ".join(found)

    @classmethod
    def _variable(cls, name: str) -> str:
        return f"{cls.model_config['env_prefix']}{name.upper()}"

    @classmethod
    def _is_secret(cls, name: str) -> bool:
        return cls.model_fields[name].annotation is SecretStr

    def describe(self) -> Sequence[Setting]:
        """Every setting, with where its value came from."""
        values = self.model_dump(mode="json")
        return [
            Setting(name, values[name], self._origins.get(name, "default"), field.description or "")
            for name, field in type(self).model_fields.items()
        ]


def _read_yaml(path: Path) -> Mapping[str, object]:
    try:
        found = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise SettingsError(f"cannot read {path}: {error.strerror}") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        problem = " ".join(str(error).split())
        raise SettingsError(f"{path} is not YAML: {problem}") from None
    if not isinstance(found, dict | None):
        raise SettingsError(f"{path} holds a {type(found).__name__}, must hold names and values")
    return found or {}
