"""The .proto files: well formed, never broken, generated from as committed, and read alike elsewhere."""

from __future__ import annotations

import base64
import json
import runpy
import shutil
from pathlib import Path

from tests.contract.node import buf, node
from tests.vectors import VECTORS

PROTO = Path(__file__).parents[1] / "proto"
STUBS = PROTO.parent / "shared" / "wire" / "v1"
BASELINE = PROTO / "baseline.binpb"


def test_lint() -> None:
    run = buf("lint", PROTO)
    assert run.returncode == 0, run.stdout + run.stderr


def test_nothing_that_was_published_is_broken() -> None:
    run = buf("breaking", PROTO, "--against", BASELINE)
    assert run.returncode == 0, run.stdout + run.stderr


def test_a_changed_field_would_be_found(tmp_path: Path) -> None:
    """The baseline holds the project's own files, and the check looks at them."""
    shutil.copytree(PROTO, tmp_path, dirs_exist_ok=True)
    types = tmp_path / "sidewire" / "v1" / "types.proto"
    changed = types.read_text().replace("uint64 seq = 3;", "uint32 seq = 3;")
    types.write_text(changed)
    run = buf("breaking", tmp_path, "--against", BASELINE)
    assert run.returncode != 0
    assert 'Field "3" with name "seq" on message "FrameKey" changed type' in run.stdout


def test_the_committed_stubs_are_what_the_proto_files_give(tmp_path: Path) -> None:
    runpy.run_path(str(PROTO / "generate.py"))["generate"](tmp_path)
    made = {path.name: path.read_text() for path in tmp_path.iterdir()}
    committed = {path.name: path.read_text() for path in STUBS.glob("*.py*") if path.is_file()}
    assert committed == made, "run: python proto/generate.py"


def test_another_language_reads_checks_and_writes_the_same() -> None:
    sent = json.dumps([vector.to_json() for vector in VECTORS])
    run = node("vectors.mjs", input=sent)
    assert run.returncode == 0, run.stderr
    for vector, answer in zip(VECTORS, json.loads(run.stdout), strict=True):
        assert answer["crc32c"] == vector.crc32c
        written = base64.b64decode(answer["message"])
        assert type(vector.message).FromString(written) == vector.message
