"""Alerts and their own tests, and that every metric that they look at is one that a receiver shows."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from receiver.refusals import Kind
from shared.wire.v1.types_pb2 import Disposition
from tests.deploy.rendered import DEPLOY
from tests.patience import PATIENCE
from tests.test_operations import NAME, exposed

FOLDER = DEPLOY / "prometheus"
PROMTOOL = shutil.which("promtool")
RULES = [
    rule
    for group in yaml.safe_load((FOLDER / "rules.yaml").read_text(encoding="utf-8"))["groups"]
    for rule in group["rules"]
]


@pytest.mark.skipif(
    PROMTOOL is None, reason="no promtool here (Debian's package prometheus has it)"
)
@pytest.mark.parametrize(
    "command", [["check", "rules", "rules.yaml"], ["test", "rules", "tests.yaml"]]
)
def test_promtool_agrees(command: list[str]) -> None:
    assert PROMTOOL is not None
    run = subprocess.run(
        [PROMTOOL, *command],
        cwd=FOLDER,
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENCE,
    )
    assert run.returncode == 0, run.stdout + run.stderr


def test_every_metric_exists(tmp_path: Path) -> None:
    there = exposed(tmp_path)
    for rule in RULES:
        named = set(NAME.findall(rule["expr"]))
        assert named or rule["expr"].startswith("up{")
        assert named - there.keys() == set(), rule["alert"]


def test_values_of_labels_exist() -> None:
    kinds = {kind.value.lower() for kind in Kind}
    ends = {name.removeprefix("DISPOSITION_").lower() for name, _ in Disposition.items()}
    for rule in RULES:
        for value in re.findall(r'kind=~?"([^"]+)"', rule["expr"]):
            assert set(value.split("|")) <= kinds
        for value in re.findall(r'disposition="([^"]+)"', rule["expr"]):
            assert value in ends


def test_every_alert_is_tried_silent_and_loud() -> None:
    tried = yaml.safe_load((FOLDER / "tests.yaml").read_text(encoding="utf-8"))["tests"]
    cases = [case for one in tried for case in one["alert_rule_test"]]
    names = {rule["alert"] for rule in RULES}
    assert len(names) == len(RULES)
    assert {case["alertname"] for case in cases if case.get("exp_alerts")} == names
    assert {case["alertname"] for case in cases if not case.get("exp_alerts")} == names
    for rule in RULES:
        assert rule["labels"]["severity"] in {"critical", "warning"}
        assert rule["annotations"].keys() == {"summary", "description"}
