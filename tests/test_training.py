"""Training: deterministic, resumed exactly, and exported to a bundle that decodes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from shared.bundle import shipped_bundle
from shared.codecs import ToldEncoder, get_codec, load_codec
from shared.codecs.loading import load_bundle, load_parts
from shared.codecs.parts import DECODER, ENCODER
from shared.errors import SidewireError
from shared.metrics import psnr
from shared.pictures import Picture
from shared.systems.catalogue import TextPlacement
from tests.codecs import whole
from tests.tiny_runs import config, fresh
from training.command import Places, read_recipe, train_command
from training.data import PictureStore
from training.muon import orthogonalise
from training.rate_distortion_run import RateDistortionRun
from training.recipes.rate_distortion import RateDistortion
from training.run import rise_and_fall

CONFIGS = Path(__file__).parents[1] / "training" / "configs"


def weights(run: RateDistortionRun) -> dict[str, torch.Tensor]:
    return {**run.parts.state_dict(), **run.average.module.state_dict(prefix="average.")}


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
        unbroken.train_step()
    broken = fresh(store, settings)
    for _ in range(3):
        broken.train_step()
    broken.save(tmp_path / "checkpoint.pt")
    resumed = fresh(store, settings)
    resumed.load(tmp_path / "checkpoint.pt")
    for _ in range(3):
        resumed.train_step()
    for (name, expected), found in zip(
        weights(unbroken).items(), weights(resumed).values(), strict=True
    ):
        assert torch.equal(expected, found), name


def test_the_integer_phase_resumes_exactly_and_leaves_the_latents_alone(
    store: PictureStore, tmp_path: Path
) -> None:
    settings = config(steps=1)
    unbroken = fresh(store, settings)
    unbroken.train_step()
    unbroken.train_step()  # the first one on integers
    parts = unbroken.parts
    transforms = {
        name: value.clone() for name, value in parts.state_dict().items() if "scale" not in name
    }
    assert unbroken.integers is not None
    before = unbroken.integers.scale.layers[0].conv.weight.clone()  # type: ignore[union-attr]
    unbroken.train_step()
    unbroken.save(tmp_path / "checkpoint.pt")
    resumed = fresh(store, settings)
    resumed.load(tmp_path / "checkpoint.pt")
    for run in (unbroken, resumed):
        run.train_step()
    for name, expected in parts.state_dict().items():
        assert torch.equal(expected, resumed.parts.state_dict()[name]), name
    for name, tensor in transforms.items():
        assert torch.equal(tensor, parts.state_dict()[name]), name
    after = unbroken.integers.scale.layers[0].conv.weight  # type: ignore[union-attr]
    assert not torch.equal(before, after)


def test_training_lowers_the_loss_of_a_batch_it_did_not_see(store: PictureStore) -> None:
    run = fresh(store, config(steps=200, learning_rate=4e-3))
    (phase, _) = run.phases
    unseen = [run.draw(10**6 + step, "float") for step in range(16)]

    def loss() -> float:
        torch.manual_seed(0)
        with torch.no_grad():
            return sum(
                float(phase.moves[0].loss(run.draw(one[0].index, "float"))) for one in unseen
            )

    before = loss()
    for _ in range(phase.steps):
        run.train_step()
    assert loss() < 0.98 * before


def test_training_starts_as_a_block_transform(store: PictureStore) -> None:
    """Before the first step the linear paths alone give a picture: eight components of 768."""
    run = fresh(store, config())
    _, values = run.measure(run.examples, 8)
    assert min(values) > 15


def test_a_finished_run_is_a_bundle_that_decodes(
    training_data: Path, tmp_path: Path, kodak: dict[str, Picture]
) -> None:
    recipe = config()
    places = Places(training_data, tmp_path / "run", tmp_path / "bundle", workers=1)
    said = recipe.carry_out(places)
    codec = whole(tmp_path / "bundle")
    picture = kodak["kodim03"][:100, :150]
    decoded = codec.decode(codec.encode(picture, 1).blob).picture
    assert psnr(picture, decoded) > 15
    provenance = load_bundle(tmp_path / "bundle").manifest.provenance
    assert provenance.steps == {"float": 6, "integer": 4}
    assert (tmp_path / "run" / "log.csv").read_text().startswith("step,phase,seconds,loss")
    # Done is done: asked again, nothing is trained, and the same bundle comes out.
    assert recipe.carry_out(places) == said


def test_what_is_charged_is_what_a_container_costs(kodak: dict[str, Picture]) -> None:
    """One latent codec for training and coding: the bits of its pass against real bytes."""
    codec = whole(shipped_bundle("base"))
    parts = load_parts(load_bundle(shipped_bundle("base")), ENCODER, DECODER).eval()
    parts.latent.ready(torch.device("cpu"), torch.float32)
    whole_pictures = [level for level in parts.ladder.plain if parts.ladder.scales[level] == 1]
    for quality in whole_pictures[::4]:
        charged, real = [], []
        for picture in list(kodak.values())[:3]:
            crop = np.ascontiguousarray(picture[:192, :256])
            x = torch.from_numpy(crop).permute(2, 0, 1)[None].float() / 255
            with torch.no_grad():
                out = parts(x, torch.tensor([quality]))
            blob = codec.encode(crop, quality).blob
            charged.append(float(out.bits))
            real.append(8 * (len(blob) - 20))
            decoded = codec.decode(blob).picture
            made = (255 * out.x_hat[0].clamp(0, 1)).permute(1, 2, 0).numpy()
            assert np.abs(made - decoded).max() <= 1
        assert 0.85 * sum(real) < sum(charged) < 1.1 * sum(real)


JOINT = {
    "name": "joint",
    "system": "ssa",
    "size": {"g_s": {"levels": 2, "scales": [4, 4], "coarse": 320, "coarse_blocks": 4}},
    "learns": ["g_a", "g_s"],
    "steps": 3,
    "learning_rate": 3e-3,
    "warmup_steps": 0,
}


@pytest.mark.parametrize("told", [TextPlacement.NOWHERE, TextPlacement.DECODER, TextPlacement.BOTH])
def test_encoder_and_generator_learn_together_on_a_frozen_stream(
    training_data: Path, tmp_path: Path, kodak: dict[str, Picture], told: TextPlacement
) -> None:
    """The joint recipe: whatever the encoder learns, every receiver of the stream reads its symbols."""
    both = told is TextPlacement.BOTH
    size = JOINT["size"] | {"told_encoder": both}  # type: ignore[operator]
    recipe = config(**JOINT | {"told": told, "size": size})
    recipe.carry_out(Places(training_data, tmp_path / "run", tmp_path / "bundle", workers=1))
    codec = load_codec("ssa", tmp_path / "bundle")
    assert codec.text is told
    encoder, picture = codec.encoder, kodak["kodim03"][:128, :128]
    assert isinstance(encoder, ToldEncoder) == both
    blob = codec.encode(picture, 1).blob
    if isinstance(encoder, ToldEncoder):
        # Three steps move the text's layers by too little for a symbol: make them speak up.
        torch.manual_seed(0)
        torch.nn.init.normal_(encoder.g_a.at["coarse"].beta.outer.weight)  # type: ignore[attr-defined]
        assert encoder.encode_told(picture, 1, "A red door.").blob != blob
        assert encoder.encode_told(picture, 1, None).blob == codec.encode(picture, 1).blob
    shipped = get_codec("ssa").decode(blob)
    assert shipped.symbols_crc32c == codec.decode(blob, "A red door.").symbols_crc32c


def test_orthogonalised_updates_have_singular_values_near_one() -> None:
    generator = torch.Generator().manual_seed(1)
    for shape in ((40, 90), (90, 40)):
        singular = torch.linalg.svdvals(orthogonalise(torch.randn(1, *shape, generator=generator)))
        assert float(singular.min()) > 0.5
        assert float(singular.max()) < 1.4


def test_shipped_configurations_are_valid_and_the_ladder_rises() -> None:
    for name in ("base", "tiny", "joint", "frozen"):
        recipe = read_recipe(CONFIGS / f"{name}.yaml")
        assert isinstance(recipe, RateDistortion)
        ladder = recipe.ladder(4)
        assert bool((ladder[1:] > ladder[:-1]).all())


def test_rates_rise_stay_and_fall() -> None:
    factor = rise_and_fall(10, 0.4, peak=0.5)
    values = [factor(done, 100) for done in range(101)]
    assert values[0] == pytest.approx(0.05)
    assert max(values) == values[30] == 0.5
    assert values[80] == pytest.approx(0.25)
    assert values[100] == 0


def test_a_digest_does_not_depend_on_the_order_of_settings() -> None:
    settings = config().model_dump(mode="json")
    turned = dict(reversed(settings.items()))
    assert RateDistortion.model_validate(turned).digest() == config().digest()
    assert config(seed=2).digest() != config().digest()


def test_a_wrong_setting_is_named_in_one_line(tmp_path: Path) -> None:
    path = tmp_path / "wrong.yaml"
    path.write_text("name: base\ntrain: ['*']\nvalidation: x\nsteps: 0\n")
    with pytest.raises(SidewireError, match="steps: Input should be greater than or equal to 1"):
        train_command(path, Places(tmp_path, tmp_path, tmp_path))
    path.write_text("name: base\ntrain: ['*']\nvalidation: x\nsteps: 1\nstart_share: 0.5\n")
    with pytest.raises(SidewireError, match=r"start_share is 0\.5, and there is no start to share"):
        train_command(path, Places(tmp_path, tmp_path, tmp_path))
    path.write_text("name: base\ntrain: ['*.parquet']\nvalidation: x\nsteps: 1\n")
    with pytest.raises(SidewireError, match="no training data"):
        train_command(path, Places(tmp_path, tmp_path, tmp_path))


def test_a_recipe_like_another_says_what_differs(tmp_path: Path) -> None:
    (tmp_path / "one.yaml").write_text("name: base\ntrain: ['*']\nvalidation: x\nsteps: 7\n")
    (tmp_path / "two.yaml").write_text("like: one.yaml\nsteps: 9\n")
    (tmp_path / "three.yaml").write_text("like: two.yaml\n")
    one, two = (read_recipe(tmp_path / f"{name}.yaml") for name in ("one", "two"))
    assert two == one.model_copy(update={"steps": 9})
    with pytest.raises(SidewireError, match=r"like: two\.yaml must say all of its settings itself"):
        read_recipe(tmp_path / "three.yaml")
