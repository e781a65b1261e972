"""aiohttp and websockets, unmodified, and aiosmtpd through its adapter, on both loops."""

import asyncio
import io
import logging
import smtplib
import socket
import ssl
import threading
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import aiohttp
import aiohttp.web
import aiosmtpd.smtp
import pytest
import websockets
import websockets.asyncio.server
from aiosmtpd.controller import Controller, UnthreadedController

from dnsbound import Misuse, Reason, loop_factory, verified_peer
from dnsbound.adapters.aiosmtpd import SMTP
from dnsbound.testing import Device, Fault, World
from machines.doors import LOOPS, PATIENCE, SERVER, Door, car, door, run

pytestmark = pytest.mark.parametrize("kind", LOOPS)


def strangers_car(world: World) -> Device:
    return world.organisation("strangers.example").device("car54")


# --- aiohttp


async def with_aiohttp(at: Door, ask: Callable[[int], Coroutine[Any, Any, None]]) -> None:
    async def handle(request: aiohttp.web.Request) -> aiohttp.web.StreamResponse:
        peer = verified_peer()
        assert peer is not None
        assert request.transport is not None
        assert request.transport.get_extra_info("verified_peer") is peer
        assert request.secure
        if request.path == "/socket":
            answering = aiohttp.web.WebSocketResponse()
            await answering.prepare(request)
            async for message in answering:
                await answering.send_str(f"{peer.name} said {message.data}")
            return answering
        return aiohttp.web.Response(text=f"{peer.name} sent {len(await request.read())}")

    app = aiohttp.web.Application(client_max_size=10_000_000)
    app.router.add_route("*", "/{path:.*}", handle)
    runner = aiohttp.web.AppRunner(app, access_log=None)
    await runner.setup()
    try:
        site = aiohttp.web.TCPSite(runner, "127.0.0.1", 0, ssl_context=at.context)
        await site.start()
        await ask(runner.addresses[0][1])
    finally:
        await runner.cleanup()
        await at.resolver.aclose()


def test_aiohttp(kind: str, world: World) -> None:
    """Kept-alive requests, a large upload, a websocket."""
    device, at = car(world), door(world)
    world.fault(str(device.name), Fault.SLOW, seconds=0.2)

    async def ask(port: int) -> None:
        connector = aiohttp.TCPConnector(ssl=at.client(device))
        async with aiohttp.ClientSession(f"https://{SERVER}:{port}", connector=connector) as session:
            for size in (0, 10, 3_000_000):
                async with session.post("/", data=io.BytesIO(bytes(size))) as answer:
                    assert await answer.text() == f"{device.name} sent {size}"
            async with session.ws_connect("/socket") as talking:
                await talking.send_str("hello")
                assert await talking.receive_str() == f"{device.name} said hello"

    run(kind, lambda: with_aiohttp(at, ask))
    assert set(at.reasons) == {"admitted"}


def test_aiohttp_refuses(kind: str, world: World) -> None:
    at = door(world)

    async def ask(port: int) -> None:
        connector = aiohttp.TCPConnector(ssl=at.client(strangers_car(world)))
        async with aiohttp.ClientSession(connector=connector) as session:
            with pytest.raises((aiohttp.ClientOSError, aiohttp.ServerDisconnectedError)):
                await session.get(f"https://{SERVER}:{port}/")

    run(kind, lambda: with_aiohttp(at, ask))
    assert set(at.reasons) == {Reason.NOT_PERMITTED}


# --- websockets


def test_websockets(kind: str, world: World) -> None:
    """Two devices at once on one server, and one that is refused."""
    devices, at = [car(world, "car54"), car(world, "car55")], door(world)

    async def handle(connection: websockets.asyncio.server.ServerConnection) -> None:
        async for message in connection:
            peer = verified_peer()
            assert peer is not None
            assert connection.transport.get_extra_info("verified_peer") is peer
            await connection.send(f"{peer.name} said {message!r}")

    async def talk(port: int, device: Device) -> None:
        async with websockets.connect(f"wss://{SERVER}:{port}", ssl=at.client(device)) as connection:
            for number in range(5):
                await connection.send(str(number))
                assert await connection.recv() == f"{device.name} said '{number}'"

    async def main() -> None:
        async with websockets.serve(handle, "127.0.0.1", 0, ssl=at.context) as server:
            port = next(iter(server.sockets)).getsockname()[1]
            await asyncio.gather(*(talk(port, device) for device in devices))
            with pytest.raises((ssl.SSLError, websockets.WebSocketException)):
                await talk(port, strangers_car(world))
        await at.resolver.aclose()

    run(kind, main)
    assert sorted(at.reasons) == sorted(["admitted", "admitted", Reason.NOT_PERMITTED])


# --- aiosmtpd


class Mailbox:
    """aiosmtpd's handler: keeps each message with who brought it."""

    def __init__(self) -> None:
        self.got: list[tuple[str, bytes]] = []
        self.before_tls: list[bool] = []
        self.brought_by: list[Any] = []

    async def handle_EHLO(  # noqa: N802 (aiosmtpd's form)
        self, server: Any, session: Any, envelope: Any, hostname: str, responses: Any
    ) -> Any:
        if server.transport.get_extra_info("sslcontext") is None:
            with pytest.raises(Misuse):
                verified_peer()
            self.before_tls.append(hasattr(session, "verified_peer"))
        session.host_name = hostname
        return responses

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:  # noqa: N802 (as above)
        peer = verified_peer()
        assert peer is not None
        assert server.transport.get_extra_info("verified_peer") is peer
        self.brought_by.append(getattr(session, "verified_peer", None))
        self.got.append((str(peer.name), envelope.content))
        return "250 OK"


class StartTls(Controller):
    """aiosmtpd's controller with the adapter's SMTP, on a loop of the test's choosing."""

    def __init__(self, handler: Any, at: Door, loop: asyncio.AbstractEventLoop) -> None:
        self._at = at
        super().__init__(handler, loop=loop, hostname="127.0.0.1", port=_free_port())

    def factory(self) -> SMTP:
        return SMTP(self.handler, tls_context=self._at.context, require_starttls=True, hostname=SERVER, loop=self.loop)


def _free_port() -> int:
    """aiosmtpd connects to its own port to see that it runs, so it must know the number beforehand."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


def send(client: smtplib.SMTP) -> None:
    client.sendmail("car54@cars.example", ["desk@example"], b"Subject: a report\r\n\r\nAll well.\r\n")


@pytest.mark.filterwarnings("ignore:Requiring AUTH")
def test_aiosmtpd_starttls(kind: str, world: World, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    device, at = car(world), door(world)
    world.fault(str(device.name), Fault.SLOW, seconds=0.2)
    mailbox = Mailbox()
    controller = StartTls(mailbox, at, loop_factory(kind))  # type: ignore[arg-type]
    controller.start()
    try:
        with smtplib.SMTP("127.0.0.1", controller.port, timeout=PATIENCE) as client:
            client._host = SERVER  # type: ignore[attr-defined]  # what starttls checks the certificate for
            client.ehlo()
            assert client.docmd("MAIL FROM:<car54@cars.example>")[0] == 530
            assert client.starttls(context=at.client(device))[0] == 220
            send(client)
        # A stranger is refused in the TLS handshake, and sees why its connection ends.
        client = smtplib.SMTP("127.0.0.1", controller.port, timeout=PATIENCE)
        client._host = SERVER  # type: ignore[attr-defined]
        client.starttls(context=at.client(strangers_car(world)))
        with pytest.raises((smtplib.SMTPServerDisconnected, ssl.SSLError)):
            client.ehlo()
        client.close()
    finally:
        controller.stop()
    assert [name for name, _ in mailbox.got] == [str(device.name)]
    assert b"All well." in mailbox.got[0][1]
    assert [str(peer.name) for peer in mailbox.brought_by] == [str(device.name)]
    assert True not in mailbox.before_tls
    assert sorted(at.reasons) == sorted(["admitted", Reason.NOT_PERMITTED])
    assert [record for record in caplog.records if record.levelno >= logging.ERROR] == []


class Plainly(UnthreadedController):
    """aiosmtpd's threaded controller would dial itself first, with a client that no door lets in."""

    def factory(self) -> aiosmtpd.smtp.SMTP:
        return aiosmtpd.smtp.SMTP(self.handler, hostname=SERVER, loop=self.loop)


def test_aiosmtpd_with_tls_from_the_start(kind: str, world: World) -> None:
    """No adapter: the loop is enough."""
    device, at = car(world), door(world)
    mailbox = Mailbox()
    loop = loop_factory(kind)  # type: ignore[arg-type]
    controller = Plainly(mailbox, loop=loop, hostname="127.0.0.1", port=_free_port(), ssl_context=at.context)
    controller.begin()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    try:
        with smtplib.SMTP_SSL(SERVER, controller.port, context=at.client(device), timeout=PATIENCE) as client:
            send(client)
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join(PATIENCE)
        controller.end()
        loop.run_until_complete(at.resolver.aclose())
        loop.close()
    assert [name for name, _ in mailbox.got] == [str(device.name)]
