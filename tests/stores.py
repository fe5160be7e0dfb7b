"""Object stores for tests: servers of S3 and of Google's protocol, processes of their own behind sockets."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from pyarrow import fs

from cluster.trials.processes import reserved_port

__all__ = [
    "BUCKET",
    "CREDENTIALS",
    "StoreServer",
    "google_account",
    "google_server",
    "store_server",
]

BUCKET = "pictures"
CREDENTIALS = {"AWS_ACCESS_KEY_ID": "somebody", "AWS_SECRET_ACCESS_KEY": "something"}
START_SECONDS = 60.0


@dataclass(frozen=True)
class StoreServer:
    """A server of S3 that runs, with a bucket."""

    process: subprocess.Popen[bytes]
    port: int

    #: What a receiver says of a store that does not answer.
    silence = r"mended: s3://\S+: .*Timeout"

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


@dataclass(frozen=True)
class GoogleServer(StoreServer):
    """A server of Google's protocol that runs, with a bucket."""

    # Google's client waits for a server that says nothing, and pyarrow has no setting for how long.
    silence = ""

    def uri(self, prefix: str, bucket: str = BUCKET) -> str:
        """See the class above."""
        return f"gs://{bucket}/{prefix}?endpoint_override=127.0.0.1:{self.port}&scheme=http"

    @property
    def system(self) -> fs.FileSystem:
        """See the class above."""
        endpoint = f"127.0.0.1:{self.port}"
        return fs.GcsFileSystem(
            anonymous=True, endpoint_override=endpoint, scheme="http", project_id="tests"
        )


def google_account(path: Path) -> Path:
    """The file of a service account that nobody has: its tokens are signed here, and asked of no server."""
    key = rsa.generate_private_key(65537, 2048).private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    account = {
        "type": "service_account",
        "project_id": "tests",
        "private_key_id": "1",
        "private_key": key.decode(),
        "client_email": "receiver@tests.iam.gserviceaccount.com",
        "client_id": "1",
        "token_uri": "http://127.0.0.1:9/token",
    }
    path.write_text(json.dumps(account))
    return path


@contextmanager
def store_server(*, strict: bool = False) -> Iterator[StoreServer]:
    """A server on a free port.

    Args:
        strict: it knows nobody, so that all credentials are wrong; it has no bucket.
    """
    environment = {"INITIAL_NO_AUTH_ACTION_COUNT": "0"} if strict else {}
    with _running("moto.server", "-H", "{host}", "-p", "{port}", environment=environment) as (
        process,
        port,
    ):
        server = StoreServer(process, port)
        if not strict:
            server.system.create_dir(BUCKET)
        yield server


@contextmanager
def google_server() -> Iterator[GoogleServer]:
    """A server of Google's protocol on a free port, which keeps all in memory."""
    options = ("--host", "{host}", "--port", "{port}", "--in-memory", "--default-bucket", BUCKET)
    with _running("gcp_storage_emulator", "start", *options) as (process, port):
        yield GoogleServer(process, port)


@contextmanager
def _running(
    module: str, *words: str, environment: Mapping[str, str] | None = None
) -> Iterator[tuple[subprocess.Popen[bytes], int]]:
    """A server that listens, and its port, which the words name."""
    with reserved_port() as place:
        host, port = place.getsockname()
        process = subprocess.Popen(
            [sys.executable, "-m", module, *(word.format(host=host, port=port) for word in words)],
            env=os.environ | (environment or {}),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            _until_it_listens(process, port)
            yield process, port
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
    raise RuntimeError(f"no server on port {port}: its exit code is {process.poll()}")
