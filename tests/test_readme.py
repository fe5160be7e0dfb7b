"""What the README shows in Python runs as it stands."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from shared.pictures import Picture

README = Path(__file__).parents[1] / "README.md"


def block_after(line: str) -> str:
    """The indented block that follows a line."""
    lines = README.read_text().partition(f"{line}\n\n")[2].splitlines()
    end = next(n for n, one in enumerate(lines) if one and not one.startswith("    "))
    return textwrap.dedent("\n".join(lines[:end]))


def test_the_python_block_runs(
    kodak: dict[str, Picture], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    block = block_after("From Python:")
    assert "load_decoder" in block
    monkeypatch.chdir(tmp_path)
    crop = kodak["kodim07"][:128, :192]
    Image.fromarray(crop).save("photo.jpg", quality=95)
    found: dict[str, object] = {}
    exec(block, found)
    decoded, refined = (np.asarray(found[name]) for name in ("decoded", "refined"))
    assert decoded.shape == refined.shape == crop.shape
    assert np.abs(decoded.astype(int) - crop).mean() < np.abs(refined.astype(int) - crop).mean()


def test_the_wire_block_runs(kodak: dict[str, Picture], tmp_path: Path) -> None:
    photos = tmp_path / "photos"
    photos.mkdir()
    for name in ("kodim07", "kodim23"):
        Image.fromarray(kodak[name][:128, :192]).save(photos / f"{name}.png")
        (photos / f"{name}.txt").write_text("A red door in a pale wall")
    block = block_after("And both ends of the wire, in one program or in two:")
    run = subprocess.run(
        [sys.executable, "-c", block], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert run.returncode == 0, run.stderr
    frames, captions = map(ast.literal_eval, re.findall(r"{.*?}", run.stdout))
    assert sum(frames.values()) == sum(captions.values()) == 2
    assert "REJECTED" not in frames | captions
    assert len(list((tmp_path / "pictures").glob("photos/*-kodim??.r*.png"))) >= 2
