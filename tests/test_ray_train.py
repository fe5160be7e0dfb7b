"""Invariant: a run on several Ray Train workers goes the way of a run on one, also when a worker dies."""

from __future__ import annotations

import csv
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import yaml

from cluster.trials.processes import Program
from shared.codecs.loading import load_bundle
from shared.errors import LimitError
from shared.metrics import psnr
from shared.pictures import Picture
from tests.codecs import whole
from tests.processes import children
from tests.tiny_runs import config, fresh
from training.command import Places
from training.data import PictureStore
from training.drive import CHECKPOINT, drive
from training.rate_distortion_run import RateDistortionRun
from training.together import Together

pytest.importorskip("ray")

#: Seconds for each thing that is waited for, far beyond what it takes: Ray Train starts ten processes, which
#: import torch, and a machine that does much else needs minutes for that.
PATIENCE = 800.0
#: Of the two levels, and of each worker.
SETTINGS = {"batch": 2, "steps": 20, "quantised_steps": 20, "watch_steps": 100}
#: Workers draw the noise of their rounding by themselves, and their sums have another order: rows of fifty
#: steps differed by 0.2 % at most, where one row differs from the next by up to 20 %.
TOLERANCE = 0.01


def losses(folder: Path) -> dict[int, float]:
    """Of a run's rows by step; where steps were taken again, those of the second time."""
    with (folder / "log.csv").open(newline="") as file:
        return {int(row["step"]): float(row["loss"]) for row in csv.DictReader(file)}


def until(condition: Callable[[], bool], program: Program) -> None:
    """Wait for something that a program does before it ends."""
    end = time.monotonic() + PATIENCE
    while not condition():
        assert program.running, program.wait()
        assert time.monotonic() < end
        time.sleep(0.05)


def workers_of(pid: int) -> list[int]:
    """Processes of Ray Train's workers below a process, and itself if it is one."""
    try:
        is_one = b"RayTrainWorker" in Path(f"/proc/{pid}/cmdline").read_bytes()
        below = [one for child in children(pid) for one in workers_of(child)]
    except OSError:  # it has ended meanwhile, or one of its threads
        return []
    return [pid, *below] if is_one else below


@pytest.mark.timeout(4 * PATIENCE)
def test_two_workers_go_one_workers_way_also_when_one_dies(
    training_data: Path, tmp_path: Path, kodak: dict[str, Picture], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RAY_ADDRESS", "")
    recipe, settings = config(**SETTINGS), tmp_path / "tiny.yaml"
    settings.write_text(yaml.safe_dump(recipe.model_dump(mode="json")))
    two, bundle = tmp_path / "two", tmp_path / "bundle"
    places = ("--data", training_data, "--out", two, "--bundle", bundle)
    run = recipe.begin(recipe.load(Places(training_data, tmp_path, tmp_path, workers=1)))
    drive(run, lambda: "", tmp_path)
    program = Program("train", settings, *places, "--ray-workers", 2, log=tmp_path / "said")
    try:
        until((two / CHECKPOINT).exists, program)
        before = workers_of(program.pid)
        assert len(before) == 2
        os.kill(before[0], signal.SIGKILL)
        until(lambda: len({*workers_of(program.pid)} - {*before}) == 2, program)
        assert program.wait(PATIENCE) == 0, (tmp_path / "said").read_text()
    finally:
        program.kill()
    assert losses(two) == pytest.approx(losses(tmp_path), rel=TOLERANCE)
    codec = whole(bundle)
    assert load_bundle(bundle).manifest.provenance.steps == {"float": 20, "integer": 20}
    picture = kodak["kodim03"][:100, :150]
    assert psnr(picture, codec.decode(codec.encode(picture, 1).blob).picture) > 15


@pytest.mark.parametrize("count", [2, 3])
def test_parts_of_a_step_have_the_whole_steps_gradient(store: PictureStore, count: int) -> None:
    """Four pictures a step, in equal parts and in parts of two, one and one; where no noise is drawn."""
    run = fresh(store, config(steps=1, batch=2))
    run.train_step()
    run.begin_integers()
    whole_step = gradient(run, Together())
    parts = [gradient(run, Together(rank, count)) for rank in range(count)]
    assert float(whole_step.abs().max()) > 0
    torch.testing.assert_close(torch.stack(parts).mean(0), whole_step, rtol=1e-3, atol=1e-5)


def gradient(run: RateDistortionRun, together: Together) -> torch.Tensor:
    """What one worker's part of the next step says of the scale branch."""
    run.together = together
    assert run.integers is not None
    scale = run.integers.scale
    scale.zero_grad()
    run.phases[-1].moves[-1].loss(run.draw(run.step, "integer")).backward()  # type: ignore[no-untyped-call]
    found = [one.grad.flatten() for one in scale.parameters() if one.grad is not None]
    return torch.cat(found)


def test_more_workers_than_pictures_are_refused(store: PictureStore) -> None:
    run = fresh(store, config())
    run.together = Together(0, 3)
    with pytest.raises(LimitError, match="workers that share a step's pictures is 3, must be at"):
        run.draw(0, "float")
