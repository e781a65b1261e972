"""Asking after the handshake, with real peers and both ways: OpenSSL's library and commands, Python's ssl."""

import asyncio
import http.client
import socket
import ssl
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from dnsbound import Context, Reason, current_connection, start_server, verified_peer
from dnsbound.credential.credential import Credential
from dnsbound.edge.context_objects import TLSSocket
from dnsbound.testing import Device, World
from interop.native_sockets import Peer
from interop.openssl_peer.peer import Files, OpensslPeer, asks_name, names_in, says_name
from interop.python_servers.running import uvicorn_server
from machines.doors import LOOPS, PATIENCE, SERVER, Door, car, door, run

Save = Callable[[Credential], Files]


@pytest.fixture
def save(tmp_path: Path) -> Save:
    def saved(credential: Credential) -> Files:
        stem = f"credential{len(list(tmp_path.iterdir()))}"
        return Files.save(tmp_path, stem, key=credential.private_key_der(), chain=credential.chain)

    return saved


@pytest.fixture
def at(world: World) -> Door:
    """A door that asks nobody in the handshake: these clients do not signal."""
    return door(world, policy="optional", post_handshake=True)


async def greet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Each line is answered with the name, which is asked for when the line comes."""
    try:
        while await reader.readline():
            await current_connection().authenticate_client()
            peer = verified_peer()
            writer.write(f"hello {peer.name if peer else 'nobody'}\n".encode())
    except OSError:
        pass
    finally:
        writer.close()


def at_the_door(kind: str, at: Door, visit: Callable[[int], None]) -> None:
    async def main() -> None:
        async with await start_server(greet, "127.0.0.1", 0, context=at.context) as server:
            await asyncio.to_thread(visit, server.sockets[0].getsockname()[1])
        await at.resolver.aclose()

    run(kind, main)


@pytest.mark.parametrize("kind", LOOPS)
@pytest.mark.parametrize("raw", [False, True], ids=["x509", "raw"])
def test_openssls_client_says_its_name_late(kind: str, raw: bool, world: World, at: Door, save: Save) -> None:
    device = car(world)
    options = [*save(device.credential).options(raw=raw), *says_name(str(device.name).encode())]

    def visit(port: int) -> None:
        with OpensslPeer("client", *options, "--post-handshake", "yes", "--port", str(port)) as client:
            assert not client.connect()["asked_for_certificate"]
            for _ in range(2):
                client.write(b"who\n")
                client.tell("read")
                said = b""
                while not said.endswith(b"\n"):
                    said += bytes.fromhex(client.event("data")["octets"])
                assert said == f"hello {device.name}\n".encode()

    at_the_door(kind, at, visit)
    assert at.reasons == ["admitted"] * 2
    assert at.decisions[0].name_source == "extension"


def test_openssls_server_asks_our_client_late(world: World, save: Save) -> None:
    device = car(world)
    name = str(device.name).encode()
    asking = [*save(world.web_credential(SERVER)).options(), *asks_name(), "--ask", "later"]
    context = Context.client(device.credential)
    context.load_verify_locations(cadata=world.web_root_pem.decode())
    context.post_handshake_auth = True
    with OpensslPeer("server", *asking) as server:
        server.tell("accept")
        plain = socket.create_connection(("127.0.0.1", server.port), timeout=PATIENCE)
        with context.wrap_socket(plain, server_hostname=SERVER) as tls:
            assert server.event("handshake")["chain"] == []
            for _ in range(2):
                server.tell("ask")
                read_until_asked(tls)
                event = server.event("handshake")
                assert event["chain"] == [device.credential.chain[0].hex()]
                assert (("ct", 0, bytes([len(name)]) + name)) in names_in(event)
            server.write(b"answer")
            assert tls.recv(100) == b"answer"


def read_until_asked(tls: ssl.SSLSocket) -> None:
    """The client answers while it reads, and there is nothing else to read yet."""
    assert isinstance(tls, TLSSocket)
    answers = tls.shim._connection.finished()
    until = time.monotonic() + PATIENCE
    tls.settimeout(0.1)
    while tls.shim._connection.finished() == answers:
        assert time.monotonic() < until
        with suppress(TimeoutError):
            tls.recv(1)
    tls.settimeout(PATIENCE)


@pytest.fixture
def pem(tmp_path: Path, world: World) -> Callable[[Credential], str]:
    def saved(credential: Credential) -> str:
        file = tmp_path / f"{len(list(tmp_path.iterdir()))}.pem"
        file.write_bytes(credential.to_pem())
        return str(file)

    (tmp_path / "root.pem").write_bytes(world.web_root_pem)
    return saved


@pytest.mark.peer("openssl")
@pytest.mark.parametrize("offers", [True, False])
def test_s_client(offers: bool, world: World, at: Door, pem: Callable[[Credential], str], tmp_path: Path) -> None:
    """The command line of an older OpenSSL; its certificate's dNSName is its claim."""
    device = car(world)
    file = pem(device.credential)

    def visit(port: int) -> None:
        trust = ["-CAfile", str(tmp_path / "root.pem"), "-verify_return_error", "-verify_hostname", SERVER]
        command = ["openssl", "s_client", "-connect", f"127.0.0.1:{port}", "-servername", SERVER, "-tls1_3", *trust]
        with Peer([*command, "-cert", file, "-key", file, *(["-enable_pha"] if offers else [])]) as peer:
            peer.wait_for("Verification: OK")
            peer.say("who\n")
            if offers:
                peer.wait_for(f"hello {device.name}")
            else:
                peer.process.wait(PATIENCE)

    at_the_door("asyncio", at, visit)
    assert at.reasons == (["admitted"] if offers else [])


@pytest.mark.peer("openssl")
def test_s_server_asks_our_client(world: World, pem: Callable[[Credential], str]) -> None:
    device = car(world)
    own, theirs = pem(world.web_credential(SERVER)), pem(device.credential)
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = ["openssl", "s_server", "-accept", f"127.0.0.1:{port}", "-cert", own, "-key", own, "-tls1_3"]
    context = Context.client(device.credential)
    context.load_verify_locations(cadata=world.web_root_pem.decode())
    context.post_handshake_auth = True
    with Peer([*command, "-CAfile", theirs]) as peer:
        peer.wait_for("ACCEPT")
        plain = socket.create_connection(("127.0.0.1", port), timeout=PATIENCE)
        with context.wrap_socket(plain, server_hostname=SERVER) as tls:
            # It reads its commands in chunks: the next one must not come before this one has been obeyed.
            peer.say("c\n")
            read_until_asked(tls)
            peer.say("hello\n")
            assert tls.recv(100) == b"hello\n"
            tls.sendall(b"read after the answer\n")
            peer.wait_for("read after the answer")
            peer.say("Q\n")
            peer.process.wait(PATIENCE)
    assert "SSL_do_handshake -> 1" in peer.output
    assert "verify return:1" in peer.output, "a certificate came and was looked at"


async def app(scope: Any, receive: Any, send: Any) -> None:
    """At /private the client is asked who it is."""
    if scope["path"] == "/private" and verified_peer() is None:
        await current_connection().authenticate_client(required=True)
    peer = verified_peer()
    said = f"hello {peer.name if peer else 'nobody'}".encode()
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"%d" % len(said))]})
    await send({"type": "http.response.body", "body": said})


@pytest.mark.parametrize("kind", LOOPS)
def test_pythons_client_at_uvicorn(kind: str, world: World, at: Door, tmp_path: Path) -> None:
    """Python's own ssl with post_handshake_auth, as any program has it: http.client knows nothing of it."""
    device = car(world)
    context = at.stock_client(device, tmp_path)
    context.post_handshake_auth = True
    with uvicorn_server(kind, app, at.context) as port:
        client = http.client.HTTPSConnection(SERVER, port, context=context, timeout=PATIENCE)
        said = []
        for path in ("/", "/private", "/private", "/"):
            client.request("GET", path)
            said.append(client.getresponse().read().decode())
        client.close()
    assert said == ["hello nobody", *[f"hello {device.name}"] * 3]
    assert at.reasons == ["admitted"]


@pytest.mark.parametrize("kind", LOOPS)
def test_a_stranger_at_uvicorn(kind: str, world: World, at: Door, tmp_path: Path) -> None:
    context = at.stock_client(world.organisation("strangers.example").device("x"), tmp_path)
    context.post_handshake_auth = True
    with uvicorn_server(kind, app, at.context, log_config=None) as port:
        client = http.client.HTTPSConnection(SERVER, port, context=context, timeout=PATIENCE)
        client.request("GET", "/private")
        with pytest.raises(ssl.SSLError) as caught:
            client.getresponse()
        client.close()
    assert "ALERT_HANDSHAKE_FAILURE" in caught.value.reason
    assert at.reasons == [Reason.NOT_PERMITTED]


def test_a_client_of_httpx_with_our_context(world: World, at: Door) -> None:
    """Over HTTP/1.1; a device whose Context offers it."""
    import httpx

    device: Device = car(world)
    context = at.client(device, request_signal=None)
    context.post_handshake_auth = True
    with (
        uvicorn_server("asyncio", app, at.context) as port,
        httpx.Client(verify=context, timeout=PATIENCE, base_url=f"https://{SERVER}:{port}") as client,
    ):
        assert client.get("/").text == "hello nobody"
        assert client.get("/private").text == f"hello {device.name}"
        assert client.get("/").text == f"hello {device.name}"
    assert at.reasons == ["admitted"]
