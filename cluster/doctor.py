"""``sidewire doctor``: what this installation is made of and what it can do here."""

from __future__ import annotations

import json
import os
import platform
from importlib import metadata
from pathlib import Path

import torch
from pydantic import BaseModel

from cluster.console import print_result
from shared.bundle import MANIFEST_NAME, Manifest, read_bundle, read_manifest, shipped_bundle
from shared.codecs import codec_names
from shared.codecs.loading import check_bundle
from shared.errors import SidewireError
from shared.networks.precision import default_device, default_precision
from shared.version import VERSION

__all__ = ["Examination", "Weights", "examine", "print_examination"]

#: Packages of others whose versions decide what the project does.
PACKAGES = (
    "torch",
    "compressai",
    "constriction",
    "numpy",
    "pillow",
    "pillow-heif",
    "pillow-jxl-plugin",
    "blurhash-rs",
    "thumbhash-rs",
    "pyarrow",
    "safetensors",
)

#: Metrics that papers report and nothing here computes: they need weights that do not ship.
NOT_MEASURED = (
    "LPIPS",
    "DISTS",
    "FID",
    "KID",
    "NIQE",
    "CLIP similarity",
    "NIMA",
    "IS",
    "mAP",
    "ClipIQA",
    "IPD",
)


class Weights(BaseModel):
    """One bundle and whether its hashes hold."""

    name: str
    model_id: str
    tensors_sha256: str
    megabytes: float
    status: str


class Examination(BaseModel):
    """All that ``doctor`` finds."""

    python: str
    machine: str
    cores: int
    device: str
    precision: str
    packages: dict[str, str]
    codecs: tuple[str, ...]
    weights: tuple[Weights, ...]
    not_measured: tuple[str, ...]


def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return "not installed"


def _weights(folder: Path, load: bool) -> Weights:
    try:
        manifest = read_manifest(folder)
        check = check_bundle if load and isinstance(manifest, Manifest) else read_bundle
        check(folder)
    except SidewireError as error:
        return Weights(
            name=folder.name, model_id="", tensors_sha256="", megabytes=0, status=str(error)
        )
    size = sum(file.stat().st_size for file in folder.iterdir())
    return Weights(
        name=folder.name,
        model_id=manifest.model_id[:16] if isinstance(manifest, Manifest) else "",
        tensors_sha256=manifest.tensors_sha256[:16],
        megabytes=round(size / 1e6, 2),
        status="ok",
    )


def examine(*, load: bool) -> Examination:
    """Look at versions, devices and weights. Nothing is fetched.

    Args:
        load: make a codec of all weights, too, which takes some seconds: otherwise those are well whose files
            are whole.
    """
    device = default_device()
    folders = sorted(path.parent for path in shipped_bundle("").glob(f"*/{MANIFEST_NAME}"))
    return Examination(
        python=platform.python_version(),
        machine=f"{platform.system()} {platform.machine()}",
        cores=len(os.sched_getaffinity(0)),
        device=torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu",
        precision=default_precision().value,
        packages={"sidewire": VERSION, **{package: _version(package) for package in PACKAGES}},
        codecs=codec_names(),
        weights=tuple(_weights(folder, load) for folder in folders),
        not_measured=NOT_MEASURED,
    )


def print_examination(found: Examination, as_json: bool) -> None:
    """Print it as one JSON object, or as lines."""
    if as_json:
        print(json.dumps(found.model_dump()))
        return
    values: dict[str, object] = {
        "python": found.python,
        "machine": f"{found.machine}, {found.cores} cores",
        "device": f"{found.device}, networks in {found.precision}",
    }
    values |= found.packages
    values["codecs"] = ", ".join(found.codecs)
    for weights in found.weights:
        stream = f"stream {weights.model_id}, " if weights.model_id else ""
        values[f"weights {weights.name}"] = (
            f"{weights.status}, {stream}sha256 {weights.tensors_sha256}, {weights.megabytes} MB"
        )
    values["not measured here"] = ", ".join(found.not_measured)
    print_result(values, as_json=False)
