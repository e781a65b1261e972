"""Every public way to serve clients of a door, each as a context manager that yields a port.

What reached the application is in `served`: the peer it was told of, and what it read. A way that lets no client in
whatever happens (a stock event loop, a caller that brings no verdict) is here too.
"""

import asyncio
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from functools import partial
from typing import Any

import dnsbound
from dnsbound.edge.blocking_server import blocking_server
from dnsbound.edge.datagram_blocking import blocking_datagram_server
from dnsbound.edge.server_protocol import ServerProtocol
from dnsbound.testing.background_loop import BackgroundLoop
from machines.doors import PATIENCE, Door, ended, in_thread

GREETING = b"welcome\n"

Served = list[tuple[str | None, bytes]]
Way = Callable[[Door, Served], AbstractContextManager[int]]


async def greet(served: Served, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    peer = dnsbound.verified_peer()
    writer.write(GREETING)
    with suppress(OSError):
        served.append((None if peer is None else str(peer.name), await reader.read(1000)))
    writer.close()


@contextmanager
def on_loop(factory: Callable[[], asyncio.AbstractEventLoop], listen: Callable[[], Any], at: Door) -> Iterator[int]:
    """Run a server on a loop of this kind, on a thread."""
    ports: list[int] = []
    ready, stop = threading.Event(), asyncio.Event()
    loop = factory()

    async def serve() -> None:
        server = await listen()
        ports.append(server.sockets[0].getsockname()[1])
        ready.set()
        await stop.wait()
        await ended(server)
        await at.resolver.aclose()

    def run() -> None:
        with asyncio.Runner(loop_factory=lambda: loop) as runner:
            runner.run(serve())

    thread = threading.Thread(target=run)
    thread.start()
    try:
        assert ready.wait(PATIENCE)
        yield ports[0]
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join(PATIENCE)
        assert not thread.is_alive()


def start_server(at: Door, served: Served) -> AbstractContextManager[int]:
    """`dnsbound.start_server` on whatever loop there is."""
    listen = partial(dnsbound.start_server, partial(greet, served), "127.0.0.1", 0, context=at.context)
    return on_loop(asyncio.new_event_loop, listen, at)


def loop_server(kind: str, at: Door, served: Served) -> AbstractContextManager[int]:
    """`asyncio.start_server(ssl=...)` on a loop of ours."""
    listen = partial(asyncio.start_server, partial(greet, served), "127.0.0.1", 0, ssl=at.context)
    return on_loop(partial(dnsbound.loop_factory, kind), listen, at)  # type: ignore[arg-type]


def stock_loop(at: Door, served: Served) -> AbstractContextManager[int]:
    """The same on a stock loop, which cannot wait for a verdict."""
    listen = partial(asyncio.start_server, partial(greet, served), "127.0.0.1", 0, ssl=at.context)
    return on_loop(asyncio.new_event_loop, listen, at)


def upgraded(at: Door, served: Served) -> AbstractContextManager[int]:
    """`loop.start_tls(server_side=True)` on a connection that exists; here with nothing said in clear before."""

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            await writer.start_tls(at.context)
            await greet(served, reader, writer)
        writer.close()

    listen = partial(asyncio.start_server, connected, "127.0.0.1", 0)
    return on_loop(partial(dnsbound.loop_factory, "asyncio"), listen, at)


def protocol_server(at: Door, served: Served) -> AbstractContextManager[int]:
    """The protocol itself, over `create_server`."""

    def streams() -> asyncio.StreamReaderProtocol:
        return asyncio.StreamReaderProtocol(asyncio.StreamReader(), partial(greet, served))

    async def listen() -> Any:
        loop = asyncio.get_running_loop()
        return await loop.create_server(lambda: ServerProtocol(loop, at.context, streams), "127.0.0.1", 0)

    return on_loop(asyncio.new_event_loop, listen, at)


@contextmanager
def threads(at: Door, served: Served) -> Iterator[int]:
    """`blocking_server`, and with it VerifiedPeerMixIn."""

    def handle(tls: ssl.SSLSocket) -> None:
        peer = dnsbound.verified_peer()
        tls.sendall(GREETING)
        with suppress(OSError):
            served.append((None if peer is None else str(peer.name), tls.recv(1000)))

    with in_thread(blocking_server(handle, "127.0.0.1", 0, context=at.context)) as port:
        yield port


@contextmanager
def wrapped_socket(at: Door, served: Served, *, serve: Callable[[Door, Served, socket.socket], None]) -> Iterator[int]:
    """A thread that accepts one connection after another and serves each by `serve`."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        stop = threading.Event()

        def run() -> None:
            while not stop.is_set():
                with suppress(TimeoutError):
                    plain, _ = listener.accept()
                    plain.settimeout(PATIENCE)
                    with plain:
                        serve(at, served, plain)

        listener.settimeout(0.05)
        thread = threading.Thread(target=run)
        thread.start()
        try:
            yield listener.getsockname()[1]
        finally:
            stop.set()
            thread.join(PATIENCE)
            assert not thread.is_alive()


def by_wrap_socket(at: Door, served: Served, plain: socket.socket) -> None:
    """`Context.wrap_socket(server_side=True)`, whose handshake asks the authenticator itself."""
    with suppress(OSError), at.context.wrap_socket(plain, server_side=True) as tls:
        peer = tls.verified_peer()
        tls.sendall(GREETING)
        served.append((None if peer is None else str(peer.name), tls.recv(1000)))


def without_verdict(at: Door, served: Served, plain: socket.socket) -> None:
    """`Context.accept` by a caller that takes the end of the handshake for leave to go on, whatever is raised."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = at.context.accept(incoming, outgoing, source="192.0.2.1")
    with suppress(OSError):
        while octets := plain.recv(65_536):
            incoming.write(octets)
            for step in (tls.do_handshake, lambda: tls.write(GREETING), lambda: served.append((None, tls.read(1000)))):
                with suppress(OSError, dnsbound.DnsboundError):
                    step()
            plain.sendall(outgoing.read())
            if tls.pending_claim is not None:
                return


WAYS: dict[str, Way] = {
    "start_server": start_server,
    "loop_factory asyncio": partial(loop_server, "asyncio"),
    "loop_factory uvloop": partial(loop_server, "uvloop"),
    "start_tls": upgraded,
    "ServerProtocol": protocol_server,
    "blocking_server": threads,
    "wrap_socket": partial(wrapped_socket, serve=by_wrap_socket),
}
"""Ways that let a good client in."""

SHUT: dict[str, Way] = {
    "a stock loop": stock_loop,
    "accept without a verdict": partial(wrapped_socket, serve=without_verdict),
}
"""Ways that let nobody in."""


# --- over datagrams


@contextmanager
def datagram_server(at: Door, served: Served) -> Iterator[tuple[str, int]]:
    """`dnsbound.start_datagram_server`."""

    async def handle(connection: Any) -> None:
        peer = dnsbound.verified_peer()
        connection.send(GREETING)
        with suppress(OSError):
            served.append((None if peer is None else str(peer.name), await connection.receive()))

    with BackgroundLoop("datagrams") as loop:
        server = loop.run(dnsbound.start_datagram_server(handle, "127.0.0.1", 0, context=at.context))
        yield server.address
        loop.run(_closed(server))


async def _closed(server: Any) -> None:
    server.close()
    await server.wait_closed()


@contextmanager
def datagram_threads(at: Door, served: Served) -> Iterator[tuple[str, int]]:
    """`blocking_datagram_server`."""

    def handle(connection: Any) -> None:
        peer = dnsbound.verified_peer()
        connection.send(GREETING)
        with suppress(OSError):
            served.append((None if peer is None else str(peer.name), connection.receive(PATIENCE)))

    server = blocking_datagram_server(handle, "127.0.0.1", 0, context=at.context)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield server.server_address
    finally:
        server.shutdown()
        thread.join(PATIENCE)
        assert not thread.is_alive()


DATAGRAM_WAYS: dict[str, Callable[[Door, Served], AbstractContextManager[tuple[str, int]]]] = {
    "start_datagram_server": datagram_server,
    "blocking_datagram_server": datagram_threads,
}
