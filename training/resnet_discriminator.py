"""D by a network that knows what is in pictures: ResNet50, as the reproduction of TGIC has it.

He et al., "Deep Residual Learning for Image Recognition" (CVPR 2016), by torchvision; its last layer becomes
a binary one, whose sigmoid is in the loss (reproduction of Jiang et al., section 4.1)::

    x (B,3,H,W) --> ResNet50 without its last layer --> (B,2048,1,1) --.
                                   text (B,D) --linear--> (B,128,1,1) --(concat)--> 1x1 to 512 --> 1x1 to 1

``f_D(x, t)`` of the paper sees no latent. Our reading: the text joins at the end, through one layer with the
picture. Weights are random, or those of a file with torchvision's names for them; none is fetched.
"""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn import functional as F

from shared.errors import BundleError, SidewireError
from training.critic import Critic, loud

__all__ = ["ResNetDiscriminator"]

#: What ImageNet's pictures are brought to.
MEAN, DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
#: Channels of ResNet50's last stage, of the text and of the layer that joins them.
SEEN, SAID, JOINED = 2048, 128, 512
NEGATIVE_SLOPE = 0.2


class ResNetDiscriminator(Critic):
    """One logit a picture.

    Args:
        text_width: D of the sentence vector.
        hears: see :class:`Critic`.
        weights: a safetensors file of a ResNet50, its last layer left out or not; None for random ones.

    Raises:
        BundleError: the file cannot be read, or holds another network.
        SidewireError: torchvision is not here.
    """

    def __init__(self, text_width: int, *, hears: bool = True, weights: Path | None = None) -> None:
        super().__init__()
        # It takes seconds to import, and comes with an extra of its own.
        try:
            from torchvision.models import resnet50  # type: ignore[import-untyped] # noqa: PLC0415
        except ImportError:
            raise SidewireError(
                "discriminator resnet50 needs torchvision, which comes with sidewire[clip]"
            ) from None

        self.hears, self._text_width = hears, text_width
        self.trunk = resnet50(weights=None)
        self.trunk.fc = nn.Identity()
        if weights is not None:
            _load(self.trunk, weights)
        self.text = nn.Linear(text_width, SAID)
        self.joint = nn.Conv2d(SEEN + SAID, JOINED, 1)
        self.last = nn.Conv2d(JOINED, 1, 1)

    def features(self, x: Tensor, y_hat: Tensor) -> Tensor:
        """See :meth:`Critic.features`: of the picture alone, (B, 2048, 1, 1)."""
        mean, deviation = (x.new_tensor(one)[:, None, None] for one in (MEAN, DEVIATION))
        seen: Tensor = self.trunk((x - mean) / deviation)
        return seen[:, :, None, None]

    def judge(self, features: Tensor, text: Tensor | None = None) -> Tensor:
        """See :meth:`Critic.judge`, (B, 1, 1, 1)."""
        if text is None or not self.hears:
            text = features.new_zeros(len(features), self._text_width)
        words = _act(self.text(loud(text)))[:, :, None, None].to(features.dtype)
        logits: Tensor = self.last(_act(self.joint(torch.cat([features, words], 1))))
        return logits


def _load(trunk: nn.Module, path: Path) -> None:
    try:
        state = {k: v for k, v in load_file(path).items() if not k.startswith("fc.")}
        trunk.load_state_dict(state)
    except (OSError, SafetensorError, RuntimeError) as error:
        raise BundleError(f"discriminator weights {path}: {error}") from None


def _act(x: Tensor) -> Tensor:
    return F.leaky_relu(x, NEGATIVE_SLOPE)
