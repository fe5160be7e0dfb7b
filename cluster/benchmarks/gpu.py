"""What one GPU makes of Sidewire: whether symbols are a CPU's, how fast it is, what training on it gives.

    python -m cluster.benchmarks.gpu [--codecs base,ssa] [--sizes 768x512,1920x1080] [--batches 1,4,16,64]
    python -m cluster.benchmarks.gpu --train training/configs/selic.yaml --data DATA --out RUN [--minutes 30]

For whoever has a checkout and a GPU for an hour. Golden streams that a CPU made are decoded on the GPU,
symbol for symbol, and what it encodes is decoded on the CPU; then codecs are timed, as
:mod:`cluster.benchmarks.batches` does. With ``--train`` a configuration is carried out for so many minutes
after that, and exported as it stands; one that names a ``start`` goes on from the bundle that ships.
``--device cpu`` does all of it without a GPU.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TypeVar

import torch

import cluster
from cluster.benchmarks.batches import BatchSpeed, measured
from cluster.trials.processes import command
from shared.codecs.loading import decoder_of, encoder_of, load_bundle
from shared.errors import SidewireError
from shared.networks.precision import Precision
from shared.pictures import read_picture

__all__ = ["Exactness", "NoGpuError", "chosen", "exactness", "main"]

FindingT = TypeVar("FindingT")

ROOT = Path(cluster.__file__).parents[1]
#: Sets of streams that a CPU made once, with the bundle that made them and the checksums of their symbols.
GOLDEN = ("tests/golden", "tests/golden/ladder")


class NoGpuError(SidewireError):
    """This machine has no GPU that torch sees."""


class TrainingError(SidewireError):
    """A training ended by itself, and not well."""


@dataclass(frozen=True)
class Exactness:
    """One set of golden streams on a device.

    Attributes:
        streams: how many were decoded, each in both precisions.
        different: those whose symbols were others than the CPU's, by name and precision.
        encoded_there: pictures that it encoded and the CPU decoded; what fails there raises.
    """

    folder: str
    streams: int
    different: Sequence[str]
    encoded_there: int


def chosen(name: str) -> torch.device:
    """The device of that name; for ``cpu`` the GPU is hidden from all that follows.

    Raises:
        NoGpuError: it is to be a GPU, and there is none.
    """
    if name == "cpu":
        os.environ["CUDA_VISIBLE_DEVICES"] = ""
    elif not torch.cuda.is_available():
        raise NoGpuError(f"device is {name}, and torch {torch.__version__} sees no GPU here")
    return torch.device(name)


def exactness(folder: Path, device: torch.device) -> Exactness:
    """Decode a set of golden streams on a device, and encode their pictures there.

    Raises:
        SidewireError: a stream is refused, or what was encoded there does not decode on the CPU.
    """
    bundle = load_bundle(folder / "bundle")
    checksums: dict[str, str] = json.loads((folder / "golden.json").read_text())
    on_cpu = decoder_of(bundle, Precision.FLOAT32, torch.device("cpu"))
    different = []
    encoded = 0
    for precision in Precision:
        decoder = decoder_of(bundle, precision, device)
        encoder = encoder_of(bundle, precision, device)
        for name, checksum in checksums.items():
            found = decoder.decode((folder / f"{name}.swi").read_bytes())
            if f"{found.symbols_crc32c:08x}" != checksum:
                different.append(f"{name} in {precision.value}")
            picture = read_picture(folder / f"{name}.png")
            on_cpu.decode(encoder.encode(picture, 0).blob)
            encoded += 1
    return Exactness(str(folder), len(checksums), different, encoded)


def trained(config: Path, data: Path, out: Path, minutes: float) -> Path:
    """Train for so long, from the run's own checkpoint where it has one, and export what there is.

    Returns: the bundle's folder.

    Raises:
        TrainingError: it ended with an error.
    """
    bundle = out / "bundle"
    words = ("train", config, "--data", data, "--out", out, "--bundle", bundle)
    training = subprocess.Popen(command(*words), stdout=sys.stderr)
    try:
        code = training.wait(60 * minutes)
    except subprocess.TimeoutExpired:
        training.terminate()  # what it has done since its last checkpoint, a minute at most, is lost
        training.wait()
        code = subprocess.run(
            command(*words, "--snapshot"), stdout=sys.stderr, check=False
        ).returncode
    if code:
        raise TrainingError(f"sidewire train {config} ended with code {code}")
    return bundle


def speeds(codecs: str, sizes: str, batches: str) -> Iterator[BatchSpeed]:
    """Every codec at every size."""
    counts = [int(word) for word in batches.split(",")]
    for codec in codecs.split(","):
        for size in sizes.split(","):
            width, height = map(int, size.split("x"))
            yield measured(codec, width, height, counts)


def told(findings: Iterable[FindingT]) -> Iterator[FindingT]:
    """The same, each said on stderr as it comes: who lends a machine may stop the command early."""
    for one in findings:
        print(one, file=sys.stderr, flush=True)
        yield one


def main(words: Sequence[str] | None = None) -> None:
    """Print one JSON object; the exit code is 1 where there is no GPU, or symbols differ."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda")
    parser.add_argument("--codecs", default="base,ssa")
    parser.add_argument("--sizes", default="768x512,1920x1080")
    parser.add_argument("--batches", default="1,2,4,8,16,32,64")
    parser.add_argument("--train", type=Path, help="configuration to carry out for --minutes")
    parser.add_argument("--data", type=Path)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--minutes", type=float, default=30.0)
    given = parser.parse_args(words)
    if given.train and not (given.data and given.out):
        parser.error("--train needs --data and --out")
    try:
        device = chosen(given.device)
        sets = list(told(exactness(ROOT / folder, device) for folder in GOLDEN))
        fast = list(told(speeds(given.codecs, given.sizes, given.batches)))
        bundle = trained(given.train, given.data, given.out, given.minutes) if given.train else None
    except SidewireError as error:
        print(f"gpu: {error}", file=sys.stderr)
        raise SystemExit(1) from None
    report = {
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu",
        "torch": torch.__version__,
        "golden": [asdict(one) for one in sets],
        "speeds": [asdict(one) for one in fast],
        "bundle": str(bundle) if bundle else None,
    }
    print(json.dumps(report))
    if any(one.different for one in sets):
        raise SystemExit(1)


if __name__ == "__main__":
    main()
