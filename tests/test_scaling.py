"""The queueing model on runs that are made up, and decoders that sleep."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cluster.bench.queueing import Demands, Machine, Observed
from cluster.benchmarks.sleeping import SleepingSettings
from cluster.trials.frames import frame
from receiver.decoders.batches import BatchDecoder, InspectTask, check_successor
from receiver.decoders.interface import SwapError
from receiver.work import DecodeResult, DecodeTask, Frame, Key
from shared.errors import SidewireError
from shared.wire.v1.types_pb2 import CodecId

FEW = [
    Observed(1, 1, 1 / 0.105, gateway_seconds=0.005, machine_seconds=0.009, idle_cores=0.2),
    Observed(4, 1, 4 / 0.105, gateway_seconds=0.002, machine_seconds=0.004, idle_cores=0.3),
]


def test_demands_are_what_the_runs_with_few_decoders_show() -> None:
    """Processor times are the busiest one's; what is left of a decoder's round nobody waits for."""
    found = Demands.fitted(FEW)
    assert (found.gateway, found.machine) == (0.002, 0.004)
    assert found.alone == pytest.approx(0.105 - 0.006)
    assert found.rate(1) == pytest.approx(1 / 0.105)


@given(
    st.floats(0.001, 1),
    st.floats(1e-3, 0.1),  # 20,000 decoders of a second each are more than these let through
    st.floats(1e-4, 0.1),
    st.integers(1, 50),
    st.integers(1, 3),
)
def test_rates_stay_within_what_each_part_lets_through(
    alone: float, gateway: float, machine: float, decoders: int, gateways: int
) -> None:
    """Operational bounds (Denning and Buzen, 1978); more decoders or gateways never make it slower."""
    demands = Demands(alone, gateway, machine)
    for where in (None, Machine(2, 0.5)):
        rate = demands.rate(decoders, gateways, where)
        assert 0 < rate <= demands.limit(gateways, where) * (1 + 1e-9)
        assert rate <= decoders / alone
        assert demands.rate(decoders + 1, gateways, where) >= rate * (1 - 1e-9)
        assert demands.rate(decoders, gateways + 1, where) >= rate * (1 - 1e-9)
        # With ever more decoders the slowest part is all that counts.
        most = demands.limit(gateways, where)
        assert demands.rate(20_000, gateways, where) == pytest.approx(most, rel=0.2)


def test_two_gateways_carry_twice_as_many_decoders() -> None:
    demands = Demands(alone=0.1, gateway=0.002, machine=0.004)
    one, two = demands.decoders_within(0.9, 1), demands.decoders_within(0.9, 2)
    assert 40 < one < 60
    assert two == pytest.approx(2 * one, rel=0.2)
    assert demands.limit(2) == 2 * demands.limit(1) == 1000


def test_what_idles_leaves_less_of_a_machine() -> None:
    demands = Demands(alone=0.1, gateway=0.001, machine=0.004)
    assert demands.limit(1, Machine(2, 1.0)) == 250
    assert demands.rate(100, 1, Machine(2, 0.0)) > demands.rate(100, 1, Machine(2, 1.0))
    assert demands.rate(100, 1, Machine(2, 2.0)) == 0


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
