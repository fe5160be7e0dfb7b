"""Invariant: a stream decodes to identical symbols on every machine, whatever the floats do.

Other machines are stood in for by what differs between them: thread counts, instruction sets, the
convolution library, memory layout and precision, each in a fresh process; and by disturbing every
float weight on purpose. The golden streams were made once and are never made again.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from shared.bundle import read_bundle
from shared.latents.hyperprior import Hyperprior
from shared.pictures import Picture, read_picture
from tests.codecs import Whole, disturbed
from tests.conftest import GOLDEN
from tests.golden.make import CASES, picture_of

CHECKSUMS: dict[str, str] = json.loads((GOLDEN / "golden.json").read_text())
#: How far two machines' float32 pictures may be apart, in levels of 255.
ONE_LEVEL = 1

#: Decodes every golden stream and encodes one picture again; run with the settings under test.
WORKER = """
import json, sys, torch
from pathlib import Path
import numpy as np
from tests.codecs import whole
from shared.networks.precision import Precision
from tests.golden.make import CASES, picture_of

settings = json.loads(sys.argv[1])
folder, out = Path(sys.argv[2]), Path(sys.argv[3])
torch.set_num_threads(settings.get("threads", 1))
torch.backends.mkldnn.enabled = settings.get("onednn", True)
codec = whole(folder / "bundle", Precision(settings["precision"]))
if settings.get("contiguous"):
    encoder, decoder = codec.encoder, codec.decoder
    latents = (encoder.latent.h_a, encoder.latent.h_mu, decoder.latent.h_mu)
    for network in (encoder.g_a, decoder.g_s, *latents):
        network.to(memory_format=torch.contiguous_format)
found = {}
for case, (*_, quality) in CASES.items():
    decoded = codec.decode((folder / f"{case}.swi").read_bytes())
    found[case] = f"{decoded.symbols_crc32c:08x}"
    np.save(out / case, decoded.picture)
np.save(out / "stream", np.frombuffer(codec.encode(picture_of("parrots"), 1).blob, np.uint8))
print(json.dumps(found))
"""

MACHINES = {
    "one thread": {"threads": 1},
    "two threads": {"threads": 2},
    "four threads": {"threads": 4},
    "bfloat16": {"precision": "bfloat16"},
    "bfloat16, four threads": {"precision": "bfloat16", "threads": 4},
    "not channels-last": {"contiguous": True},
    "without oneDNN": {"onednn": False},
    "lowest instruction set": {"env": {"ATEN_CPU_CAPABILITY": "default"}},
    "lowest instruction set, without oneDNN": {
        "onednn": False,
        "env": {"ATEN_CPU_CAPABILITY": "default"},
    },
    "oneDNN on SSE4.1": {"env": {"ONEDNN_MAX_CPU_ISA": "SSE41"}},
}


def largest_difference(a: Picture, b: Picture) -> int:
    return int(np.abs(a.astype(int) - b.astype(int)).max())


@pytest.mark.parametrize("machine", MACHINES)
def test_golden_streams_on_another_machine(
    machine: str, tmp_path: Path, golden_codec: Whole
) -> None:
    settings = {"precision": "float32"} | MACHINES[machine]
    environment = os.environ | settings.pop("env", {})
    command = [sys.executable, "-c", WORKER, json.dumps(settings), str(GOLDEN), str(tmp_path)]
    run = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    assert json.loads(run.stdout) == CHECKSUMS
    if settings["precision"] == "float32":
        for case in CASES:
            found = np.load(tmp_path / f"{case}.npy")
            assert largest_difference(found, read_picture(GOLDEN / f"{case}.png")) <= ONE_LEVEL
    # What that machine encodes, this one decodes: every symbol is verified by the checksum.
    blob = np.load(tmp_path / "stream.npy").tobytes()
    golden_codec.decode(blob)


@pytest.mark.parametrize("case", CASES)
def test_golden_streams_in_this_process(case: str, golden_codec: Whole) -> None:
    decoded = golden_codec.decode((GOLDEN / f"{case}.swi").read_bytes())
    assert f"{decoded.symbols_crc32c:08x}" == CHECKSUMS[case]
    assert decoded.picture.shape == picture_of(case).shape
    expected = read_picture(GOLDEN / f"{case}.png")
    assert largest_difference(decoded.picture, expected) <= ONE_LEVEL


@pytest.mark.parametrize("relative", [2.0**-23, 1e-5, 1e-3, 3e-2])
def test_floats_off_by_an_ulp_and_more_change_no_symbol(
    relative: float, golden_codec: Whole
) -> None:
    other = disturbed(read_bundle(GOLDEN / "bundle"), relative)
    differences = []
    for case, (*_, quality) in CASES.items():
        decoded = other.decode((GOLDEN / f"{case}.swi").read_bytes())
        assert f"{decoded.symbols_crc32c:08x}" == CHECKSUMS[case]
        differences.append(
            largest_difference(decoded.picture, read_picture(GOLDEN / f"{case}.png"))
        )
        golden_codec.decode(other.encode(picture_of(case), quality).blob)
    if relative <= 1e-5:
        assert max(differences) <= ONE_LEVEL
    if relative >= 1e-3:
        assert max(differences) >= 1  # the disturbance did reach the picture


def test_scale_indices_depend_on_z_alone(golden_codec: Whole) -> None:
    """The tables that y is coded with follow from z and the level: nothing float is read."""
    latents = golden_codec.encoder.latent
    assert isinstance(latents, Hyperprior)
    rng = np.random.default_rng(1)
    z = rng.integers(-4, 5, (latents.size.hyper_latent, 3, 2)).astype(np.int16)
    assert latents.device.type == "cpu"
    first = latents._index(z, 1)
    for network in (golden_codec.decoder.g_s, latents.h_mu):
        assert all(parameter.dtype.is_floating_point for parameter in network.parameters())
    other = disturbed(read_bundle(GOLDEN / "bundle"), 0.5)
    np.testing.assert_array_equal(other.encoder.latent._index(z, 1), first)
