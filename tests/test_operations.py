"""docs/operations.md and the dashboard name what is there: every metric, every kind of refusal."""

from __future__ import annotations

import asyncio
import json
import re
from pathlib import Path
from typing import Any

from prometheus_client.parser import text_string_to_metric_families

from receiver.metrics import ReceiverMetrics
from receiver.refusals import Kind
from tests.wire_client import receiving

ROOT = Path(__file__).parents[1]
DOCUMENT = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")
BOARD: dict[str, Any] = json.loads(
    (ROOT / "cluster" / "deploy" / "grafana" / "receivers.json").read_text()
)
NAME = re.compile(r"\b(?:sidewire|process)_[a-z_]+\b")


def exposed(folder: Path) -> dict[str, set[str]]:
    """Every series' name at ``/metrics`` with the metric it belongs to, and its labels."""

    async def run() -> str:
        metrics = ReceiverMetrics("test")
        async with receiving(folder, observer=metrics) as local:
            metrics.look_at(local.gateway)
            return metrics.text().decode()

    found: dict[str, set[str]] = {}
    for family in text_string_to_metric_families(asyncio.run(run())):
        total = [f"{family.name}_total"] if family.type == "counter" else []
        for name in total or [family.name]:
            found[name] = set()
        if family.type == "histogram":
            found |= {f"{family.name}_{part}": set() for part in ("bucket", "sum", "count")}
        for sample in family.samples:
            found.setdefault(sample.name, set()).update(sample.labels)
    return found


def expressions() -> list[str]:
    targets = [target for panel in BOARD["panels"] for target in panel.get("targets", [])]
    queries = [one["query"] for one in BOARD["templating"]["list"]]
    return [target["expr"] for target in targets] + queries


def test_every_metric_of_the_dashboard_exists(tmp_path: Path) -> None:
    there = exposed(tmp_path)
    named = {name for text in expressions() for name in NAME.findall(text)}
    assert len(named) > 15
    assert named - there.keys() == set()


def test_the_dashboards_panels_are_whole() -> None:
    panels = BOARD["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    for panel in panels:
        assert panel["type"] == "row" or panel["targets"]
        place = panel["gridPos"]
        assert place["x"] + place["w"] <= 24


def test_the_document_has_every_metric_and_no_other(tmp_path: Path) -> None:
    rows = [line for line in DOCUMENT.splitlines() if line.startswith("| `sidewire_")]
    stated = {name for row in rows for name in NAME.findall(row.split("|")[1])}
    of_ours = {name for name in exposed(tmp_path) if name.startswith("sidewire_")}
    parts = ("_bucket", "_sum", "_count", "_created", "_info")
    whole = {name for name in of_ours if not name.endswith(parts)}
    assert stated - {"sidewire_build_info"} == whole - {"sidewire_build"}


def test_every_kind_of_refusal_has_its_row() -> None:
    stated = set(re.findall(r"^\| `refused \((\w+)\)`", DOCUMENT, re.MULTILINE))
    assert stated == {kind.value for kind in Kind} - {Kind.ORDER.value}
