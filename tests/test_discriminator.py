"""The text-conditional discriminator: its loss by hand, where gradients go, and that it learns words."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor
from torch.nn import functional as F

from shared.errors import BundleError, LimitError
from training.critics import critic_of
from training.discriminator import (
    Discriminator,
    DiscriminatorSize,
    paper_discriminator,
    small_discriminator,
)
from training.terms.adversarial import (
    discriminator_loss,
    frozen,
    generator_loss,
    three_part_loss,
)

LATENT, WORDS = 4, 3


def tiny(*, use_text: bool = True) -> Discriminator:
    """A small one for pictures of 32x32, the same each time."""
    torch.manual_seed(3)
    size = DiscriminatorSize(
        latent=LATENT,
        text_width=WORDS,
        use_text=use_text,
        unshuffle=4,
        widths=(16, 16, 16),
        coarse_kernel=3,
        text_channels=8,
        fusion=16,
    )
    return Discriminator(size)


def batch(count: int, seed: int = 0) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Pictures, reconstructions, latents and texts."""
    rng = torch.Generator().manual_seed(seed)
    x, x_hat = torch.rand(2, count, 3, 32, 32, generator=rng)
    y_hat = torch.randn(count, LATENT, 2, 2, generator=rng)
    return x, x_hat, y_hat, torch.randn(count, WORDS, generator=rng)


def parameter_count(size: DiscriminatorSize) -> int:
    with torch.device("meta"):
        return sum(parameter.numel() for parameter in Discriminator(size).parameters())


def test_parameter_counts_follow_from_the_sizes() -> None:
    latent = 220 * 9 * 12 + 12
    body = sum(16 * a * b + b for a, b in [(15, 64), (64, 128), (128, 256), (256, 512)])
    head = 512 * 128 + 128 + 16 * 640 * 512 + 512 + 16 * 512 + 1
    assert parameter_count(paper_discriminator()) == latent + body + head == 8_109_853
    assert parameter_count(small_discriminator()) == 617_069


@pytest.mark.parametrize(
    ("size", "stride"), [(small_discriminator(), 16), (paper_discriminator(), 8)]
)
def test_logits_are_patch_wise_at_any_multiple_of_16(size: DiscriminatorSize, stride: int) -> None:
    with torch.device("meta"):
        discriminator = Discriminator(size)
        x = torch.empty(2, 3, 96, 160)
        logits = discriminator(
            x, torch.empty(2, size.latent, 6, 10), torch.empty(2, size.text_width)
        )
    assert logits.shape == (2, 1, 96 // stride, 160 // stride)


def test_three_part_loss_by_hand() -> None:
    zero, log3 = (torch.full((1, 1, 1, 1), value) for value in (0.0, math.log(3)))
    loss = three_part_loss(torch.cat([zero, log3]), zero, log3)
    # s(0) = 1/2 and s(log 3) = 3/4.
    assert loss.real.item() == pytest.approx((math.log(2) - math.log(0.75)) / 2)
    assert loss.reconstruction.item() == pytest.approx(math.log(2))
    assert loss.mismatched is not None
    assert loss.mismatched.item() == pytest.approx(math.log(4))
    parts = loss.real + loss.reconstruction + loss.mismatched
    assert loss.total.item() == pytest.approx(parts.item())


def test_batched_loss_is_that_of_three_plain_passes() -> None:
    discriminator = tiny().eval()  # no power iteration between the passes
    x, x_hat, y_hat, text = batch(4)
    wrong = text.roll(1, 0)
    loss = discriminator_loss(discriminator, x, x_hat, y_hat, text, text)
    plain = three_part_loss(
        discriminator(x, y_hat, text),
        discriminator(x_hat, y_hat, text),
        discriminator(x, y_hat, wrong),
    )
    torch.testing.assert_close(loss.total, plain.total)
    assert loss.mismatched is not None
    assert loss.mismatched != loss.reconstruction


def test_discriminator_loss_reaches_every_parameter_and_no_generator() -> None:
    discriminator = tiny()
    x, x_hat, y_hat, text = batch(4)
    x_hat.requires_grad_()
    y_hat.requires_grad_()
    discriminator_loss(discriminator, x, x_hat, y_hat, text, text).total.backward()
    for name, parameter in discriminator.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.abs().sum() > 0, name
    assert x_hat.grad is None
    assert y_hat.grad is None


def test_generator_loss_reaches_the_picture_alone() -> None:
    discriminator = tiny()
    _, x_hat, y_hat, text = batch(4)
    x_hat.requires_grad_()
    y_hat.requires_grad_()
    loss = generator_loss(discriminator, x_hat, y_hat, text)
    loss.backward()
    assert x_hat.grad is not None
    assert x_hat.grad.abs().flatten(1).sum(1).min() > 0
    assert y_hat.grad is None
    assert all(parameter.grad is None for parameter in discriminator.parameters())
    assert all(parameter.requires_grad for parameter in discriminator.parameters())
    # Against the gradient, D finds the reconstruction more real.
    better = x_hat.detach() - 0.5 * x_hat.grad / x_hat.grad.abs().max()
    discriminator.eval()
    assert generator_loss(discriminator, better, y_hat, text) < generator_loss(
        discriminator, x_hat, y_hat, text
    )


def test_frozen_leaves_what_was_frozen_before() -> None:
    discriminator = tiny()
    discriminator.last.bias.requires_grad_(False)
    with frozen(discriminator):
        assert not any(parameter.requires_grad for parameter in discriminator.parameters())
    assert not discriminator.last.bias.requires_grad
    assert discriminator.joint.bias.requires_grad


def test_no_text_is_the_zero_vector_and_is_not_any_text() -> None:
    discriminator = tiny().eval()
    x, _, y_hat, text = batch(2)
    silent = discriminator(x, y_hat)
    assert torch.equal(silent, discriminator(x, y_hat, torch.zeros_like(text)))
    assert not torch.allclose(silent, discriminator(x, y_hat, text))
    torch.testing.assert_close(discriminator(x, y_hat, 5 * text), discriminator(x, y_hat, text))


def test_without_text_words_change_nothing_and_the_third_part_is_gone() -> None:
    discriminator = tiny(use_text=False).eval()
    x, x_hat, y_hat, text = batch(4)
    assert torch.equal(discriminator(x, y_hat, text), discriminator(x, y_hat, -text))
    loss = discriminator_loss(discriminator, x, x_hat, y_hat, text, text)
    assert loss.mismatched is None
    torch.testing.assert_close(loss.total, loss.real + loss.reconstruction)


def test_the_wrong_text_is_the_neighbours_and_counts_where_there_is_one() -> None:
    discriminator = tiny().eval()
    x, x_hat, y_hat, text = batch(4)
    captions = text.clone()
    captions[1] = 0  # so the third picture's neighbour has none
    loss = discriminator_loss(discriminator, x, x_hat, y_hat, text, captions)
    kept = torch.tensor([0, 1, 3])
    logits = discriminator(x[kept], y_hat[kept], captions.roll(1, 0)[kept])
    assert loss.mismatched is not None
    torch.testing.assert_close(loss.mismatched, F.softplus(logits).mean())


def test_one_picture_has_no_other() -> None:
    x, x_hat, y_hat, text = batch(1)
    with pytest.raises(LimitError, match="is 1, must be at least 2"):
        discriminator_loss(tiny(), x, x_hat, y_hat, text, text)


def test_learns_whether_a_colour_word_fits_the_picture() -> None:
    """Red, green or blue pictures, told red, green or blue: held-out matches score higher."""
    rng = torch.Generator().manual_seed(5)

    def coloured(count: int) -> tuple[Tensor, Tensor]:
        colour = torch.arange(count) % 3
        word = torch.eye(3)[colour]
        shade = 0.2 + 0.6 * word[:, :, None, None]
        return shade + 0.1 * torch.randn(count, 3, 32, 32, generator=rng), word

    discriminator = tiny()
    optimiser = torch.optim.Adam(discriminator.parameters(), 4e-3, betas=(0.5, 0.9))
    y_hat = torch.zeros(12, LATENT, 2, 2)
    for _ in range(150):
        x, word = coloured(12)
        x_hat = torch.full_like(x, 0.5)  # a grey reconstruction, easy to tell from a real one
        order = torch.randperm(12, generator=rng)
        x, word = x[order], word[order]
        loss = discriminator_loss(discriminator, x, x_hat, y_hat, word, word).total
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()

    discriminator.eval()
    x, word = coloured(12)
    with torch.inference_mode():
        match, next_word, other_word = (
            discriminator(x, y_hat, word.roll(shift, 0)).mean((1, 2, 3)) for shift in range(3)
        )
    assert (match > next_word).all()
    assert (match > other_word).all()
    assert match.mean() > 0 > torch.maximum(next_word, other_word).mean()


def test_resnet50_is_judge_of_pictures_and_texts_and_begins_with_a_file(tmp_path: Path) -> None:
    torch.manual_seed(0)
    critic = critic_of("resnet50", 8, 6, hears=True)
    trunk = critic.trunk.state_dict()  # type: ignore[union-attr]
    assert sum(parameter.numel() for parameter in critic.parameters()) == 23_508_032 + (
        6 * 128 + 128 + (2048 + 128) * 512 + 512 + 512 + 1
    )
    critic.eval()
    x, y_hat, text = torch.rand(2, 3, 64, 64), torch.rand(2, 8, 4, 4), torch.randn(2, 6)
    own, silent = critic(x, y_hat, text), critic(x, y_hat)
    assert own.shape == (2, 1, 1, 1)
    assert not torch.allclose(own, silent)
    save_file({**trunk, "fc.weight": torch.zeros(1000, 2048)}, tmp_path / "resnet.safetensors")
    again = critic_of("resnet50", 8, 6, hears=False, weights=tmp_path / "resnet.safetensors").eval()
    torch.testing.assert_close(again.features(x, y_hat), critic.features(x, y_hat))
    assert torch.equal(again(x, y_hat, text), again(x, y_hat))
    with pytest.raises(BundleError, match=r"nothing\.safetensors"):
        critic_of("resnet50", 8, 6, hears=True, weights=tmp_path / "nothing.safetensors")
