"""Training: deterministic, resumed exactly, and exported to a bundle that decodes."""

from __future__ import annotations

import io
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image

from shared.bundle import load_bundle
from shared.codecs.base import HyperpriorCodec
from shared.errors import SidewireError
from shared.metrics import psnr
from shared.networks.precision import Precision
from shared.networks.transforms import HyperpriorSize
from shared.pictures import Picture
from training.command import Places, train_command
from training.config import Stage1Config, load_config
from training.data import PictureStore
from training.loop import Stage1Run
from training.muon import orthogonalise
from training.run import TrainingRequest, train_stage1

SIZE = HyperpriorSize(
    levels=2,
    stem=16,
    fine=8,
    coarse=8,
    fine_blocks=1,
    coarse_blocks=1,
    latent=8,
    hyper_latent=4,
    hyper_hidden=8,
    scale_hidden=(4, 4),
)
CONFIGS = Path(__file__).parents[1] / "training" / "configs"


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory, kodak: dict[str, Picture]) -> Path:
    """A small data folder of crops of the shipped pictures."""
    folder = tmp_path_factory.mktemp("data")
    rows = []
    for name, picture in kodak.items():
        buffer = io.BytesIO()
        Image.fromarray(picture[:256, :256]).save(buffer, "PNG")
        rows.append({"id": name, "image": buffer.getvalue(), "captions": [""]})
    pq.write_table(pa.Table.from_pylist(rows), folder / "pictures.parquet")
    return folder


def config(**changes: object) -> Stage1Config:
    settings = {
        "name": "base",
        "size": SIZE,
        "train": ["*.parquet"],
        "validation": "pictures.parquet",
        "crop": 64,
        "steps": 6,
        "warmup_steps": 2,
        "quantised_steps": 4,
    }
    return Stage1Config.model_validate(settings | changes)


@pytest.fixture(scope="module")
def store(data: Path) -> PictureStore:
    return PictureStore.load(data, ["*.parquet"], smallest=64, workers=1)


def fresh(store: PictureStore, settings: Stage1Config) -> Stage1Run:
    run = Stage1Run(settings, torch.device("cpu"))
    run.start(store)
    return run


def weights(run: Stage1Run) -> dict[str, torch.Tensor]:
    return {**run.model.state_dict(), **run.averaged.state_dict(prefix="average.")}


def test_batches_depend_on_seed_and_step_alone(store: PictureStore) -> None:
    first = store.batch(1, 5, 4, 64)
    assert torch.equal(first, store.batch(1, 5, 4, 64))
    assert not torch.equal(first, store.batch(1, 6, 4, 64))
    assert not torch.equal(first, store.batch(2, 5, 4, 64))
    assert first.shape == (4, 3, 64, 64)
    assert 0 <= float(first.min()) < float(first.max()) <= 1


def test_a_resumed_run_equals_an_unbroken_one(store: PictureStore, tmp_path: Path) -> None:
    settings = config()
    unbroken = fresh(store, settings)
    for _ in range(6):
        unbroken.train_step(store)
    broken = fresh(store, settings)
    for _ in range(3):
        broken.train_step(store)
    broken.save(tmp_path / "checkpoint.pt")
    resumed = Stage1Run(settings, torch.device("cpu"))
    resumed.load(tmp_path / "checkpoint.pt")
    for _ in range(3):
        resumed.train_step(store)
    for (name, expected), found in zip(
        weights(unbroken).items(), weights(resumed).values(), strict=True
    ):
        assert torch.equal(expected, found), name


def test_the_integer_phase_resumes_exactly_and_leaves_the_latents_alone(
    store: PictureStore, tmp_path: Path
) -> None:
    settings = config(steps=1)
    unbroken = fresh(store, settings)
    unbroken.train_step(store)
    unbroken.begin_quantised()
    transforms = {k: v.clone() for k, v in unbroken.model.transforms.state_dict().items()}
    before = unbroken.model.scale.layers[0].conv.weight.clone()
    for _ in range(2):
        unbroken.quantised_train_step(store)
    unbroken.save(tmp_path / "checkpoint.pt")
    resumed = Stage1Run(settings, torch.device("cpu"))
    resumed.load(tmp_path / "checkpoint.pt")
    for run in (unbroken, resumed):
        run.quantised_train_step(store)
    for name, expected in unbroken.model.state_dict().items():
        assert torch.equal(expected, resumed.model.state_dict()[name]), name
    for name, tensor in transforms.items():
        assert torch.equal(tensor, unbroken.model.transforms.state_dict()[name]), name
    assert not torch.equal(before, unbroken.model.scale.layers[0].conv.weight)


def test_training_lowers_the_loss_of_a_batch_it_did_not_see(store: PictureStore) -> None:
    run = fresh(store, config(steps=300, learning_rate=4e-3))
    held_out = torch.cat([run.batch(store, 10**6 + step) for step in range(16)])

    def loss() -> float:
        torch.manual_seed(0)
        with torch.no_grad():
            return float(run.loss(held_out))

    before = loss()
    for _ in range(300):
        run.train_step(store)
    assert loss() < 0.98 * before


def test_training_starts_as_a_block_transform(store: PictureStore) -> None:
    """Before the first step the linear paths alone give a picture: eight components of 768."""
    run = fresh(store, config())
    _, values = run.validate(store)
    assert min(values) > 15


def test_a_finished_run_is_a_bundle_that_decodes(
    data: Path, tmp_path: Path, kodak: dict[str, Picture]
) -> None:
    request = TrainingRequest(config(), data, tmp_path / "run", tmp_path / "bundle")
    manifest = train_stage1(request)
    codec = HyperpriorCodec(load_bundle(tmp_path / "bundle"), precision=Precision.FLOAT32)
    picture = kodak["kodim03"][:100, :150]
    decoded = codec.decode(codec.encode(picture, 1).blob).picture
    assert psnr(picture, decoded) > 15
    assert manifest.provenance.steps == 6
    assert manifest.provenance.quantised_steps == 4
    assert (tmp_path / "run" / "log.csv").read_text().startswith("phase,step,seconds,loss")
    # Done is done: asked again, nothing is trained, and the same bundle comes out.
    assert train_stage1(request).model_id == manifest.model_id


def test_orthogonalised_updates_have_singular_values_near_one() -> None:
    generator = torch.Generator().manual_seed(1)
    for shape in ((40, 90), (90, 40)):
        singular = torch.linalg.svdvals(orthogonalise(torch.randn(shape, generator=generator)))
        assert float(singular.min()) > 0.5
        assert float(singular.max()) < 1.4


def test_shipped_configurations_are_valid_and_the_ladder_rises() -> None:
    for name in ("base", "tiny"):
        settings = load_config(CONFIGS / f"{name}.yaml")
        ladder = settings.ladder()
        assert bool((ladder[1:] > ladder[:-1]).all())
        factors = [settings.rate_factor(step) for step in range(0, settings.steps + 1, 100)]
        assert max(factors) <= 1
        assert factors[-1] == pytest.approx(0, abs=0.02)


def test_a_wrong_setting_is_named_in_one_line(tmp_path: Path) -> None:
    path = tmp_path / "wrong.yaml"
    path.write_text("name: base\ntrain: ['*']\nvalidation: x\nsteps: 0\n")
    with pytest.raises(SidewireError, match="steps: Input should be greater than or equal to 1"):
        train_command(path, Places(tmp_path, tmp_path, tmp_path))
    path.write_text("name: base\ntrain: ['*.parquet']\nvalidation: x\nsteps: 1\n")
    with pytest.raises(SidewireError, match="no training data"):
        train_command(path, Places(tmp_path, tmp_path, tmp_path))
