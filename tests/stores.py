"""Object stores for tests: a real S3 server, a process of its own behind a socket."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from pyarrow import fs

__all__ = ["BUCKET", "CREDENTIALS", "StoreServer", "store_server"]

BUCKET = "pictures"
CREDENTIALS = {"AWS_ACCESS_KEY_ID": "somebody", "AWS_SECRET_ACCESS_KEY": "something"}
START_SECONDS = 60.0


@dataclass(frozen=True)
class StoreServer:
    """A server that runs, with a bucket."""

    process: subprocess.Popen[bytes]
    port: int

    def uri(self, prefix: str, bucket: str = BUCKET) -> str:
        """A place for ``--sink``."""
        endpoint = f"endpoint_override=127.0.0.1:{self.port}"
        return f"s3://{bucket}/{prefix}?{endpoint}&scheme=http&region=us-east-1"

    @property
    def system(self) -> fs.FileSystem:
        """The whole server, for looking at it from elsewhere."""
        return fs.S3FileSystem(
            access_key=CREDENTIALS["AWS_ACCESS_KEY_ID"],
            secret_key=CREDENTIALS["AWS_SECRET_ACCESS_KEY"],
            endpoint_override=f"127.0.0.1:{self.port}",
            scheme="http",
            region="us-east-1",
            allow_bucket_creation=True,
            allow_bucket_deletion=True,
        )

    def objects(self, prefix: str) -> dict[PurePosixPath, bytes]:
        """All that lies below a prefix."""
        system = self.system
        top = PurePosixPath(BUCKET, prefix)
        selector = fs.FileSelector(str(top), recursive=True, allow_not_found=True)
        found = {}
        for one in system.get_file_info(selector):
            if one.type == fs.FileType.File:
                with system.open_input_file(one.path) as stream:
                    found[PurePosixPath(one.path).relative_to(top)] = stream.read()
        return found

    def download(self, prefix: str, folder: Path) -> Path:
        """The same as files, as a folder sink would have them."""
        (folder / ".staging").mkdir(parents=True)
        for path, data in self.objects(prefix).items():
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_bytes(data)
        return folder


@contextmanager
def store_server(*, strict: bool = False) -> Iterator[StoreServer]:
    """A server on a free port.

    Args:
        strict: it knows nobody, so that all credentials are wrong; it has no bucket.
    """
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    environment = os.environ | ({"INITIAL_NO_AUTH_ACTION_COUNT": "0"} if strict else {})
    command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    process = subprocess.Popen(
        command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        _until_it_listens(process, port)
        server = StoreServer(process, port)
        if not strict:
            server.system.create_dir(BUCKET)
        yield server
    finally:
        process.kill()
        process.wait()


def _until_it_listens(process: subprocess.Popen[bytes], port: int) -> None:
    end = time.monotonic() + START_SECONDS
    while time.monotonic() < end and process.poll() is None:
        with suppress(OSError):
            socket.create_connection(("127.0.0.1", port)).close()
            return
        time.sleep(0.05)
    raise RuntimeError(f"no S3 server on port {port}: its exit code is {process.poll()}")
