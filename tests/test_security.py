"""Who gets in: real gRPC servers and clients, with certificates made for the test."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import pytest
import trustme
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    load_pem_private_key,
)
from google.rpc.status_pb2 import Status

from receiver.channels import abort
from shared.wire.channels import (
    DELIVERY_BYTES,
    RESPONSE_BYTES,
    check_address,
    client_channel,
    server_options,
    stays_on_machine,
)
from shared.wire.errors import Reason, WireError
from shared.wire.limits import MESSAGE_OVERHEAD, Limits
from shared.wire.security import ClientSecurity, SecurityError, ServerSecurity
from shared.wire.v1 import control_pb2, control_pb2_grpc
from tests.patience import PATIENCE

TOKENS = """
- {sender: desk-3, token: correct-horse}
- {sender: desk-3, token: the-next-one}
- {sender: desk-4, token: battery.staple~+/==}
"""


@dataclass(frozen=True)
class Files:
    """Keys and certificates of a receiver, of its clients, and of strangers."""

    ca: Path
    other_ca: Path
    tokens: Path
    folder: Path

    def pair(self, name: str) -> tuple[Path, Path]:
        """Certificate and key files."""
        return self.folder / f"{name}.pem", self.folder / f"{name}.key"


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Files:
    folder = tmp_path_factory.mktemp("keys")
    found = Files(folder / "ca.pem", folder / "other.pem", folder / "tokens.yaml", folder)
    ca, other = trustme.CA(), trustme.CA()
    ca.cert_pem.write_to_path(found.ca)
    other.cert_pem.write_to_path(found.other_ca)
    found.tokens.write_text(TOKENS)
    leaves = {
        "receiver": ca.issue_cert("localhost", "127.0.0.1"),
        "elsewhere": ca.issue_cert("receiver.example"),
        "camera": ca.issue_cert("camera@example.org", common_name="camera-7"),
        "nameless": ca.issue_cert("camera-8.example"),
        "stranger": other.issue_cert("x.example", common_name="camera-7"),
    }
    for name, leaf in leaves.items():
        certificate, key = found.pair(name)
        certificate.write_bytes(b"".join(pem.bytes() for pem in leaf.cert_chain_pems))
        leaf.private_key_pem.write_to_path(key)
    return found


class WhoAmI(control_pb2_grpc.ControlServiceServicer):
    """Answers with the caller's name."""

    def __init__(self, security: ServerSecurity) -> None:
        self._security = security

    async def GetCapabilities(  # noqa: N802
        self,
        request: control_pb2.GetCapabilitiesRequest,
        context: grpc.aio.ServicerContext[Any, Any],
    ) -> control_pb2.GetCapabilitiesResponse:
        try:
            name = self._security.authenticate(context).name
        except WireError as error:
            await abort(context, error)
        return control_pb2.GetCapabilitiesResponse(server=name)

    async def OpenSession(  # noqa: N802
        self,
        request: control_pb2.OpenSessionRequest,
        context: grpc.aio.ServicerContext[Any, Any],
    ) -> control_pb2.OpenSessionResponse:
        """Answers with as many bytes as ``epoch`` says."""
        return control_pb2.OpenSessionResponse(session_id="x" * request.epoch)


@asynccontextmanager
async def serving(security: ServerSecurity, limits: Limits | None = None) -> AsyncIterator[str]:
    """A receiver's address."""
    server = grpc.aio.server(options=server_options(limits or Limits()))
    control_pb2_grpc.add_ControlServiceServicer_to_server(WhoAmI(security), server)
    if security.credentials is None:
        port = server.add_insecure_port("127.0.0.1:0")
    else:
        port = server.add_secure_port("127.0.0.1:0", security.credentials)
    await server.start()
    try:
        yield f"localhost:{port}"
    finally:
        await server.stop(None)


async def ask(address: str, client: ClientSecurity) -> str:
    """The name that a receiver knows a client by."""
    async with client_channel(address, client) as channel:
        control = control_pb2_grpc.ControlServiceStub(channel)
        request = control_pb2.GetCapabilitiesRequest()
        return (await control.GetCapabilities(request, timeout=PATIENCE)).server


def name_of(server: ServerSecurity, client: ClientSecurity) -> str:
    async def run() -> str:
        async with serving(server) as address:
            return await ask(address, client)

    return asyncio.run(run())


def refusal_of(server: ServerSecurity, client: ClientSecurity) -> grpc.aio.AioRpcError:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        name_of(server, client)
    return caught.value


def wire_error(error: grpc.aio.AioRpcError) -> WireError | None:
    """Our own error in a call's."""
    details = dict(error.trailing_metadata() or ())
    return WireError.from_status(Status.FromString(details.get("grpc-status-details-bin", b"")))


# Names


def test_who_shows_nothing_is_anonymous(files: Files) -> None:
    assert name_of(ServerSecurity(), ClientSecurity()) == "anonymous"
    server = ServerSecurity.load(*files.pair("receiver"))
    assert name_of(server, ClientSecurity.load(files.ca)) == "anonymous"


@pytest.mark.parametrize(
    ("certificate", "name"), [("camera", "camera-7"), ("nameless", "camera-8.example")]
)
def test_mutual_tls_names_the_client_by_its_certificate(
    files: Files, certificate: str, name: str
) -> None:
    server = ServerSecurity.load(*files.pair("receiver"), client_ca=files.ca)
    assert name_of(server, ClientSecurity.load(files.ca, *files.pair(certificate))) == name


@pytest.mark.parametrize(
    ("token", "name"),
    [("correct-horse", "desk-3"), ("the-next-one", "desk-3"), ("battery.staple~+/==", "desk-4")],
)
def test_a_token_names_its_sender(files: Files, token: str, name: str) -> None:
    server = ServerSecurity.load(*files.pair("receiver"), tokens=files.tokens)
    assert name_of(server, ClientSecurity.load(files.ca, token=token)) == name


def test_a_token_counts_more_than_a_certificate(files: Files) -> None:
    server = ServerSecurity.load(*files.pair("receiver"), files.ca, files.tokens)
    client = ClientSecurity.load(files.ca, *files.pair("camera"), token="correct-horse")
    assert name_of(server, client) == "desk-3"
    alone = refusal_of(server, ClientSecurity.load(files.ca, *files.pair("camera")))
    assert alone.code() is grpc.StatusCode.UNAUTHENTICATED


# Refusals on the wire


@pytest.mark.parametrize(
    ("token", "message"),
    [("", "asks for a bearer token"), ("correct-hors", "not known"), ("desk-3", "not known")],
)
def test_a_wrong_or_missing_token_is_refused(files: Files, token: str, message: str) -> None:
    server = ServerSecurity.load(*files.pair("receiver"), tokens=files.tokens)
    error = refusal_of(server, ClientSecurity.load(files.ca, token=token))
    assert error.code() is grpc.StatusCode.UNAUTHENTICATED
    typed = wire_error(error)
    assert typed is not None
    assert typed.reason is Reason.UNAUTHENTICATED
    assert message in str(typed)


@pytest.mark.parametrize("certificate", [None, "stranger"])
def test_mutual_tls_refuses_who_has_no_certificate_of_its_authority(
    files: Files, certificate: str | None
) -> None:
    server = ServerSecurity.load(*files.pair("receiver"), client_ca=files.ca)
    pair = files.pair(certificate) if certificate else ()
    error = refusal_of(server, ClientSecurity.load(files.ca, *pair))
    assert error.code() is grpc.StatusCode.UNAVAILABLE


def test_plaintext_and_tls_do_not_meet(files: Files) -> None:
    secure = ServerSecurity.load(*files.pair("receiver"))
    for server, client in (
        (secure, ClientSecurity()),
        (ServerSecurity(), ClientSecurity.load(files.ca)),
    ):
        assert refusal_of(server, client).code() is grpc.StatusCode.UNAVAILABLE


def test_a_client_refuses_a_receiver_that_it_cannot_check(files: Files) -> None:
    for certificate, ca in (("receiver", files.other_ca), ("elsewhere", files.ca)):
        server = ServerSecurity.load(*files.pair(certificate))
        error = refusal_of(server, ClientSecurity.load(ca))
        assert error.code() is grpc.StatusCode.UNAVAILABLE


# Refusals before anything is on the wire


def test_tokens_and_client_certificates_need_tls(files: Files) -> None:
    with pytest.raises(SecurityError, match="TLS alone: give tls_ca") as refused:
        ClientSecurity.load(token="correct-horse")
    assert "horse" not in str(refused.value)
    with pytest.raises(SecurityError, match="certificate needs TLS, give tls_ca"):
        ClientSecurity.load(None, *files.pair("camera"))
    with pytest.raises(SecurityError, match=r"tokens\.yaml: tokens need TLS, give tls_cert"):
        ServerSecurity.load(tokens=files.tokens)
    with pytest.raises(SecurityError, match=r"ca\.pem: client certificates need TLS"):
        ServerSecurity.load(client_ca=files.ca)


def test_bad_pem_files_are_named(files: Files, tmp_path: Path) -> None:
    certificate, key = files.pair("receiver")
    text = tmp_path / "text.pem"
    text.write_text("not PEM")
    locked = tmp_path / "locked.key"
    locked.write_bytes(
        load_pem_private_key(key.read_bytes(), None).private_bytes(
            Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"secret")
        )
    )
    missing = tmp_path / "missing.pem"
    for pair in ((text, key), (certificate, text), (certificate, files.pair("camera")[1])):
        with pytest.raises(SecurityError, match="not a certificate chain and its") as refused:
            ServerSecurity.load(*pair)
        assert str(pair[0]) in str(refused.value)
        assert str(pair[1]) in str(refused.value)
    with pytest.raises(SecurityError, match=r"locked\.key .*unencrypted"):
        ServerSecurity.load(certificate, locked)
    with pytest.raises(SecurityError, match=r"cannot read .*missing\.pem: No such file"):
        ServerSecurity.load(missing, key)
    with pytest.raises(SecurityError, match="its key is missing"):
        ServerSecurity.load(certificate)
    with pytest.raises(SecurityError, match="its certificate is missing"):
        ClientSecurity.load(files.ca, None, key)
    for load in (ClientSecurity.load, lambda ca: ServerSecurity.load(certificate, key, ca)):
        with pytest.raises(SecurityError, match=r"text\.pem holds no certificates"):
            load(text)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "must be a list"),
        ("[]", "must be a list"),
        ("sender: a", "must be a list"),
        ("- sender: [hush", "is not YAML"),
        ("- hush", "entry 1 must have sender and token"),
        ("- {sender: a, token: hush, more: 1}", "entry 1 must have sender and token"),
        ("- {sender: a, token: b}\n- {sender: '', token: hush}", "entry 2: sender must be"),
        ("- {sender: a, operator: b, token: hush}", "entry 1 must have sender and token, or"),
        ("- {operator: 7, token: hush}", "entry 1: operator must be a name"),
        ("- {sender: a, token: 12345}", "entry 1: token must be a string"),
        ("- {sender: a, token: ''}", "entry 1: token is empty"),
        ("- {sender: a, token: hush hush}", "characters other than"),
        ("- {sender: a, token: hush}\n- {sender: b, token: hush}", "entry 2: its token is"),
    ],
)
def test_bad_token_files_are_refused_and_no_secret_is_told(
    files: Files, tmp_path: Path, text: str, message: str
) -> None:
    path = tmp_path / "tokens.yaml"
    path.write_text(text)
    with pytest.raises(SecurityError, match=re.escape(message)) as refused:
        ServerSecurity.load(*files.pair("receiver"), tokens=path)
    assert str(path) in str(refused.value)
    assert "hush" not in str(refused.value)
    with pytest.raises(SecurityError, match="characters other than"):
        ClientSecurity.load(files.ca, token="with space")


def test_tokens_are_not_kept(files: Files) -> None:
    server = ServerSecurity.load(*files.pair("receiver"), tokens=files.tokens)
    assert [token.principal.name for token in server.tokens] == ["desk-3", "desk-3", "desk-4"]
    assert all(b"horse" not in token.digest for token in server.tokens)
    assert "digest" not in repr(server.tokens)


# Sizes, ports, addresses


async def open_session(address: str, limits: Limits, stream_id: str, epoch: int, most: int) -> int:
    """Length of the answer."""
    channel = client_channel(address, ClientSecurity(), response_bytes=most)
    async with channel:
        control = control_pb2_grpc.ControlServiceStub(channel)
        request = control_pb2.OpenSessionRequest(stream_id=stream_id, epoch=epoch)
        answer = await control.OpenSession(request, timeout=PATIENCE)
        return len(answer.session_id)


def test_message_sizes_are_the_limits(files: Files) -> None:
    small = Limits(frame_bytes=2048, caption_bytes=1024)
    longest = 2048 + MESSAGE_OVERHEAD
    fits, over = "x" * (longest - 8), "x" * (longest + 1)

    async def run() -> None:
        async with serving(ServerSecurity(), small) as address:
            assert await open_session(address, small, fits, 5, RESPONSE_BYTES) == 5
            for limits, text, size in (
                (small, over, 0),  # the client's own limit
                (Limits(), over, 0),  # the server's
                (small, "", RESPONSE_BYTES),  # the answer's
            ):
                with pytest.raises(grpc.aio.AioRpcError) as refused:
                    await open_session(address, limits, text, size, RESPONSE_BYTES)
                assert refused.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
            size = 5 << 20
            assert await open_session(address, small, "", size, DELIVERY_BYTES) == size

    asyncio.run(run())


def test_a_port_has_one_receiver() -> None:
    async def run() -> None:
        async with serving(ServerSecurity()) as address:
            second = grpc.aio.server(options=server_options(Limits()))
            with pytest.raises(RuntimeError, match="Failed to bind"):
                second.add_insecure_port(address.replace("localhost", "127.0.0.1"))

    asyncio.run(run())


def test_a_proxy_is_not_asked_for_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    monkeypatch.delenv("no_proxy", raising=False)
    assert name_of(ServerSecurity(), ClientSecurity()) == "anonymous"


@pytest.mark.parametrize(
    ("address", "stays"),
    [
        ("127.0.0.1:7601", True),
        ("127.9.9.9:1", True),
        ("[::1]:7601", True),
        ("localhost:65535", True),
        ("unix:/run/sidewire.sock", True),
        ("0.0.0.0:7601", False),
        ("[::]:7601", False),
        ("10.0.0.7:7601", False),
        ("localhost.example.org:7601", False),
        ("receiver_1:7601", False),
    ],
)
def test_addresses(address: str, stays: bool) -> None:
    assert check_address(address) == address
    assert stays_on_machine(address) is stays


@pytest.mark.parametrize(
    "address",
    ["", "7601", ":7601", "host", "host:", "host:x", "host:0", "host:65536", "::1:7601", "unix:",
     "http://host:1", "a b:1", "host:1\n"],
)  # fmt: skip
def test_what_is_no_address(address: str) -> None:
    with pytest.raises(ValueError, match="must be host:port"):
        check_address(address)
    assert check_address("host:0", lowest_port=0) == "host:0"
