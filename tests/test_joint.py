"""The `joint` recipe: an encoder that learns under a frozen P still writes streams that everyone reads."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
import yaml

from shared.bundle import load_bundle
from shared.codecs import get_codec, load_codec
from shared.codecs.base import HyperpriorCodec, shipped_bundle
from shared.codecs.interface import TextPlacement
from shared.codecs.joint import JointCodec
from shared.networks.precision import Precision
from tests.test_stage2 import folder as folder  # noqa: PLC0414 - the fixture
from training.captioned import CaptionedPictures
from training.command import Places, train_command
from training.joint import JointConfig, JointRun

CONFIG = Path(__file__).parents[1] / "training" / "configs" / "joint.yaml"
CAPTION = "A red door."


def config(**changes: object) -> JointConfig:
    settings = yaml.safe_load(CONFIG.read_text())
    assert settings.pop("kind") == "joint"
    settings |= {"train": "*.parquet", "validation": "*.parquet", "held_out": 0}
    settings |= {"qualities": [0, 1], "size": {"levels": 2}, "batch": 2, "steps": 3}
    return JointConfig.model_validate(settings | changes)


def fresh(settings: JointConfig) -> JointRun:
    stream = HyperpriorCodec(load_bundle(shipped_bundle("base")), Precision.FLOAT32)
    return JointRun(settings, stream)


@pytest.fixture(scope="module")
def data(folder: Path) -> CaptionedPictures:
    return CaptionedPictures.load(folder, "*.parquet", folder / "cache", "minilm", 1)


def test_what_p_charges_is_what_a_container_costs(data: CaptionedPictures) -> None:
    """The rate of the loss against real bytes, before any training: the encoder is the stream's own."""
    run = fresh(config())
    base = get_codec("base")
    (low, _), (high, _) = run.validate(data, len(data))
    for charged, quality in ((low, 0), (high, 1)):
        blobs = [base.encode(picture, quality).blob for picture in data.pictures]
        # A container's header and the coder's last word weigh heavily on pictures of 64x64.
        real = np.mean([8 * (len(blob) - 20) / 64**2 for blob in blobs])
        assert 0.8 * real < charged < 1.2 * real


def test_a_resumed_run_ends_where_an_unbroken_one_does(
    data: CaptionedPictures, tmp_path: Path
) -> None:
    whole, broken = fresh(config()), fresh(config())
    for _ in range(3):
        whole.train_step(data)
    broken.train_step(data)
    broken.save(tmp_path / "checkpoint.pt")
    broken = fresh(config())
    broken.load(tmp_path / "checkpoint.pt")
    while broken.step < 3:
        broken.train_step(data)
    for mine, theirs in zip(whole.averaged.parameters(), broken.averaged.parameters(), strict=True):
        torch.testing.assert_close(mine, theirs, rtol=0, atol=0)


@pytest.mark.parametrize(
    ("text_at", "placement"),
    [
        ("nowhere", TextPlacement.NOWHERE),
        ("decoder", TextPlacement.DECODER),
        ("both", TextPlacement.BOTH),
    ],
)
def test_train_command_makes_a_codec_of_the_same_stream(
    folder: Path, data: CaptionedPictures, tmp_path: Path, text_at: str, placement: TextPlacement
) -> None:
    settings = config(text_at=text_at, learning_rate=3e-3, warmup_steps=0).model_dump(mode="json")
    path = tmp_path / "joint.yaml"
    path.write_text(yaml.safe_dump(settings | {"kind": "joint"}))
    train_command(path, Places(folder, tmp_path / "run", tmp_path / "bundle"))
    codec = load_codec("ssa", tmp_path / "bundle")
    assert isinstance(codec, JointCodec)
    assert codec.text is placement
    picture = data.pictures[2]
    # Three steps move the text's layers by too little for a symbol: make them speak up.
    torch.manual_seed(0)
    torch.nn.init.normal_(codec.encoder.ssa.beta.outer.weight)
    silent, told = (codec.encode_told(picture, 1, text).blob for text in (None, CAPTION))
    assert (silent != told) == (placement is TextPlacement.BOTH)
    assert codec.decode(told, CAPTION).picture.shape == picture.shape
    # P's decoder half stands: the shipped generator reads the same symbols.
    shipped = get_codec("ssa").decode(told)
    assert shipped.symbols_crc32c == codec.decode(told).symbols_crc32c
