"""Streams of asyncio and uvloop: upgrades in the middle of a connection, TLS inside TLS, ordinary servers of ours."""

import asyncio
import contextlib
import select
import socket
import ssl
import threading
import urllib.parse
from collections.abc import Callable, Iterator

import httpx
import pytest
import urllib3
import uvloop

from dnsbound.edge.context import Context
from dnsbound.tls.errors import TLSCertificateRefused, TLSMisuse
from interop.python_clients.conftest import HOST, WAIT, Files, in_thread
from machines.native_pairs import authority
from machines.shim_pairs import door, stock_client

LOOPS: dict[str, Callable[[], asyncio.AbstractEventLoop]] = {
    "asyncio": asyncio.new_event_loop,
    "uvloop": uvloop.new_event_loop,
}


@pytest.fixture(params=sorted(LOOPS))
def runner(request: pytest.FixtureRequest) -> Iterator[asyncio.Runner]:
    with asyncio.Runner(loop_factory=LOOPS[request.param]) as made:
        yield made


def trusting() -> Context:
    context = Context.client()
    context.load_verify_locations(cadata=authority().chain[0])
    return context


@contextlib.contextmanager
def upgrading_server(files: Files) -> Iterator[int]:
    """Speaks in clear until STARTTLS, then echoes lines."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(files.certificate, files.key)

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        assert await reader.readline() == b"STARTTLS\n"
        writer.write(b"go\n")
        await writer.drain()
        with contextlib.suppress(OSError):
            await writer.start_tls(context)
            while line := await reader.readline():
                writer.write(b"echo " + line)
                await writer.drain()
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()

    async def run(listening: socket.socket, stop: asyncio.Event) -> None:
        async with await asyncio.start_server(talk, sock=listening.dup()):
            await stop.wait()

    with in_thread(run) as port:
        yield port


async def upgrade(port: int, host: str) -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"STARTTLS\n")
    assert await reader.readline() == b"go\n"
    try:
        await writer.start_tls(trusting(), server_hostname=host)
        writer.write(b"hello\n")
        return await asyncio.wait_for(reader.readline(), WAIT)
    finally:
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()


def test_upgrade(runner: asyncio.Runner, files: Callable[[str], Files]) -> None:
    with upgrading_server(files("good")) as port:
        assert runner.run(upgrade(port, HOST)) == b"echo hello\n"
        with pytest.raises(TLSCertificateRefused):
            runner.run(upgrade(port, "other.example"))


def test_ordinary_server_of_ours_on_a_stock_loop(runner: asyncio.Runner, files: Callable[[str], Files]) -> None:
    """A Context without a door is an SSLContext like any other, for servers too."""
    its = files("good")
    context = Context(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(its.certificate, its.key)

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"echo " + await reader.readline())
        await writer.drain()
        writer.close()
        await writer.wait_closed()

    async def work() -> bytes:
        async with await asyncio.start_server(talk, "127.0.0.1", 0, ssl=context) as server:
            port = server.sockets[0].getsockname()[1]
            reader, writer = await asyncio.open_connection(HOST, port, ssl=stock_client())
            writer.write(b"hello\n")
            answer = await asyncio.wait_for(reader.read(), WAIT)
            writer.close()
            await writer.wait_closed()
            return answer

    assert runner.run(work()) == b"echo hello\n"


def test_door_on_a_stock_loop_refuses_everyone(runner: asyncio.Runner, caplog: pytest.LogCaptureFixture) -> None:
    async def work() -> None:
        async with await asyncio.start_server(lambda *_: None, "127.0.0.1", 0, ssl=door()) as server:
            port = server.sockets[0].getsockname()[1]
            for _ in range(3):
                with pytest.raises(OSError):  # noqa: PT011 (closed without a word)
                    await asyncio.open_connection(HOST, port, ssl=trusting())

    runner.run(work())
    said = [record for record in caplog.records if record.name == "dnsbound.context"]
    assert [record.levelname for record in said] == ["ERROR"]


class Proxy:
    """An HTTPS proxy on the standard library's TLS: CONNECT, then octets both ways."""

    def __init__(self, files: Files) -> None:
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.load_cert_chain(files.certificate, files.key)
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port = self._listening.getsockname()[1]
        self.asked: list[bytes] = []
        self._thread = threading.Thread(target=self._accept)
        self._thread.start()

    def _accept(self) -> None:
        plain, _ = self._listening.accept()
        plain.settimeout(WAIT)
        with contextlib.suppress(OSError), self._context.wrap_socket(plain, server_side=True) as near:
            head = b""
            while b"\r\n\r\n" not in head:
                head += near.recv(65536)
            self.asked.append(head.split(b"\r\n", 1)[0])
            host, port = head.split()[1].decode().rsplit(":", 1)
            with socket.create_connection((host, int(port)), timeout=WAIT) as far:
                near.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
                self._relay(near, far)

    @staticmethod
    def _relay(near: ssl.SSLSocket, far: socket.socket) -> None:
        """In one thread: the standard library's TLS must not be read and written by two at once."""
        while True:
            ready = [near] if near.pending() else select.select([near, far], [], [], WAIT)[0]
            for source, target in ((near, far), (far, near)):
                if source in ready:
                    octets = source.recv(65536)
                    if not octets:
                        return
                    target.sendall(octets)
            if not ready:
                return

    def close(self) -> None:
        self._thread.join(WAIT)
        self._listening.close()
        assert not self._thread.is_alive()


@pytest.fixture
def proxy(files: Callable[[str], Files]) -> Iterator[Proxy]:
    made = Proxy(files("good"))
    yield made
    made.close()


def test_tls_in_tls_of_urllib3(context: Context, servers: Callable[[str], str], proxy: Proxy) -> None:
    url = servers("good")
    with urllib3.ProxyManager(
        f"https://{HOST}:{proxy.port}", proxy_ssl_context=trusting(), ssl_context=context, retries=False
    ) as manager:
        assert len(manager.request("GET", f"{url}/large/200000").data) == 200_000
    assert [line.split()[:2] for line in proxy.asked] == [[b"CONNECT", urllib.parse.urlsplit(url).netloc.encode()]]


@pytest.mark.parametrize("http2", [False, True])
def test_tls_in_tls_of_httpx(context: Context, servers: Callable[[str], str], proxy: Proxy, http2: bool) -> None:
    through = httpx.Proxy(f"https://{HOST}:{proxy.port}", ssl_context=trusting())
    with httpx.Client(verify=context, proxy=through, http2=http2) as client:
        reply = client.get(f"{servers('good')}/large/200000")
        assert len(reply.content) == 200_000
        assert reply.http_version == ("HTTP/2" if http2 else "HTTP/1.1")


def test_session_objects_are_not_the_standard_librarys(servers: Callable[[str], str]) -> None:
    port = int(servers("good").rsplit(":", 1)[1])
    stock = ssl.create_default_context()
    with socket.create_connection((HOST, port), timeout=WAIT) as plain, pytest.raises(TLSMisuse):
        trusting().wrap_socket(plain, server_hostname=HOST, session=stock)
