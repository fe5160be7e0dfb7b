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


def outside(code: str, site: Path) -> subprocess.CompletedProcess[str]:
    """Run code beside a folder of installed packages, where this checkout is not to be found."""
    path = [str(site), *(one for one in sys.path if "site-packages" in one)]
    return subprocess.run(
        [sys.executable, "-S", "-c", code],
        cwd=site.parent,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(path)},
        capture_output=True,
        text=True,
        check=False,
    )


def test_installed_wheels_work_outside_the_checkout(
    tmp_path: Path, kodak: dict[str, Picture]
) -> None:
    """Demo pictures and types travel inside the wheel, weights in one of their own."""
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check"]
    build = [*pip, "wheel", "--quiet", "--no-deps", "--wheel-dir", str(tmp_path)]
    subprocess.run([*build, str(ROOT), str(ROOT / "weights")], check=True, capture_output=True)
    (wheel,), (weights,) = tmp_path.glob("sidewire-*.whl"), tmp_path.glob("sidewire_weights-*.whl")
    site = tmp_path / "site"
    install = [*pip, "install", "--quiet", "--no-deps", "--target", str(site)]
    subprocess.run([*install, str(wheel)], check=True, capture_output=True)
    code = "from sidewire import load_codec; load_codec('base')"
    run = outside(code, site)
    assert "BundleError: the weights that ship are not installed" in run.stderr
    subprocess.run([*install, str(weights)], check=True, capture_output=True)
    write_picture(tmp_path / "photo.png", kodak["kodim07"][:128, :128])
    code = (
        "import cluster.cli, sys; from cluster.feeds import KODAK_FEED, NEWSWIRE_FEED;"
        f"assert cluster.cli.__file__.startswith({str(site)!r}), cluster.cli.__file__;"
        "assert KODAK_FEED.exists() and NEWSWIRE_FEED.exists();"
        "import sidewire; assert sidewire.load_codec('base').default_quality > 0;"
        "sys.argv = ['sidewire', 'encode', 'photo.png', 'photo.swi']; cluster.cli.main()"
    )
    run = outside(code, site)
    assert run.returncode == 0, run.stderr
    assert (tmp_path / "photo.swi").stat().st_size < 5000
    packages = [path for path in site.iterdir() if (path / "__init__.py").exists()]
    assert {path.name for path in packages} > {"sidewire", "sender", "receiver", "shared"}
    assert all((path / "py.typed").exists() for path in packages)
    assert (site / "sidewire" / "__init__.pyi").exists()
    assert (site / "shared" / "wire" / "v1" / "types_pb2.pyi").exists()
