"""docs/deploy.md names what there is."""

from __future__ import annotations

import re
import subprocess

import yaml

from tests.deploy.dockerfile import dockerfile
from tests.deploy.rendered import DEPLOY
from tests.deploy.running import SECRETS
from tests.patience import PATIENCE

ROOT = DEPLOY.parents[1]
DOCUMENT = (ROOT / "docs" / "deploy.md").read_text(encoding="utf-8")


def test_every_file_that_it_names_is_there() -> None:
    named = set(re.findall(r"\bcluster/deploy/[\w./-]+", DOCUMENT))
    named |= {f"cluster/deploy/{one}" for one in re.findall(r"`(kubernetes/[\w./-]+)`", DOCUMENT)}
    assert len(named) > 10
    assert [one for one in named if not (ROOT / one).exists()] == []


def test_its_secrets_are_those_that_pods_mount() -> None:
    made = re.findall(r"create secret generic (\S+)((?: --from-file=\S+)+)", DOCUMENT)
    found = {name: set(re.findall(r"--from-file=(\S+)", files)) for name, files in made}
    assert found == SECRETS


def test_its_targets_are_the_dockerfiles() -> None:
    targets = set(re.findall(r"--target (\w+)", DOCUMENT))
    assert targets == {"gateway", "decoder", "sender", "bench"}
    assert targets <= {stage.name for stage in dockerfile()}


def test_its_rule_for_prometheus_operator_is_a_resource() -> None:
    (command,) = re.findall(r"^ *(\(printf .*?\)) \| kubectl", DOCUMENT, re.MULTILINE | re.DOTALL)
    run = subprocess.run(
        ["bash", "-c", command],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
        timeout=PATIENCE,
    )
    resource = yaml.safe_load(run.stdout)
    rules = yaml.safe_load((DEPLOY / "prometheus" / "rules.yaml").read_text(encoding="utf-8"))
    assert resource["kind"] == "PrometheusRule"
    assert resource["spec"] == rules
