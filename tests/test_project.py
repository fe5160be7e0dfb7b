"""The house's own rules: lint, types, import directions, and a wheel that stands alone."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from shared.pictures import Picture, write_picture

ROOT = Path(__file__).parents[1]
TOOLS = Path(sys.executable).parent


@pytest.mark.parametrize(
    "command",
    [
        ["ruff", "check", "."],
        ["ruff", "format", "--check", "."],
        ["mypy"],
        ["lint-imports"],
    ],
    ids=" ".join,
)
def test_lint_types_and_import_directions(command: list[str]) -> None:
    program, *arguments = command
    run = subprocess.run(
        [str(TOOLS / program), *arguments], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert run.returncode == 0, run.stdout + run.stderr


def test_the_bitstream_needs_no_training_library() -> None:
    """A sender or receiver never imports CompressAI or the training package."""
    code = (
        "import sys, sender.encode, receiver.decode; from shared.codecs import get_codec;"
        "get_codec('base'); print([m for m in ('compressai', 'training') if m in sys.modules])"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"


def test_an_installed_wheel_works_outside_the_checkout(
    tmp_path: Path, kodak: dict[str, Picture]
) -> None:
    """Weights, demo pictures and types travel inside the wheel."""
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check"]
    build = [*pip, "wheel", "--quiet", "--no-deps", "--wheel-dir", str(tmp_path), str(ROOT)]
    subprocess.run(build, check=True, capture_output=True)
    (wheel,) = tmp_path.glob("sidewire-*.whl")
    site = tmp_path / "site"
    install = [*pip, "install", "--quiet", "--no-deps", "--target", str(site), str(wheel)]
    subprocess.run(install, check=True, capture_output=True)
    write_picture(tmp_path / "photo.png", kodak["kodim07"][:128, :128])
    code = (
        "import cluster.cli, sys; from cluster.feeds import KODAK_FEED, NEWSWIRE_FEED;"
        f"assert cluster.cli.__file__.startswith({str(site)!r}), cluster.cli.__file__;"
        "assert KODAK_FEED.exists() and NEWSWIRE_FEED.exists();"
        "import sidewire; assert sidewire.load_codec('base').default_quality > 0;"
        "sys.argv = ['sidewire', 'encode', 'photo.png', 'photo.swi']; cluster.cli.main()"
    )
    run = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(site)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    assert (tmp_path / "photo.swi").stat().st_size < 5000
    packages = [path for path in site.iterdir() if (path / "__init__.py").exists()]
    assert {path.name for path in packages} > {"sidewire", "sender", "receiver", "shared"}
    assert all((path / "py.typed").exists() for path in packages)
    assert (site / "sidewire" / "__init__.pyi").exists()
    assert (site / "shared" / "wire" / "v1" / "types_pb2.pyi").exists()
