"""Why a receiver cannot be talked to, in words that say what to change.

gRPC says "Socket closed" to a client whose TLS does not match. Here a connection is made once more by hand,
and looked at: who listens, whether it talks TLS, and whose certificate it shows.
"""

from __future__ import annotations

import asyncio
import socket
import ssl

from shared.wire.channels import UNIX
from shared.wire.security import ClientSecurity

__all__ = ["diagnosed"]

#: Seconds for all of the looking.
LOOK_SECONDS = 5.0
#: Seconds that a receiver has to object to the certificate, which TLS 1.3 lets it do after the handshake.
OBJECTION_SECONDS = 1.0
#: How an HTTP/2 client begins, with empty settings.
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes([0, 0, 0, 4, 0, 0, 0, 0, 0])

TALKS_TLS = (
    "the receiver talks TLS, and this client plaintext: give tls_ca, the file of authorities that its"
    " certificate is checked with"
)
TALKS_PLAINTEXT = (
    "the receiver talks plaintext, and this client TLS: start the receiver with tls_cert and tls_key,"
    " or leave tls_ca out here"
)


async def diagnosed(address: str, security: ClientSecurity) -> str:
    """What keeps a client with this security from talking to an address, in one line; empty where nothing is
    found, or the address is no host and port."""
    if address.startswith(UNIX):
        return ""
    host, _, port = address.rpartition(":")
    host = host.strip("[]")
    try:
        async with asyncio.timeout(LOOK_SECONDS):
            return await _look(host, int(port), security)
    except TimeoutError:
        return f"{address} takes connections and says nothing"
    except socket.gaierror as error:
        return f"the name {host!r} is not found ({error.strerror})"
    except ConnectionRefusedError:
        return f"nothing listens at {address}"
    except OSError as error:
        return f"{address} cannot be reached: {error.strerror or error}"


async def _look(host: str, port: int, security: ClientSecurity) -> str:
    """One connection, with TLS; a plaintext client's is not checked, as nothing is sent over it.

    Raises:
        OSError, TimeoutError: nobody answers.
    """
    plaintext = security.credentials is None
    context = _unchecked() if plaintext else _checked(security)
    try:
        reader, writer = await asyncio.open_connection(host, port, ssl=context)
    except ssl.SSLCertVerificationError as error:
        return _verification(host, security, error)
    except (ssl.SSLError, ConnectionResetError):
        return "" if plaintext else TALKS_PLAINTEXT
    try:
        return TALKS_TLS if plaintext else await _objection(reader, writer, security)
    finally:
        writer.close()


def _unchecked() -> ssl.SSLContext:
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.set_alpn_protocols(["h2"])
    return context


def _checked(security: ClientSecurity) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=security.ca)
    context.set_alpn_protocols(["h2"])
    if security.certificate is not None:
        context.load_cert_chain(security.certificate, security.key, password="")
    return context


async def _objection(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, security: ClientSecurity
) -> str:
    """What the receiver has against the client's certificate. In TLS 1.3 that comes after the handshake: a
    receiver that is content answers the preface, another one ends the connection, perhaps with an alert."""
    try:
        writer.write(PREFACE)
        async with asyncio.timeout(OBJECTION_SECONDS):
            if await reader.read(1):
                return ""
    except TimeoutError:
        return ""
    except OSError:  # ssl.SSLError is one
        pass
    if security.certificate is None:
        return (
            "the receiver asks for a client certificate: give tls_cert and tls_key, of the authorities"
            " in its client_ca"
        )
    return (
        f"the receiver refuses the certificate {security.certificate}: it is not of the authorities in"
        " its client_ca"
    )


def _verification(host: str, security: ClientSecurity, error: ssl.SSLCertVerificationError) -> str:
    message = error.verify_message
    if "mismatch" in message.lower():
        return f"the receiver's certificate is for other names than {host!r}"
    if "expired" in message or "not yet valid" in message:
        return f"the receiver's {message}; compare the clocks, or renew it"
    return (
        f"the receiver's certificate is not of the authorities in tls_ca, {security.ca} ({message}):"
        " it is another receiver, or the wrong file"
    )
