"""Steps that a GPU replays are the steps that Python would have launched."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from tests.tiny_runs import LADDER, SIZE, config, fresh
from training.data import PictureStore
from training.rate_distortion_run import RateDistortionRun

STEPS = 10


def carried_out(run: RateDistortionRun) -> tuple[torch.Tensor, torch.Tensor]:
    """Losses of the run's steps, and all weights after them."""
    losses = torch.tensor([run.train_step() for _ in range(STEPS)])
    weights = torch.cat([one.detach().flatten().cpu() for one in run.parts.parameters()])
    return losses, weights


@pytest.mark.skipif(not torch.cuda.is_available(), reason="recordings are made on a CUDA device")
def test_recorded_steps_equal_plain_ones(store: PictureStore) -> None:
    """Four are carried out as they are, the fifth is recorded: half of these are replayed."""
    settings = config(size=SIZE.model_dump(mode="json") | LADDER, steps=STEPS, quantised_steps=0)
    recorded, plain = fresh(store, settings), fresh(store, settings)
    (phase,) = plain.phases
    assert phase.recorder is not None
    plain.phases = [replace(phase, recorder=None)]
    (losses, weights), (expected_losses, expected_weights) = map(carried_out, (recorded, plain))
    torch.testing.assert_close(losses, expected_losses, rtol=1e-2, atol=0)
    # Sums in another order may turn a step of AdamW that is nearly none; on the whole they agree.
    moved = (expected_weights - weights).abs().mean()
    assert moved < 0.05 * settings.learning_rate
    assert expected_losses.unique().numel() == STEPS
