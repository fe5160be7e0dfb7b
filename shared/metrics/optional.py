"""Metrics that need weights from a hub, and whether this machine has them. Nothing is fetched.

None of them is ever replaced by another: a metric that is not here is "not measured here".
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import torch

__all__ = ["MetricStatus", "optional_metrics"]


@dataclass(frozen=True)
class OptionalMetric:
    """What a metric runs on.

    Attributes:
        name: as papers write it.
        package: that implements it, as it is imported.
        weights: glob patterns in the cache folders of torch.hub or Hugging Face, one of which must
            be found.
    """

    name: str
    package: str
    weights: tuple[str, ...]


METRICS = (
    OptionalMetric("LPIPS", "lpips", ("checkpoints/alexnet-owt-*.pth",)),
    OptionalMetric("DISTS", "DISTS_pytorch", ("checkpoints/vgg16-*.pth",)),
    OptionalMetric("FID", "pytorch_fid", ("checkpoints/pt_inception-2015-12-05-*.pth",)),
    OptionalMetric("KID", "torch_fidelity", ("checkpoints/weights-inception-2015-12-05-*.pth",)),
    OptionalMetric("NIQE", "pyiqa", ("pyiqa/niqe_modelparameters.mat",)),
    OptionalMetric(
        "CLIP similarity",
        "open_clip",
        (
            "models--laion--CLIP-*/snapshots/*/open_clip_*",
            "models--timm--vit_*clip*/snapshots/*/open_clip_*",
        ),
    ),
)


@dataclass(frozen=True)
class MetricStatus:
    """Whether a metric can run here; ``status`` says so in words."""

    name: str
    can_run: bool
    status: str


def _cache_folders() -> tuple[Path, ...]:
    home = Path(os.environ.get("HF_HOME", Path.home() / ".cache" / "huggingface"))
    return Path(torch.hub.get_dir()), Path(os.environ.get("HF_HUB_CACHE", home / "hub"))


def _status(metric: OptionalMetric) -> MetricStatus:
    folders = _cache_folders()
    if find_spec(metric.package) is None:
        why = f"the package {metric.package} is not installed"
    elif not any(any(folder.glob(glob)) for folder in folders for glob in metric.weights):
        looked = " or ".join(map(str, folders))
        why = f"its weights ({' or '.join(metric.weights)}) are not in {looked}"
    else:
        return MetricStatus(metric.name, True, f"{metric.package} and its weights are here")
    return MetricStatus(metric.name, False, f"not measured here: {why}")


def optional_metrics() -> tuple[MetricStatus, ...]:
    """The status of LPIPS, DISTS, FID, KID, NIQE and CLIP similarity on this machine.

    Packages are looked up without importing them, weights by name in the caches of torch.hub and
    Hugging Face; whether they load is not tried.
    """
    return tuple(_status(metric) for metric in METRICS)
