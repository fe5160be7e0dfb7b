"""What the README shows in Python runs as it stands."""

from __future__ import annotations

import textwrap
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from shared.pictures import Picture

README = Path(__file__).parents[1] / "README.md"
BEFORE = "From Python:\n\n"


def test_the_python_block_runs(
    kodak: dict[str, Picture], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    block = README.read_text().partition(BEFORE)[2].partition("\n\n")[0]
    assert "load_decoder" in block
    monkeypatch.chdir(tmp_path)
    crop = kodak["kodim07"][:128, :192]
    Image.fromarray(crop).save("photo.jpg", quality=95)
    found: dict[str, object] = {}
    exec(textwrap.dedent(block), found)
    decoded, refined = (np.asarray(found[name]) for name in ("decoded", "refined"))
    assert decoded.shape == refined.shape == crop.shape
    assert np.abs(decoded.astype(int) - crop).mean() < np.abs(refined.astype(int) - crop).mean()
