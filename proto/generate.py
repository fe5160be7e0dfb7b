"""Make the Python stubs in shared/wire/v1 from the .proto files: ``python proto/generate.py``.

protoc writes imports by the files' proto paths (``from sidewire.v1 import ...``); they are rewritten
to where the stubs lie. A test runs this into another folder and compares.
"""

from __future__ import annotations

import re
import shutil
import sys
import tempfile
from importlib import resources
from pathlib import Path

from grpc_tools import protoc

PROTO = Path(__file__).parent
STUBS = PROTO.parent / "shared" / "wire" / "v1"


def generate(target: Path) -> None:
    """Write the stubs of every file of sidewire.v1 into ``target``."""
    well_known = resources.files("grpc_tools") / "_proto"
    files = sorted(str(path) for path in (PROTO / "sidewire" / "v1").glob("*.proto"))
    with tempfile.TemporaryDirectory() as made:
        flags = [f"--{kind}_out={made}" for kind in ("python", "pyi", "grpc_python")]
        code = protoc.main(["protoc", f"-I{PROTO}", f"-I{well_known}", *flags, *files])
        if code != 0:
            sys.exit(code)
        target.mkdir(parents=True, exist_ok=True)
        for source in sorted((Path(made) / "sidewire" / "v1").iterdir()):
            if source.name.endswith("_pb2_grpc.py") and "Stub" not in source.read_text():
                continue  # a file without a service
            text = re.sub(
                r"^from sidewire\.v1 import",
                "from shared.wire.v1 import",
                source.read_text(),
                flags=re.M,
            )
            (target / source.name).write_text(text)
    (target / "__init__.py").touch()


if __name__ == "__main__":
    shutil.rmtree(STUBS, ignore_errors=True)
    generate(STUBS)
