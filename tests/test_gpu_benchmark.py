"""The script for whoever has a GPU, on the CPU; and what it says where there is no GPU."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
import yaml

from cluster.benchmarks import gpu
from tests.golden.make import SETS
from tests.tiny_runs import config

TINY = ("--codecs", "base", "--sizes", "64x48", "--batches", "1,2")


@pytest.fixture(autouse=True)
def visible(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the script hides is seen again after a test."""
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")


def test_all_of_it_without_a_gpu(
    training_data: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    recipe = {"kind": "rate-distortion"} | config(steps=2, quantised_steps=1).model_dump(
        mode="json", exclude_defaults=True
    )
    (tmp_path / "tiny.yaml").write_text(yaml.safe_dump(recipe))
    training = (
        "--train",
        tmp_path / "tiny.yaml",
        "--data",
        training_data,
        "--out",
        tmp_path / "run",
    )
    gpu.main(["--device", "cpu", *TINY, *map(str, training)])
    report = json.loads(capfd.readouterr().out)
    assert report["device"] == "cpu"
    assert [one["streams"] for one in report["golden"]] == [len(one.cases) for one in SETS.values()]
    for one in report["golden"]:
        assert one["different"] == []
        assert one["encoded_there"] == 2 * one["streams"]
    (speed,) = report["speeds"]
    assert (speed["codec"], speed["width"], speed["height"]) == ("base", 64, 48)
    assert set(speed["decode_per_s"]) == {"1", "2"}
    assert min(speed["encode_per_s"], *speed["decode_per_s"].values()) > 0
    assert (Path(report["bundle"]) / "bundle.json").exists()


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_no_gpu_is_said_in_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        gpu.main([])
    assert end.value.code == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line == f"gpu: device is cuda, and torch {torch.__version__} sees no GPU here"


def test_other_symbols_are_named(tmp_path: Path) -> None:
    golden = SETS["first"]
    for path in golden.folder.iterdir():
        if path.name != "golden.json":
            (tmp_path / path.name).symlink_to(path)
    checksums = dict.fromkeys(golden.checksums, "00000000")
    (tmp_path / "golden.json").write_text(json.dumps(checksums))
    found = gpu.exactness(tmp_path, torch.device("cpu"))
    assert len(found.different) == 2 * len(checksums)
    assert f"{min(checksums)} in float32" in found.different


def test_a_training_that_fails_says_so(tmp_path: Path) -> None:
    with pytest.raises(gpu.TrainingError, match="ended with code 1"):
        gpu.trained(tmp_path / "nothing.yaml", tmp_path, tmp_path / "run", minutes=5.0)
