"""What a cluster has room for, from measured service times: plans, their errors, and the command."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from cluster.bench.capacity import Capacity, Plan, PlanError, capacity
from cluster.bench.service_times import SHIPPED, ReportError, ServiceTimes
from cluster.benchmarks.capacity import checked
from cluster.cli import app

TIMES = ServiceTimes(
    decode=0.1,
    send=0.05,
    gateway=0.001,
    bytes=5000.0,
    codec="base",
    size="768x512",
    at="2026-11-27",
    machine="made up",
)
#: A report's content as far as it counts here.
SUMMARY: dict[str, Any] = {
    "points": [
        {
            "decoders": decoders,
            "achieved": {"value": 8.0 * decoders},
            "cores": {"gateway": 0.04, "encoders": 0.7, "senders": 0.1, "decoders": 0.8 * decoders},
            "bytes_a_frame": 5000,
        }
        for decoders in (2, 1)
    ],
    "options": {"codec": "base", "feed": None, "size": "768x512"},
    "provenance": {"at": "2026-11-27", "installation": {"cores": 2, "device": "cpu"}},
}


def found(text: str, times: ServiceTimes = TIMES) -> Capacity:
    return capacity(Plan.parse(text), times)


@pytest.mark.parametrize(
    ("plan", "limited_by", "most"),
    [
        ("nodes=1,cpus=8", "decoders", 80),
        ("nodes=100,cpus=64", "gateways", 1000),
        ("nodes=100,cpus=64,gateways=3", "gateways", 3000),
        ("nodes=100,cpus=64,gateways=3,sender_cpus=4", "senders", 80),
        ("nodes=100,cpus=64,mbit=10", "wire", 250),
        ("nodes=2,gpus=4,gpu_rate=50", "decoders", 400),
    ],
)
def test_the_lowest_limit_is_the_one_that_is_named(plan: str, limited_by: str, most: float) -> None:
    answer = found(plan)
    assert answer.limited_by == limited_by
    assert answer.rate == pytest.approx(most, rel=0.1)
    (part,) = (one for one in answer.parts if one.name == limited_by)
    assert part.limit == pytest.approx(most)
    assert part.needed == pytest.approx(part.there, rel=0.1)


@given(st.integers(1, 50), st.integers(1, 64), st.integers(1, 4))
def test_no_part_is_busier_than_it_can_be_and_more_is_never_slower(
    nodes: int, cpus: int, gateways: int
) -> None:
    plan = Plan(nodes, cpus, gateways=gateways)
    answer, more = capacity(plan, TIMES), capacity(replace(plan, nodes=nodes + 1), TIMES)
    assert answer.rate is not None
    assert more.rate is not None
    assert more.rate >= answer.rate * (1 - 1e-9)
    for part in answer.parts:
        assert part.there is None or part.needed <= part.there * (1 + 1e-9)


def test_gpus_that_nobody_has_measured_have_no_rate() -> None:
    answer = found("nodes=4,gpus=1")
    assert (answer.rate, answer.limited_by) == (None, None)
    assert answer.parts[0].a_picture is None


@pytest.mark.parametrize(
    ("plan", "message"),
    [
        ("", "plan has '', must be one of nodes, cpus, gpus"),
        ("cpus=4", "plan is 'cpus=4', must name nodes"),
        ("nodes=4", "plan has cpus=0 and gpus=0, must have one of them"),
        ("nodes=4,cpus=2,gpus=1", "plan has cpus=2 and gpus=1, must have one of them"),
        ("nodes=four,cpus=2", "plan has nodes=four, must be a whole number from 1 to 10000"),
        ("nodes=0,cpus=2", "plan has nodes=0, must be a whole number from 1"),
        ("nodes=1,cpus=2,cpus=3", "plan has cpus twice: 2 and 3"),
        ("nodes=1,cpus", "plan has 'cpus', must be cpus=VALUE"),
        ("nodes=1,cpu=2", "plan has 'cpu=2', must be one of nodes"),
        ("nodes=1,gpus=2,gpu_rate=nan", "plan has gpu_rate=nan, must be a number above 0"),
        ("nodes=1,cpus=2,gpu_rate=9", "plan has gpu_rate=9, must have gpus too"),
        ("nodes=1,cpus=2,mbit=-1", "plan has mbit=-1, must be a number above 0"),
        ("nodes=9999,cpus=9999", "plan has 99980001 decoders, must have at most 10000"),
    ],
)
def test_a_malformed_plan_names_its_field_and_value(plan: str, message: str) -> None:
    with pytest.raises(PlanError) as caught:
        Plan.parse(plan)
    assert str(caught.value).startswith(message)


def test_service_times_are_those_of_a_reports_fewest_decoders(tmp_path: Path) -> None:
    (tmp_path / "summary.json").write_text(json.dumps(SUMMARY))
    times = ServiceTimes.read(tmp_path)
    assert times.decode == pytest.approx(0.1)
    assert times.send == pytest.approx(0.1)
    assert times.gateway == pytest.approx(0.005)
    assert (times.codec, times.size, times.machine) == ("base", "768x512", "2 cores, cpu")


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '{"points": []}', '{"points": [{"decoders": 1}]}']
)
def test_what_is_no_report_is_said(tmp_path: Path, text: str) -> None:
    (tmp_path / "summary.json").write_text(text)
    with pytest.raises(ReportError, match=r"summary\.json is no report of sidewire bench"):
        ServiceTimes.read(tmp_path)


def test_a_report_without_a_part_is_no_ground_for_a_plan(tmp_path: Path) -> None:
    path = tmp_path / "times.json"
    path.write_text(json.dumps(asdict(replace(TIMES, gateway=0.0))))
    with pytest.raises(ReportError, match="has not measured all parts"):
        ServiceTimes.read(path)


def run(*words: str) -> tuple[int, str, str]:
    done = CliRunner().invoke(app, ["bench", "--plan", *words])
    return done.exit_code, done.stdout, done.stderr


def test_the_command_prints_a_table_and_where_its_times_are_from() -> None:
    code, out, _ = run("nodes=4,cpus=16,gateways=2")
    assert code == 0
    shipped = ServiceTimes.read(SHIPPED)
    for wanted in ("64 CPUs", "2 cores", "limited by gateways", shipped.at):
        assert wanted in out
    code, out, _ = run("nodes=4,gpus=1")
    assert code == 0
    assert "nobody has measured these GPUs" in " ".join(out.split())


def test_the_command_prints_json_and_refuses_in_one_line(tmp_path: Path) -> None:
    code, out, _ = run("nodes=1,cpus=4", "--json")
    assert code == 0
    values = json.loads(out)
    assert values["limited_by"] == "decoders"
    assert values["rate"] == pytest.approx(4 / values["times"]["decode"], rel=0.1)
    assert run("nodes=1")[::2] == (
        2,
        "sidewire: plan has cpus=0 and gpus=0, must have one of them: the"
        " decoders of a cluster are alike\n",
    )
    code, _, said = run(f"nodes=1,cpus=1,report={tmp_path / 'none'}")
    assert (code, said.count("\n")) == (1, 1)
    assert "cannot read" in said


def test_the_model_is_held_against_a_run_that_was_measured(tmp_path: Path) -> None:
    """Of figures that stand in docs/results.md: 1, 2, 4 and 8 decoders on a machine with two cores."""
    measured = {1: 5.46, 2: 6.34, 4: 6.20, 8: 6.02}
    cores = {"decoders": 1.03, "encoders": 0.83, "gateway": 0.05, "senders": 0.05}
    points = [
        {
            "decoders": decoders,
            "achieved": {"value": rate},
            "cores": {role: busy * rate / 6.19 for role, busy in cores.items()},
            "bytes_a_frame": 5000,
        }
        for decoders, rate in measured.items()
    ]
    (tmp_path / "summary.json").write_text(json.dumps(SUMMARY | {"points": points}))
    found = checked(tmp_path)
    assert [one.decoders for one in found] == list(measured)
    assert all(0.9 < one.ratio < 1.1 for one in found)
