"""curl, `openssl s_client` and `gnutls-cli`, which nobody changed, at the door of our servers.

curl and s_client send no extension: their certificate's single dNSName is the claim (claim_from "san").
"""

import asyncio
import json
import subprocess
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from dnsbound import Reason, verified_peer
from dnsbound.adapters.asgi import VerifiedPeerMiddleware
from dnsbound.testing import Device, Fault, World
from interop.python_servers.running import uvicorn_server
from machines.doors import LOOPS, PATIENCE, SERVER, Door, car, door, hang_up, run

pytestmark = pytest.mark.parametrize("kind", LOOPS)


async def application(scope: Any, receive: Any, send: Any) -> None:
    answer = json.dumps({"name": scope["extensions"]["dnsbound"]["name"]}).encode()
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"application/json")]})
    await send({"type": "http.response.body", "body": answer})


app = VerifiedPeerMiddleware(application)


@pytest.fixture
def files(world: World, tmp_path: Path) -> Path:
    (tmp_path / "root.pem").write_bytes(world.web_root_pem)
    return tmp_path


def save(device: Device, files: Path) -> str:
    file = files / f"{device.name}.pem"
    file.write_bytes(device.credential.to_pem())
    return str(file)


def curl(port: int, files: Path, device: Device | None, *more: str) -> subprocess.CompletedProcess[str]:
    shown = [] if device is None else ["--cert", save(device, files)]
    command = ["curl", "--silent", "--show-error", "--max-time", str(int(PATIENCE)), "--noproxy", "*"]
    trust = ["--cacert", str(files / "root.pem"), "--resolve", f"{SERVER}:{port}:127.0.0.1"]
    url = f"https://{SERVER}:{port}/"
    return subprocess.run(
        [*command, *trust, *shown, *more, url], capture_output=True, text=True, check=False, timeout=PATIENCE + 5
    )


@pytest.mark.peer("curl")
def test_curl_is_admitted(kind: str, world: World, files: Path) -> None:
    """By the name in its certificate; also while DNS is slow, and with an upload in the same flight."""
    device, at = car(world), door(world)
    world.fault(str(device.name), Fault.SLOW, seconds=0.3)
    with uvicorn_server(kind, app, at.context) as port:
        for more in ((), ("--data", "x" * 30_000)):
            done = curl(port, files, device, *more)
            assert done.returncode == 0, done.stderr
            assert json.loads(done.stdout) == {"name": str(device.name)}
    assert at.reasons == ["admitted", "admitted"]
    assert at.decisions[0].name_source == "san"


@pytest.mark.peer("curl")
def test_curl_is_refused(kind: str, world: World, files: Path) -> None:
    """A stranger, the wrong key, no certificate, a removed record: each sees the alert and no answer."""
    at = door(world)
    stranger = world.organisation("strangers.example").device("car54")
    wrong, gone = car(world, "wrong", publish=False), car(world, "gone")
    car(world, "wrong")
    gone.revoke()
    with uvicorn_server(kind, app, at.context) as port:
        for device in (stranger, wrong, None, gone):
            done = curl(port, files, device)
            assert done.returncode in {35, 56}, done.stderr
            assert done.stdout == ""
            assert "alert handshake failure" in done.stderr
    assert at.reasons == [Reason.NOT_PERMITTED, Reason.TLSA_MISMATCH, Reason.NO_CREDENTIAL, Reason.NO_TLSA]


@pytest.mark.peer("curl")
def test_a_door_that_takes_names_from_the_extension_alone(kind: str, world: World, files: Path) -> None:
    device, at = car(world), door(world, claim_from=["extension"])
    with uvicorn_server(kind, app, at.context) as port:
        assert curl(port, files, device).returncode in {35, 56}
    assert at.reasons == [Reason.NO_NAME]


@pytest.mark.peer("curl")
def test_curl_at_an_optional_door(kind: str, world: World, files: Path) -> None:
    """It sends no request signal: not asked for the certificate it has, and let in as nobody. ask="always" asks it."""
    device, stranger = car(world), world.organisation("strangers.example").device("car54")
    at = door(world, policy="optional")
    with uvicorn_server(kind, app, at.context) as port:
        for shown in (device, stranger, None):
            assert json.loads(curl(port, files, shown).stdout) == {"name": None}
    always = door(world, policy="optional", ask="always")
    with uvicorn_server(kind, app, always.context) as port:
        assert json.loads(curl(port, files, device).stdout) == {"name": str(device.name)}
        assert json.loads(curl(port, files, None).stdout) == {"name": None}
        assert curl(port, files, stranger).returncode in {35, 56}
    assert (at.reasons, always.reasons) == ([], ["admitted", Reason.NOT_PERMITTED])


async def talk(at: Door, command: list[str], said: bytes, expected: bytes) -> tuple[bytes, bytes]:
    """Run a client at a door that greets first and echoes; its output once `expected` came, and its errors."""

    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        peer = verified_peer()
        writer.write(f"hello {peer and peer.name}\n".encode())
        with suppress(ConnectionError):  # a client that is ended from outside says no goodbye
            while line := await reader.readline():
                writer.write(b"echo " + line)
        await hang_up(writer)

    server = await asyncio.start_server(echo, "127.0.0.1", 0, ssl=at.context)
    async with server:
        port = server.sockets[0].getsockname()[1]
        filled = [part.replace("PORT", str(port)) for part in command]
        pipe = asyncio.subprocess.PIPE
        client = await asyncio.create_subprocess_exec(*filled, stdin=pipe, stdout=pipe, stderr=pipe)
        assert client.stdin is not None
        assert client.stdout is not None
        try:
            client.stdin.write(said)
            output = b""
            while expected not in output and (octets := await client.stdout.read(4096)):
                output += octets
            if expected in output:
                client.terminate()  # s_client and gnutls-cli stay until somebody ends them
            rest, errors = await client.communicate()
        finally:
            if client.returncode is None:
                client.kill()
                await client.wait()
    await at.resolver.aclose()
    return output + rest, errors


def s_client(files: Path, device: Device) -> list[str]:
    trust = ["-CAfile", str(files / "root.pem"), "-verify_return_error", "-verify_hostname", SERVER]
    where = ["-connect", "127.0.0.1:PORT", "-servername", SERVER]
    return ["openssl", "s_client", "-quiet", "-cert", save(device, files), *trust, *where]


@pytest.mark.peer("openssl")
def test_s_client_is_admitted(kind: str, world: World, files: Path) -> None:
    device, at = car(world), door(world)
    world.fault(str(device.name), Fault.SLOW, seconds=0.2)
    output, _ = run(kind, lambda: talk(at, s_client(files, device), b"early\n", b"echo early"))
    assert output.startswith(f"hello {device.name}\n".encode())
    assert b"echo early\n" in output


@pytest.mark.peer("openssl")
def test_s_client_is_refused(kind: str, world: World, files: Path) -> None:
    at = door(world)
    stranger = world.organisation("strangers.example").device("car54")
    output, errors = run(kind, lambda: talk(at, s_client(files, stranger), b"", b"hello"))
    assert output == b""
    assert b"alert handshake failure" in errors
    assert at.reasons == [Reason.NOT_PERMITTED]


@pytest.mark.peer("openssl")
def test_s_client_at_an_optional_door(kind: str, world: World, files: Path) -> None:
    at = door(world, policy="optional")
    output, errors = run(kind, lambda: talk(at, s_client(files, car(world)), b"early\n", b"echo early"))
    assert output.startswith(b"hello None\n"), errors
    assert at.decisions == []


@pytest.mark.peer("openssl")
def test_s_client_with_tls_1_2_is_turned_away(kind: str, world: World, files: Path) -> None:
    """A door of DANE names speaks TLS 1.3 only (draft-ietf-dance-client-auth section 12)."""
    device, at = car(world), door(world)
    output, errors = run(kind, lambda: talk(at, [*s_client(files, device), "-tls1_2"], b"", b"hello"))
    assert output == b""
    assert b"alert protocol version" in errors
    assert at.decisions == []


def gnutls(files: Path, *credential: str) -> list[str]:
    trust = ["--x509cafile", str(files / "root.pem"), "--verify-hostname", SERVER, "--sni-hostname", SERVER]
    return ["gnutls-cli", *trust, *credential, "--port", "PORT", "127.0.0.1"]


@pytest.mark.peer("gnutls-cli")
def test_gnutls_with_a_certificate(kind: str, world: World, files: Path) -> None:
    device, at = car(world), door(world)
    file = save(device, files)
    command = gnutls(files, "--x509certfile", file, "--x509keyfile", file)
    output, errors = run(kind, lambda: talk(at, command, b"early\n", b"echo early"))
    assert f"hello {device.name}\n".encode() in output, errors
    assert at.reasons == ["admitted"]


@pytest.mark.peer("gnutls-cli")
def test_gnutls_is_refused(kind: str, world: World, files: Path) -> None:
    at = door(world)
    file = save(world.organisation("strangers.example").device("car54"), files)
    command = gnutls(files, "--x509certfile", file, "--x509keyfile", file)
    output, errors = run(kind, lambda: talk(at, command, b"", b"hello"))
    assert b"hello" not in output
    assert b"Handshake failed" in output + errors
    assert at.reasons == [Reason.NOT_PERMITTED]


@pytest.mark.peer("gnutls-cli")
def test_gnutls_at_an_optional_door(kind: str, world: World, files: Path) -> None:
    at = door(world, policy="optional")
    file = save(car(world), files)
    command = gnutls(files, "--x509certfile", file, "--x509keyfile", file)
    output, errors = run(kind, lambda: talk(at, command, b"early\n", b"echo early"))
    assert b"hello None\n" in output, errors
    assert at.decisions == []
