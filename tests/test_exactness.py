"""Invariant: a stream decodes to identical symbols on every machine, whatever the floats do.

Other machines are stood in for by what differs between them: thread counts, instruction sets, the
convolution library, memory layout and precision, in fresh processes, one for each environment that a
process reads at its start; and by disturbing every float weight on purpose. The golden streams were made
once and are never made again.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from shared.bundle import read_bundle
from shared.latents.hyperprior import Hyperprior
from shared.pictures import Picture, read_picture
from tests.codecs import Whole, disturbed, whole
from tests.golden.make import SETS, GoldenSet

#: How far two machines' float32 pictures may be apart, in levels of 255.
ONE_LEVEL = 1

#: A float32 weight's last place, relative to it.
ULP = 2.0**-23

#: On each machine, decodes every golden stream and encodes a picture of each set again.
WORKER = """
import json, sys, torch
from pathlib import Path
import numpy as np
from tests.codecs import whole
from shared.networks.precision import Precision
from tests.golden.make import SETS

def decoded_on(settings, folder):
    torch.set_num_threads(settings.get("threads", 1))
    torch.backends.mkldnn.enabled = settings.get("onednn", True)
    found = {}
    for name, golden in SETS.items():
        out = folder / name
        out.mkdir(parents=True)
        codec = whole(golden.bundle, Precision(settings.get("precision", "float32")))
        if settings.get("contiguous"):
            encoder, decoder = codec.encoder, codec.decoder
            for network in (encoder.g_a, decoder.g_s, encoder.latent, decoder.latent):
                network.to(memory_format=torch.contiguous_format)
        found[name] = {}
        for case, (*_, level) in golden.cases.items():
            decoded = codec.decode(golden.stream(case))
            found[name][case] = f"{decoded.symbols_crc32c:08x}"
            np.save(out / case, decoded.picture)
        blob = codec.encoder.encode_at(golden.picture(case), level).blob
        np.save(out / "stream", np.frombuffer(blob, np.uint8))
    return found

machines = json.loads(sys.argv[1])
print(json.dumps({name: decoded_on(its, Path(sys.argv[2], name)) for name, its in machines.items()}))
"""

#: By name; the test of this process is on one thread.
MACHINES: dict[str, dict[str, Any]] = {
    "two threads": {"threads": 2},
    "four threads": {"threads": 4},
    "bfloat16": {"precision": "bfloat16"},
    "bfloat16, four threads": {"precision": "bfloat16", "threads": 4},
    "not channels-last": {"contiguous": True},
    "without oneDNN": {"onednn": False},
    "lowest instruction set": {"env": "ATEN_CPU_CAPABILITY=default"},
    "lowest instruction set, without oneDNN": {
        "onednn": False,
        "env": "ATEN_CPU_CAPABILITY=default",
    },
    "oneDNN on SSE4.1": {"env": "ONEDNN_MAX_CPU_ISA=SSE41"},
}


def largest_difference(a: Picture, b: Picture) -> int:
    return int(np.abs(a.astype(int) - b.astype(int)).max())


@pytest.fixture(scope="module", params=list(SETS))
def golden(request: pytest.FixtureRequest) -> GoldenSet:
    """Each set in turn."""
    return SETS[request.param]


@pytest.fixture(scope="module")
def codec(golden: GoldenSet) -> Whole:
    """The codec of its bundle, in float32."""
    return whole(golden.bundle)


@dataclass(frozen=True)
class Machine:
    """What became of the golden streams on one.

    Attributes:
        checksums: of the symbols, by set and case.
        folder: of the pictures and of a stream made there, by set.
    """

    checksums: dict[str, dict[str, str]]
    folder: Path


@pytest.fixture(scope="module")
def machines(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Machine]:
    """Every machine by its name."""
    found = {}
    for environment in dict.fromkeys(one.get("env", "") for one in MACHINES.values()):
        alike = {name: one for name, one in MACHINES.items() if one.get("env", "") == environment}
        folder = tmp_path_factory.mktemp("machines")
        command = [sys.executable, "-c", WORKER, json.dumps(alike), str(folder)]
        variable = dict([environment.split("=")]) if environment else {}
        run = subprocess.run(
            command, env=os.environ | variable, capture_output=True, text=True, check=False
        )
        assert run.returncode == 0, f"{[*alike]}: {run.stderr}"
        for name, checksums in json.loads(run.stdout).items():
            found[name] = Machine(checksums, folder / name)
    return found


@pytest.mark.parametrize("name", MACHINES)
def test_golden_streams_on_another_machine(name: str, machines: dict[str, Machine]) -> None:
    machine = machines[name]
    assert machine.checksums == {name: golden.checksums for name, golden in SETS.items()}
    for kind, golden in SETS.items():
        out = machine.folder / kind
        if MACHINES[name].get("precision") != "bfloat16":
            for case in golden.cases:
                expected = read_picture(golden.folder / f"{case}.png")
                assert largest_difference(np.load(out / f"{case}.npy"), expected) <= ONE_LEVEL
        # What that machine encodes, this one decodes: every symbol is verified by the checksum.
        whole(golden.bundle).decode(np.load(out / "stream.npy").tobytes())


def test_golden_streams_in_this_process(golden: GoldenSet, codec: Whole) -> None:
    for case in golden.cases:
        decoded = codec.decode(golden.stream(case))
        assert f"{decoded.symbols_crc32c:08x}" == golden.checksums[case]
        assert decoded.picture.shape == golden.picture(case).shape
        expected = read_picture(golden.folder / f"{case}.png")
        assert largest_difference(decoded.picture, expected) <= ONE_LEVEL


@pytest.mark.parametrize("relative", [ULP, 1e-5, 1e-3, 3e-2])
def test_floats_off_by_an_ulp_and_more_change_no_symbol(
    relative: float, golden: GoldenSet, codec: Whole
) -> None:
    other = disturbed(read_bundle(golden.bundle), relative)
    differences = []  # in levels, of every sample of every case
    for case, (*_, level) in golden.cases.items():
        decoded = other.decode(golden.stream(case))
        assert f"{decoded.symbols_crc32c:08x}" == golden.checksums[case]
        expected = read_picture(golden.folder / f"{case}.png")
        differences.append(np.abs(decoded.picture.astype(int) - expected.astype(int)).ravel())
        codec.decode(other.encoder.encode_at(golden.picture(case), level).blob)
    beyond = np.concatenate(differences) > ONE_LEVEL
    if relative <= ULP:
        assert not beyond.any()
    elif relative <= 1e-5:
        # Eighty ulps on every weight are more than machines differ by: the steepest samples pass a level.
        assert beyond.mean() <= 1e-4
    elif relative >= 1e-3:
        assert max(d.max() for d in differences) >= 1  # the disturbance did reach the picture


def test_scale_indices_depend_on_z_alone(golden: GoldenSet, codec: Whole) -> None:
    """The tables that y is coded with follow from z and the level: nothing float is read."""
    latents = codec.encoder.latent
    assert isinstance(latents, Hyperprior)
    rng = np.random.default_rng(1)
    z = rng.integers(-4, 5, (latents.size.hyper_latent, 3, 2)).astype(np.int16)
    assert latents.device.type == "cpu"
    first = latents._index(z, 1)
    for network in (codec.decoder.g_s, latents.h_mu):
        assert all(parameter.dtype.is_floating_point for parameter in network.parameters())
    other = disturbed(read_bundle(golden.bundle), 0.5)
    np.testing.assert_array_equal(other.encoder.latent._index(z, 1), first)
