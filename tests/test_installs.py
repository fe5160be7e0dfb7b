"""Invariant: an installation of one role needs no library of another's, and says which extra it lacks."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tomllib
from collections.abc import Collection, Iterable
from functools import cache
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

import cluster
from shared.extras import MODULES
from shared.pictures import Picture, write_picture

ROOT = Path(cluster.__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
EXTRAS: dict[str, list[str]] = PROJECT["project"]["optional-dependencies"]
#: Extras that are found missing where they are used, not by role.
BESIDE = ("jxl", "previews", "traces")
#: Of no role: what a library of one may take along where it is there.
OTHERS = {"torchvision", "timm"}

COMMANDS = (
    *("encode", "preview", "decode", "inspect", "doctor", "train", "eval", "compare", "reproduce"),
    *("receive", "send", "captions", "status", "demo", "page", "bench", "decoders"),
)

#: Installed extras, and what they are good for.
ROLES = {
    "nothing": ((), "import sidewire, cluster.cli, cluster.status, receiver.decode"),
    "captions": ((), "import sender.captions; from sidewire import publish"),
    "sealed sender": ((), "from sidewire import send"),
    "gateway": (
        ("gateway",),
        "import receiver.serve, receiver.metrics, receiver.monitor, receiver.sinks.folder",
    ),
    "gateway with a store": (
        ("gateway", "arrow"),
        "import receiver.serve, receiver.sinks.objects, receiver.sinks.parquet",
    ),
    "gateway on a cluster": (("gateway", "ray"), "import cluster.actors.receiving"),
    "sender": (
        ("sender",),
        "import sender.send, sender.encode_worker, sidewire;"
        "from pathlib import Path;"
        "picture = sidewire.read_picture(Path(sys.argv[1]));"
        "blob = sidewire.load_encoder('ssa').encode(picture, 3).blob;"
        "Path(sys.argv[2]).write_bytes(blob)",
    ),
}
DECODE = (
    "import receiver.decoders.worker, sidewire;"
    "from pathlib import Path;"
    "blob = Path(sys.argv[2]).read_bytes();"
    "decoded = sidewire.load_decoder('ssa').decode(blob, caption='A red door');"
    "print(decoded.picture.shape)"
)


def python(
    code: str, without: Collection[str], *words: object, folder: Path | None = None
) -> subprocess.CompletedProcess[str]:
    """Run code where some modules cannot be found, in a folder."""
    hidden = f"import sys; sys.modules.update(dict.fromkeys({sorted(without)!r}));"
    command = [sys.executable, "-c", hidden + code, *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, check=False, cwd=folder)


def without(extras: Iterable[str]) -> set[str]:
    """The modules that an installation with these extras lacks."""
    installed = {module for extra in extras for module in MODULES[extra]}
    return {module for modules in MODULES.values() for module in modules} - installed | OTHERS


@pytest.fixture(scope="module")
def photo(tmp_path_factory: pytest.TempPathFactory, kodak: dict[str, Picture]) -> Path:
    path = tmp_path_factory.mktemp("photo") / "photo.png"
    write_picture(path, kodak["kodim07"][:64, :64])
    return path


@pytest.mark.parametrize("role", ROLES)
def test_a_role_needs_its_own_extras_alone(role: str, photo: Path) -> None:
    extras, code = ROLES[role]
    done = python(code, without(extras), photo, photo.with_suffix(".swi"))
    assert done.returncode == 0, done.stderr


def test_a_decoder_needs_its_own_extra_alone(photo: Path) -> None:
    stream = photo.with_suffix(".swi")
    _, encode = ROLES["sender"]
    assert python(encode, without(["sender"]), photo, stream).returncode == 0
    done = python(DECODE, without(["decoder"]), photo, stream)
    assert done.stdout.strip() == "(64, 64, 3)", done.stderr


def test_every_command_has_help_in_the_smallest_installation() -> None:
    code = (
        "from cluster.cli import app\n"
        f"for name in {COMMANDS!r}:\n"
        "    app([name, '--help'], standalone_mode=False)\n"
        "app(['--help'], standalone_mode=False)"
    )
    done = python("pass\n" + code, without([]))
    assert done.returncode == 0, done.stderr
    for name in COMMANDS:
        assert f"sidewire {name}" in done.stdout or f" {name} " in done.stdout


def said(lines: Iterable[str], without: Collection[str], folder: Path) -> list[str]:
    """What each of some commands, run in a folder, writes to standard error; they all end with 1."""
    code = (
        "from cluster.cli import main\n"
        "for line in sys.argv[1:]:\n"
        "    sys.argv = ['sidewire', *line.split()]\n"
        "    try: main()\n"
        "    except SystemExit as end: assert end.code == 1, (line, end.code)"
    )
    done = python("pass\n" + code, without, *lines, folder=folder)
    assert done.returncode == 0, done.stderr
    return re.findall(r"(?m)^sidewire: .*$", done.stderr)


LACKING = {
    "encode photo.jpg photo.swi": "encode needs sidewire[sender]: constriction",
    "preview photo.jpg --bytes 50": "preview needs sidewire[sender]: constriction",
    "decode photo.swi photo.png": "decode needs sidewire[decoder]: constriction",
    "train x.yaml --data x --out x --bundle x": "train needs sidewire[research]: bjontegaard",
    "captions --feed x --to 127.0.0.1:1": "feed x needs sidewire[arrow]: pyarrow",
    "send --feed x --images 127.0.0.1:1 --state x": "feed x needs sidewire[arrow]: pyarrow",
    "receive --sink x --state x": "receive needs sidewire[gateway]: grpc_health",
    "decoders status": "decoders needs sidewire[ray]: ray",
    "demo": "demo needs sidewire[all]: ray",
}
GATEWAY_LACKING = {
    "--decoder processes --sink x": "decoder processes needs sidewire[decoder]: constriction",
    "--decoder ray --sink x": "decoder ray needs sidewire[ray]: ray",
    "--set decoder=benchmark-noop --sink s3://a/b": "sink s3://a/b needs sidewire[arrow]: pyarrow",
    "--set decoder=benchmark-noop --sink x --sink-kind parquet": (
        "sink_kind parquet needs sidewire[arrow]: pyarrow"
    ),
}


def test_a_command_says_which_extra_it_lacks(tmp_path: Path) -> None:
    wanted = [f"sidewire: {lacks} is not installed" for lacks in LACKING.values()]
    assert said(LACKING, without([]), tmp_path) == wanted


def test_a_gateway_says_which_extra_its_settings_need(tmp_path: Path) -> None:
    lines = [f"receive --state state {words}" for words in GATEWAY_LACKING]
    wanted = [f"sidewire: {lacks} is not installed" for lacks in GATEWAY_LACKING.values()]
    assert said(lines, without(["gateway"]), tmp_path) == wanted


def test_the_front_says_which_extra_a_name_needs() -> None:
    code = (
        "import sidewire\n"
        "for name in ('get_codec', 'receive'):\n"
        "    try: getattr(sidewire, name)\n"
        "    except sidewire.MissingExtraError as error: print(*error.extras)"
    )
    done = python("pass\n" + code, without([]))
    lines = done.stdout.splitlines()
    assert lines == ["sender decoder", "gateway"], done.stderr


# The metadata


def packages(extra: str) -> set[str]:
    """The distributions of an extra, and of those that it names."""
    found = set()
    for requirement in EXTRAS[extra]:
        name, _, inner = re.fullmatch(r"([\w-]+)(\[([\w,-]+)\])?.*", requirement).groups()  # type: ignore[union-attr]
        if name == "sidewire":
            for other in inner.split(","):
                found |= packages(other)
        else:
            found.add(canonical(name))
    return found


@cache
def homes() -> dict[str, set[str]]:
    """The distributions that a module may come from."""
    found = packages_distributions().items()
    return {module: set(map(canonical, names)) for module, names in found}


def canonical(name: str) -> str:
    return name.lower().replace("_", "-")


@pytest.mark.parametrize("extra", MODULES)
def test_the_modules_of_an_extra_are_those_of_its_packages(extra: str) -> None:
    beside = set().union(*map(packages, BESIDE))
    wanted = packages(extra) - beside
    assert set().union(*(homes()[module] for module in MODULES[extra])) >= wanted
    assert all(homes()[module] & wanted for module in MODULES[extra])


def test_every_extra_is_known_and_what_develops_has_all() -> None:
    assert set(EXTRAS) == {*MODULES, *BESIDE, "dev"}
    everything = set().union(*(packages(extra) for extra in EXTRAS))
    assert packages("dev") == everything
    assert packages("all") == everything - packages("jxl") - own("dev")


def own(extra: str) -> set[str]:
    """The packages that an extra names itself."""
    return {canonical(re.split(r"[\[<>=]", one)[0]) for one in EXTRAS[extra]} - {"sidewire"}


def test_every_package_of_the_checkout_is_installed() -> None:
    listed = set(PROJECT["tool"]["setuptools"]["packages"])
    tops = {name.partition(".")[0] for name in listed}
    there = {
        ".".join(path.parent.relative_to(ROOT).parts)
        for top in tops
        for path in (ROOT / top).rglob("__init__.py")
    }
    assert json.dumps(sorted(there - listed)) == "[]"
