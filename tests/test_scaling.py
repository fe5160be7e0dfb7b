"""The queueing model on runs that are made up, and decoders that sleep."""

from __future__ import annotations

import pytest

from cluster.benchmarks.frames import frame
from cluster.benchmarks.queueing import Demands, Observed
from cluster.benchmarks.sleeping import SleepingSettings
from receiver.decoders.batches import BatchDecoder, InspectTask, check_successor
from receiver.decoders.interface import SwapError
from receiver.work import DecodeResult, DecodeTask, Frame, Key
from shared.errors import SidewireError
from shared.wire.v1.types_pb2 import CodecId

FEW = [
    Observed(1, 1, 9.0, gateway_seconds=0.005, machine_seconds=0.05),
    Observed(4, 1, 36.0, gateway_seconds=0.002, machine_seconds=0.004),
]


def test_demands_are_what_the_runs_with_few_decoders_show() -> None:
    """A decoder's from all of them, processor time from the busiest one."""
    found = Demands.fitted(FEW, cores=2)
    assert found.decoder == pytest.approx(1 / 9)
    assert (found.gateway, found.machine, found.cores) == (0.002, 0.004, 2)


@pytest.mark.parametrize(
    ("decoders", "gateways", "rate", "limit"),
    [(8, 1, 72, "decoders"), (90, 1, 500, "gateway"), (90, 2, 800, "machine")],
)
def test_the_slowest_part_is_the_limit(
    decoders: int, gateways: int, rate: float, limit: str
) -> None:
    demands = Demands(decoder=1 / 9, gateway=0.002, machine=0.0025, cores=2)
    assert demands.rate(decoders, gateways) == pytest.approx(rate)
    assert demands.limit(decoders, gateways) == limit


def test_parts_on_machines_of_their_own_go_further() -> None:
    demands = Demands(decoder=0.1, gateway=0.002, machine=0.008, cores=2).apart()
    assert demands.most_decoders(1) == 50
    assert demands.most_decoders(2) == 100
    assert demands.rate(1000, 2) == pytest.approx(1000)


def test_a_sleeper_takes_the_benchmarks_frames_and_nothing_else() -> None:
    decoder: BatchDecoder = SleepingSettings(0.0).build()
    (codec,) = map(CodecId.FromString, decoder.codec_ids())
    assert (codec.name, codec.model_id) == ("base", bytes(4))
    tasks = [
        DecodeTask(Frame(Key("s", 1, seq), b"", "", frame(seq).container, False), None)
        for seq in range(3)
    ]
    assert decoder.decode(tasks) == [DecodeResult(b"", "")] * 3
    assert isinstance(decoder.inspect(InspectTask(b"", None)), SidewireError)


def test_a_sleeper_has_no_successor() -> None:
    settings = SleepingSettings(0.1)
    assert settings.model == "asleep for 100 ms"
    check_successor(settings.build(), settings.build())
    with pytest.raises(SwapError, match="'ssa'"):
        settings.successor("ssa")
