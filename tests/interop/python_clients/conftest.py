"""HTTPS servers on the standard library's TLS, for clients whose TLS is ours."""

import asyncio
import contextlib
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from dnsbound.credential.credential import Credential, certificates_to_pem
from dnsbound.edge.context import Context
from machines.native_pairs import Identity, authority, make_identity
from machines.shim_pairs import credential

HOST = "localhost"
WAIT = 20.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Files:
    """A server's certificate and key, and the certificates its clients must show one of."""

    certificate: Path
    key: Path
    clients: Path | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One situation: what the server shows, and what it asks of clients."""

    identity: Callable[[], Identity]
    takes: Callable[[Credential], bytes]


CASES = {
    "good": Case(identity=lambda: make_identity(HOST, issuer=authority()), takes=lambda own: own.chain[0]),
    "unknown authority": Case(identity=lambda: make_identity(HOST), takes=lambda own: own.chain[0]),
    "wrong name": Case(
        identity=lambda: make_identity("other.example", issuer=authority()), takes=lambda own: own.chain[0]
    ),
    "expired": Case(
        identity=lambda: make_identity(HOST, issuer=authority(), days=(-3, -1)), takes=lambda own: own.chain[0]
    ),
    "refuses the client": Case(
        identity=lambda: make_identity(HOST, issuer=authority()), takes=lambda own: authority().chain[0]
    ),
}


@pytest.fixture(scope="session")
def own() -> Credential:
    return credential()


@pytest.fixture
def context(own: Credential) -> Context:
    """What a program makes once and gives to its library."""
    made = Context.client(own)
    made.load_verify_locations(cadata=authority().chain[0])
    return made


@pytest.fixture(scope="session")
def files(own: Credential, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Files]:
    def make(case: str) -> Files:
        directory = tmp_path_factory.mktemp("server")
        identity = CASES[case].identity()
        certificate, key, clients = directory / "c.pem", directory / "k.pem", directory / "clients.pem"
        certificate.write_bytes(certificates_to_pem(identity.chain))
        key.write_bytes(identity.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
        clients.write_bytes(certificates_to_pem([CASES[case].takes(own)]))
        return Files(certificate=certificate, key=key, clients=clients)

    return make


async def app(scope: dict[str, Any], receive: Callable[[], Any], send: Callable[[dict[str, Any]], Any]) -> None:
    """Answers a GET with its path and a POST with its body; large when asked."""
    if scope["type"] == "lifespan":
        while (await receive())["type"] != "lifespan.shutdown":
            await send({"type": "lifespan.startup.complete"})
        await send({"type": "lifespan.shutdown.complete"})
        return
    body = b""
    while True:
        message = await receive()
        body += message.get("body", b"")
        if not message.get("more_body"):
            break
    answer = b"x" * int(scope["path"][7:]) if scope["path"].startswith("/large/") else body or scope["path"].encode()
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/plain")]})
    await send({"type": "http.response.body", "body": answer})


@contextlib.contextmanager
def in_thread(serve: Callable[[socket.socket, asyncio.Event], Any]) -> Iterator[int]:
    """Run a server on a socket of its own until the block ends; its port."""
    listening = socket.create_server(("127.0.0.1", 0))
    stop: asyncio.Event
    loop: asyncio.AbstractEventLoop
    running = threading.Event()

    async def work() -> None:
        nonlocal stop, loop
        stop, loop = asyncio.Event(), asyncio.get_running_loop()
        running.set()
        await serve(listening, stop)

    thread = threading.Thread(target=lambda: asyncio.run(work()))
    thread.start()
    try:
        assert running.wait(WAIT)
        yield listening.getsockname()[1]
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join(WAIT)
        listening.close()
        assert not thread.is_alive()


@contextlib.contextmanager
def hypercorn_server(files: Files) -> Iterator[int]:
    """HTTP/1.1 and HTTP/2."""
    from hypercorn.asyncio import serve
    from hypercorn.config import Config

    async def run(listening: socket.socket, stop: asyncio.Event) -> None:
        config = Config()
        config.bind = [f"fd://{socket.socket.dup(listening).detach()}"]
        config.certfile, config.keyfile = str(files.certificate), str(files.key)
        config.ca_certs, config.verify_mode = str(files.clients), ssl.CERT_REQUIRED
        config.alpn_protocols = ["h2", "http/1.1"]
        config.errorlog = config.accesslog = None
        config.graceful_timeout = config.shutdown_timeout = 1
        await serve(app, config, shutdown_trigger=stop.wait, mode="asgi")

    with in_thread(run) as port:
        yield port


def _turn_away(context: ssl.SSLContext, plain: socket.socket) -> None:
    """Fail the handshake, say so, and let the client read it. (asyncio's own servers drop that alert.)"""
    plain.settimeout(WAIT)
    with context.wrap_socket(plain, server_side=True, do_handshake_on_connect=False) as made:
        with contextlib.suppress(ssl.SSLError):
            made.do_handshake()
        with contextlib.suppress(OSError):
            socket.socket.shutdown(made, socket.SHUT_WR)
            while socket.socket.recv(made, 65536):
                pass


@contextlib.contextmanager
def refusing_server(files: Files) -> Iterator[int]:
    """Takes the certificates of another authority alone."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(files.certificate, files.key)
    context.load_verify_locations(files.clients)
    context.verify_mode = ssl.CERT_REQUIRED
    listening = socket.create_server(("127.0.0.1", 0))
    stopping = threading.Event()

    def serve() -> None:
        while True:
            plain, _ = listening.accept()
            if stopping.is_set():
                plain.close()
                return
            _turn_away(context, plain)

    thread = threading.Thread(target=serve)
    thread.start()
    address = listening.getsockname()
    try:
        yield address[1]
    finally:
        stopping.set()
        socket.create_connection(address, timeout=WAIT).close()
        thread.join(WAIT)
        listening.close()
        assert not thread.is_alive()


@pytest.fixture(scope="session")
def servers(files: Callable[[str], Files]) -> Iterator[Callable[[str], str]]:
    """Base URL of the server in a situation; each is started once."""
    urls: dict[str, str] = {}
    with contextlib.ExitStack() as running:

        def url(case: str) -> str:
            if case not in urls:
                start = refusing_server if case == "refuses the client" else hypercorn_server
                port = running.enter_context(start(files(case)))
                urls[case] = f"https://{HOST}:{port}"
            return urls[case]

        yield url
