"""curl, `openssl s_client` and `gnutls-cli` over TLS 1.2, at a door that speaks profile cid07.

None of them sends the extension: the single dNSName of their certificate is the claim. A refusal reaches them inside
the handshake, as an alert in clear.
"""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from dnsbound import Reason
from dnsbound.testing import Fault, World
from interop.native_sockets import Peer, save
from interop.openssl_cli_server.test_command_line_clients import app, curl, files, gnutls, s_client, talk
from interop.openssl_cli_server.test_command_line_clients import save as save_device
from interop.python_servers.running import uvicorn_server
from machines.doors import LOOPS, Door, car, door, run
from machines.native_pairs import Identity

pytestmark = pytest.mark.parametrize("kind", LOOPS)
__all__ = ["files"]

GNUTLS_12 = "NORMAL:-VERS-ALL:+VERS-TLS1.2"
GNUTLS_12_RAW = f"{GNUTLS_12}:-CTYPE-ALL:+CTYPE-CLI-RAWPK:+CTYPE-SRV-X509"


def old_door(world: World, **options: Any) -> Door:
    return door(world, profiles=["ca13", "cid07"], **options)


@pytest.mark.peer("curl")
def test_curl(kind: str, world: World, files: Path) -> None:
    at, device = old_door(world), car(world)
    stranger = world.organisation("strangers.example").device("car54")
    gone = car(world, "gone")
    gone.revoke()
    world.fault(str(device.name), Fault.SLOW, seconds=0.3)
    with uvicorn_server(kind, app, at.context) as port:
        done = curl(port, files, device, "--tls-max", "1.2", "--data", "x" * 30_000)
        assert done.returncode == 0, done.stderr
        assert json.loads(done.stdout) == {"name": str(device.name)}
        for shown in (stranger, None, gone):
            done = curl(port, files, shown, "--tls-max", "1.2")
            assert done.returncode == 35, "an error of the handshake, not of the first read"
            assert done.stdout == ""
            assert "alert handshake failure" in done.stderr
        assert curl(port, files, device).returncode == 0
    assert at.reasons == ["admitted", Reason.NOT_PERMITTED, Reason.NO_CREDENTIAL, Reason.NO_TLSA, "admitted"]
    assert [decision.protocol for decision in at.decisions if decision.protocol] == [
        *("TLSv1.2", "TLSv1.2", "TLSv1.2", "TLSv1.3")
    ]


@pytest.mark.peer("openssl")
def test_s_client(kind: str, world: World, files: Path) -> None:
    device, at = car(world), old_door(world)
    world.fault(str(device.name), Fault.SLOW, seconds=0.2)
    output, _ = run(kind, lambda: talk(at, [*s_client(files, device), "-tls1_2"], b"early\n", b"echo early"))
    assert output.startswith(f"hello {device.name}\n".encode())
    assert [decision.protocol for decision in at.decisions] == ["TLSv1.2"]


@pytest.mark.peer("openssl")
def test_s_client_is_refused(kind: str, world: World, files: Path) -> None:
    at = old_door(world)
    stranger = world.organisation("strangers.example").device("car54")
    output, errors = run(kind, lambda: talk(at, [*s_client(files, stranger), "-tls1_2"], b"", b"hello"))
    assert output == b""
    assert b"alert handshake failure" in errors
    assert at.reasons == [Reason.NOT_PERMITTED]


@pytest.mark.peer("openssl")
def test_s_client_gets_no_ticket(kind: str, world: World, files: Path) -> None:
    device, at = car(world), old_door(world, ticket_lifetime=600)
    command = [part for part in s_client(files, device) if part != "-quiet"]
    output, _ = run(kind, lambda: talk(at, [*command, "-tls1_2"], b"x\n", b"echo x"))
    assert b"Protocol  : TLSv1.2" in output
    assert b"TLS session ticket" not in output
    assert b"Extended master secret: yes" in output


@pytest.mark.peer("gnutls-cli")
def test_gnutls_with_a_certificate(kind: str, world: World, files: Path) -> None:
    at = old_door(world)
    for device, said in (
        (car(world), b"echo early"),
        (world.organisation("strangers.example").device("car54"), b"never"),
    ):
        file = save_device(device, files)
        command = gnutls(files, "--priority", GNUTLS_12, "--x509certfile", file, "--x509keyfile", file)
        output, errors = run(kind, lambda command=command, said=said: talk(at, command, b"early\n", said))
        if said == b"never":
            assert b"Handshake failed" in output + errors
            assert b"hello" not in output
        else:
            assert f"hello {device.name}\n".encode() in output, errors
    assert at.reasons == ["admitted", Reason.NOT_PERMITTED]
    assert {decision.protocol for decision in at.decisions} == {"TLSv1.2"}


@pytest.mark.peer("gnutls-cli")
def test_gnutls_with_a_raw_key(kind: str, world: World, files: Path) -> None:
    """It shows the key of a name that is let in, and says no name: nobody looks for one."""
    device, at = car(world), old_door(world)
    key = save(Identity(key=device.credential.private_key, chain=()), files, "raw")
    shown = ["--priority", GNUTLS_12_RAW, "--rawpkkeyfile", key["key"], "--rawpkfile", key["raw"]]

    async def main() -> str:
        server = await asyncio.start_server(lambda *_: None, "127.0.0.1", 0, ssl=at.context)
        async with server:
            port = str(server.sockets[0].getsockname()[1])
            command = [port if part == "PORT" else part for part in gnutls(files, *shown)]
            with Peer(command) as peer:
                await asyncio.to_thread(peer.wait_for, "Handshake failed")
        await at.resolver.aclose()
        return peer.output

    assert "[40]" in run(kind, main)
    assert at.reasons == [Reason.NO_NAME]
