"""The seam: which servers a loop of ours makes wait for a verdict, and that all others are left alone."""

import asyncio
import logging
import socket
import ssl
from pathlib import Path
from typing import Any

import pytest
import uvloop

import dnsbound
from dnsbound import Misuse, Reason, start_server, verified_peer
from dnsbound.edge.upgrade import PlaintextBeforeTLS
from dnsbound.testing import Fault, World
from dnsbound.tls.errors import TLSAlertReceived, TLSRefused
from machines.doors import LOOPS, SERVER, Door, car, dial, door, ending, hang_up, run, until

STOCK = {"asyncio": asyncio.SelectorEventLoop, "uvloop": uvloop.new_event_loop}


async def tell(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Say who the client is, then what it said."""
    peer = verified_peer()
    assert peer is not None
    assert writer.get_extra_info("verified_peer") is peer
    writer.write(f"{peer.name}\n".encode())
    writer.write(await reader.readline())
    await hang_up(writer)


async def ask(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, name: object) -> None:
    writer.write(b"ping\n")
    assert await reader.readline() == f"{name}\n".encode()
    assert await reader.readline() == b"ping\n"
    assert await reader.read() == b""
    await hang_up(writer)


def stream_protocol(loop: asyncio.AbstractEventLoop) -> asyncio.StreamReaderProtocol:
    return asyncio.StreamReaderProtocol(asyncio.StreamReader(loop=loop), tell, loop=loop)


def test_which_loop() -> None:
    """`auto` is uvloop, which is installed here; each is a subclass of the loop it stands for."""
    for kind, base in (("asyncio", asyncio.SelectorEventLoop), ("uvloop", uvloop.Loop), ("auto", uvloop.Loop)):
        loop = dnsbound.loop_factory(kind)
        assert isinstance(loop, base)
        loop.close()


@pytest.mark.parametrize("kind", LOOPS)
@pytest.mark.parametrize("unix", [False, True], ids=["tcp", "unix"])
def test_who_connects_to_a_listener_is_not_the_client_for_whom_it_was_opened(
    kind: str, unix: bool, world: World, tmp_path: Path
) -> None:
    device, at = car(world), door(world)
    seen: list[type[Exception]] = []

    async def stranger(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with pytest.raises(Misuse) as caught:
            verified_peer()
        seen.append(caught.type)
        await hang_up(writer)

    async def tell_where(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        path = str(tmp_path / "listener")
        if unix:
            opened = await asyncio.start_unix_server(stranger, path)
            reader, other = await asyncio.open_unix_connection(path)
        else:
            opened = await asyncio.start_server(stranger, "127.0.0.1", 0)
            reader, other = await asyncio.open_connection(*opened.sockets[0].getsockname()[:2])
        assert await reader.read() == b""
        await hang_up(other)
        opened.close()
        peer = verified_peer()
        assert peer is not None, "and the client is still who it is"
        writer.write(f"{peer.name}\n".encode())
        await hang_up(writer)

    async def main() -> None:
        server = await asyncio.start_server(tell_where, "127.0.0.1", 0, ssl=at.context)
        async with ending(server):
            reader, writer = await dial(server.sockets[0].getsockname()[1], at.client(device))
            assert await reader.readline() == f"{device.name}\n".encode()
            await hang_up(writer)

    run(kind, main)
    at.resolver.close()
    assert seen == [Misuse]


@pytest.mark.parametrize("kind", LOOPS)
def test_asyncio_start_server(kind: str, world: World) -> None:
    device, at = car(world), door(world)

    async def main() -> None:
        server = await asyncio.start_server(tell, "127.0.0.1", 0, ssl=at.context)
        async with ending(server):
            await ask(*await dial(server.sockets[0].getsockname()[1], at.client(device)), device.name)
        await at.resolver.aclose()

    run(kind, main)


@pytest.mark.parametrize("kind", LOOPS)
def test_unix_server(kind: str, world: World, tmp_path: Path) -> None:
    device, at = car(world), door(world)
    path = str(tmp_path / "door")

    async def main() -> None:
        server = await asyncio.start_unix_server(tell, path, ssl=at.context)
        async with ending(server):
            client = await asyncio.open_unix_connection(path, ssl=at.client(device), server_hostname=SERVER)
            await ask(*client, device.name)
        await at.resolver.aclose()

    run(kind, main)
    assert at.decisions[0].source == ""


@pytest.mark.parametrize("kind", LOOPS)
def test_connect_accepted_socket(kind: str, world: World) -> None:
    """Returns on admission; raises what the client was refused with."""
    device, at = car(world), door(world)
    stranger = world.organisation("strangers.example").device("car54")

    async def main() -> None:
        loop = asyncio.get_running_loop()
        listener = socket.create_server(("127.0.0.1", 0))
        listener.setblocking(False)
        with listener:
            for client, admitted in ((device, True), (stranger, False)):
                dialing = asyncio.ensure_future(dial(listener.getsockname()[1], at.client(client)))
                accepted, _ = await loop.sock_accept(listener)
                accepting = asyncio.ensure_future(
                    loop.connect_accepted_socket(lambda: stream_protocol(loop), accepted, ssl=at.context)
                )
                if admitted:
                    transport, protocol = await accepting
                    assert str(transport.get_extra_info("verified_peer").name) == str(device.name)
                    assert isinstance(protocol, asyncio.StreamReaderProtocol)
                    await ask(*await dialing, device.name)
                    continue
                reader, writer = await dialing
                with pytest.raises(TLSAlertReceived):
                    await reader.read()
                await hang_up(writer)
                with pytest.raises(TLSRefused) as refused:
                    await accepting
                assert refused.value.reason is Reason.NOT_PERMITTED
        await at.resolver.aclose()

    run(kind, main)


async def upgrading(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, at: Door, errors: list[Any]) -> None:
    """A server that starts TLS in the middle, by asyncio's own means."""
    assert await reader.readline() == b"STARTTLS\n"
    with pytest.raises(Misuse):
        verified_peer()
    writer.write(b"GO\n")
    await writer.drain()
    try:
        await writer.start_tls(at.context)
    except OSError as error:
        errors.append(error)
        await hang_up(writer)
        return
    await tell(reader, writer)


@pytest.mark.parametrize("kind", LOOPS)
def test_start_tls(kind: str, world: World) -> None:
    """STARTTLS with a verdict that takes its time; the client's first octets come with its handshake."""
    device, at = car(world), door(world)
    stranger = world.organisation("strangers.example").device("car54")
    world.fault(str(device.name), Fault.SLOW, seconds=0.2)
    errors: list[Any] = []

    async def begin(port: int, client: ssl.SSLContext) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"STARTTLS\n")
        assert await reader.readline() == b"GO\n"
        await writer.start_tls(client, server_hostname=SERVER)
        return reader, writer

    async def main() -> None:
        server = await asyncio.start_server(lambda r, w: upgrading(r, w, at, errors), "127.0.0.1", 0)
        async with ending(server):
            port = server.sockets[0].getsockname()[1]
            await ask(*await begin(port, at.client(device)), device.name)
            reader, writer = await begin(port, at.client(stranger))
            with pytest.raises(TLSAlertReceived):
                await reader.read()
            await hang_up(writer)
            await until(lambda: bool(errors))
        await at.resolver.aclose()

    run(kind, main)
    assert [error.reason for error in errors] == [Reason.NOT_PERMITTED]


@pytest.mark.parametrize("kind", LOOPS)
def test_octets_before_tls_are_not_taken_for_protected_ones(kind: str, world: World) -> None:
    """STARTTLS injection (CVE-2011-0411): the connection ends."""
    at = door(world)
    errors: list[Any] = []

    async def main() -> bytes:
        server = await asyncio.start_server(lambda r, w: upgrading(r, w, at, errors), "127.0.0.1", 0)
        async with ending(server):
            reader, writer = await asyncio.open_connection("127.0.0.1", server.sockets[0].getsockname()[1])
            writer.write(b"STARTTLS\nMAIL FROM:<attacker@example>\n")
            answer = await reader.read()
            await hang_up(writer)
            return answer

    assert run(kind, main) == b"GO\n"
    assert [type(error) for error in errors] == [PlaintextBeforeTLS]
    assert isinstance(errors[0], ssl.SSLError)


@pytest.mark.parametrize("kind", LOOPS)
def test_other_servers_pass_through(kind: str, world: World, tmp_path: Path) -> None:
    """Plain servers, the standard library's contexts, and upgrades as a client, on the same loop."""
    pem = tmp_path / "server.pem"
    pem.write_bytes(world.web_credential(SERVER).to_pem())
    stock = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    stock.load_cert_chain(pem)
    client = ssl.create_default_context(cadata=world.web_root_pem.decode())

    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with pytest.raises(Misuse):
            verified_peer()
        writer.write(await reader.readline())
        await hang_up(writer)

    async def main() -> None:
        for context, options in (
            (None, {}),
            (stock, {}),
            (stock, {"ssl_handshake_timeout": 5.0, "ssl_shutdown_timeout": 5.0}),
        ):
            server = await asyncio.start_server(echo, "127.0.0.1", 0, ssl=context, **options)
            async with ending(server):
                reader, writer = await asyncio.open_connection(
                    "127.0.0.1",
                    server.sockets[0].getsockname()[1],
                    ssl=client if context else None,
                    server_hostname=SERVER if context else None,
                )
                assert (type(writer.transport).__module__ == "dnsbound.edge.server_transport") is False
                writer.write(b"ping\n")
                assert await reader.readline() == b"ping\n"
                await hang_up(writer)
        with pytest.raises(ValueError, match="ssl_handshake_timeout"):
            await asyncio.start_server(echo, "127.0.0.1", 0, ssl_handshake_timeout=5.0)

    run(kind, main)


@pytest.mark.parametrize("kind", LOOPS)
def test_start_server_needs_no_loop_of_ours(kind: str, world: World) -> None:
    device, at = car(world), door(world)
    world.fault(str(device.name), Fault.SLOW, seconds=0.2)

    async def main() -> None:
        server = await start_server(tell, "127.0.0.1", 0, context=at.context)
        async with ending(server):
            await ask(*await dial(server.sockets[0].getsockname()[1], at.client(device)), device.name)
        with pytest.raises(Misuse):
            await start_server(tell, "127.0.0.1", 0, context=at.client(device))
        await at.resolver.aclose()

    run(kind, main, factory=STOCK[kind])


# asyncio itself forgets to close the socket of a connection whose context raises.
@pytest.mark.filterwarnings("ignore:.*unclosed <socket:ResourceWarning")
@pytest.mark.filterwarnings("ignore:Exception ignored in. <socket:pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("kind", LOOPS)
def test_a_stock_loop_refuses_and_says_why_once(kind: str, world: World, caplog: pytest.LogCaptureFixture) -> None:
    device, at = car(world), door(world)
    served: list[Any] = []

    async def main() -> None:
        asyncio.get_running_loop().set_exception_handler(lambda _, context: None)
        server = await asyncio.start_server(lambda r, w: served.append(w), "127.0.0.1", 0, ssl=at.context)
        async with ending(server):
            for _ in range(2):
                with pytest.raises(OSError):  # noqa: PT011 (a reset, or an end in the middle of the handshake)
                    await dial(server.sockets[0].getsockname()[1], at.client(device))

    with caplog.at_level(logging.ERROR, logger="dnsbound"):
        run(kind, main, factory=STOCK[kind])
    said = [record.getMessage() for record in caplog.records if record.name.startswith("dnsbound")]
    assert len(said) == 1
    assert "loop_factory" in said[0]
    assert served == []
    assert at.decisions == []
