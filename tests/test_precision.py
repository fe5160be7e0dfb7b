"""In what precision networks compute, by what the machine multiplies in hardware."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from torch import nn

from shared.networks import precision
from shared.networks.precision import CPU, Precision, coarse, coarse_dtype, default_precision

#: Flags of CPUs, and whether they multiply bfloat16.
FLAGS = {
    "flags : fpu sse4_2 avx avx2": False,
    "flags : avx2 avx512f avx512bw avx512vl": False,
    "flags : avx512f avx512_bf16": True,
    "flags : avx512f amx_bf16": True,
    "Features : fp asimd bf16": False,
}


@pytest.fixture(autouse=True)
def ask_again() -> Iterator[None]:
    """The answers are kept for a process."""
    yield
    forget()


def forget() -> None:
    precision.default_precision.cache_clear()
    precision._cpu_multiplies_bfloat16.cache_clear()


@pytest.mark.parametrize(("flags", "fast"), FLAGS.items())
def test_a_cpu_computes_in_what_it_multiplies(
    flags: str, fast: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "cpuinfo").write_text(flags)
    monkeypatch.setattr(precision, "CPUINFO", tmp_path / "cpuinfo")
    monkeypatch.setattr(precision, "default_device", lambda: CPU)
    forget()
    dtype = torch.bfloat16 if fast else torch.float32
    assert coarse_dtype(CPU) == default_precision().dtype == dtype
    layer = nn.Linear(4, 4)
    with coarse(CPU):
        assert layer(torch.ones(1, 4)).dtype == dtype
    assert layer(torch.ones(1, 4)).dtype == torch.float32


def test_a_machine_that_does_not_say_computes_in_float32(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(precision, "CPUINFO", tmp_path / "none")
    monkeypatch.setattr(precision, "default_device", lambda: CPU)
    forget()
    assert default_precision() is Precision.FLOAT32


def test_gpus_compute_in_bfloat16() -> None:
    assert coarse_dtype(torch.device("cuda")) == torch.bfloat16
