"""Servers over TLS 1.2: the verdict comes before the client's handshake ends, and sessions end as in TLS 1.3."""

import asyncio
import json
import socket
import ssl
import threading
from contextlib import suppress
from typing import Any

import pytest

from dnsbound import Context, Reason
from dnsbound.edge.blocking_server import blocking_server
from dnsbound.edge.handshake_slots import HandshakeOutcome
from dnsbound.testing import Device, Fault, World
from dnsbound.tls.errors import TLSAlertReceived
from machines.doors import (
    LOOPS,
    PATIENCE,
    SERVER,
    Door,
    car,
    dial,
    door,
    ending,
    hang_up,
    in_thread,
    run,
    serving,
    until,
)
from machines.test_server_blocking import eventually, outcomes, talk_to, tell
from machines.test_server_loop import ask
from machines.test_server_loop import tell as tell_stream
from machines.test_server_sessions import Quiet, made

on_every_loop = pytest.mark.parametrize("kind", LOOPS)


@pytest.fixture(autouse=True)
def _forget() -> None:
    made.clear()


def old_door(world: World, **options: Any) -> Door:
    return door(world, profiles=["ca13", "cid07"], **options)


def old(at: Door, device: Device | None, **options: Any) -> Context:
    """A client of TLS 1.2 that says its name to this server in clear."""
    told = {} if device is None else {"profiles": ["cid07"], "clear_name_to": [SERVER]}
    made = at.client(device, **told, **options)
    made.maximum_version = ssl.TLSVersion.TLSv1_2
    return made


@on_every_loop
@pytest.mark.parametrize("raw", [False, True])
def test_a_client_is_told_its_name(kind: str, raw: bool, world: World) -> None:
    device, at = car(world), old_door(world)

    async def main() -> None:
        server = await asyncio.start_server(tell_stream, "127.0.0.1", 0, ssl=at.context)
        async with ending(server):
            port = server.sockets[0].getsockname()[1]
            await ask(*await dial(port, old(at, device, raw_public_key=raw)), device.name)
            await ask(*await dial(port, at.client(device, raw_public_key=raw)), device.name)
        await at.resolver.aclose()

    run(kind, main)
    assert at.reasons == ["admitted", "admitted"]
    assert [decision.protocol for decision in at.decisions] == ["TLSv1.2 cid07", "TLSv1.3 ca13"]
    assert json.loads(json.dumps(at.decisions[0].to_json()))["protocol"] == "TLSv1.2 cid07"


@on_every_loop
def test_a_slow_verdict_holds_the_handshake(kind: str, world: World) -> None:
    """The client's handshake ends with the verdict, not before: what it then writes is read by an admitted session."""
    device, at = car(world), old_door(world)
    world.fault(str(device.name), Fault.SLOW, seconds=0.4)

    async def main() -> float:
        loop = asyncio.get_running_loop()
        server = await asyncio.start_server(tell_stream, "127.0.0.1", 0, ssl=at.context)
        async with ending(server):
            began = loop.time()
            streams = await dial(server.sockets[0].getsockname()[1], old(at, device))
            took = loop.time() - began
            await ask(*streams, device.name)
        await at.resolver.aclose()
        return took

    assert run(kind, main) >= 0.4


@on_every_loop
def test_refused_clients_fail_their_handshake(kind: str, world: World) -> None:
    at = old_door(world)
    stranger = world.organisation("strangers.example").device("car54")
    wrong, gone = car(world, "wrong", publish=False), car(world, "gone")
    car(world, "wrong")
    gone.revoke()

    async def main() -> None:
        async with serving(Quiet, at) as port:
            for device in (stranger, wrong, None, gone):
                with pytest.raises(ssl.SSLError) as refused:
                    await dial(port, old(at, device))
                assert isinstance(refused.value, TLSAlertReceived)
                assert refused.value.alert_received == 40

    run(kind, main)
    assert at.reasons == [Reason.NOT_PERMITTED, Reason.TLSA_MISMATCH, Reason.NO_CREDENTIAL, Reason.NO_TLSA]
    assert made == [], "the application heard of none of them"
    assert outcomes(at) == {HandshakeOutcome.REFUSED: 4}


@on_every_loop
def test_a_verdict_that_never_comes(kind: str, world: World) -> None:
    device, at = car(world), old_door(world, handshake_seconds=1)
    world.fault(str(device.name), Fault.DEAD)

    async def main() -> None:
        async with serving(Quiet, at) as port:
            with pytest.raises(ssl.SSLError):
                await dial(port, old(at, device))

    run(kind, main)
    assert made == []


@on_every_loop
def test_who_gives_up_while_waiting_is_let_go(kind: str, world: World) -> None:
    device, at = car(world), old_door(world)
    world.fault(str(device.name), Fault.SLOW, seconds=1.0)

    async def main() -> None:
        async with serving(Quiet, at) as port:
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(dial(port, old(at, device)), 0.3)
            await until(lambda: sum(at.context.handshake_slots.counts().values()) == 1)

    run(kind, main)
    assert made == []
    assert set(outcomes(at)) <= {HandshakeOutcome.GONE, HandshakeOutcome.REFUSED}


@on_every_loop
def test_a_revoked_name_is_cut(kind: str, world: World) -> None:
    device, other, at = car(world), car(world, "car55"), old_door(world)

    async def main() -> bytes:
        async with serving(Quiet, at) as port:
            reader, writer = await dial(port, old(at, device))
            _, staying = await dial(port, old(at, other))
            await until(lambda: len(made) == 2)
            assert len(at.authenticator.sessions) == 2
            assert device.revoke()
            octets = await reader.read()
            assert not staying.transport.is_closing()
            await hang_up(writer)
            await hang_up(staying)
            await until(lambda: len(at.authenticator.sessions) == 0)
            return octets

    assert run(kind, main) == b""
    [cut] = [protocol for protocol in made if protocol.error is not None]
    assert getattr(cut.later, "reason", None) is Reason.NO_TLSA
    assert at.decisions[-1].protocol == "TLSv1.2 cid07"


def test_threads(world: World) -> None:
    device, at = car(world), old_door(world)
    stranger = world.organisation("strangers.example").device("car54")
    with in_thread(blocking_server(tell, "127.0.0.1", 0, context=at.context)) as port:
        with talk_to(port, old(at, device)) as tls:
            assert tls.version() == "TLSv1.2"
            assert tls.recv(4096) == f"{device.name}\n".encode()
            tls.sendall(b"ping")
            assert tls.recv(4096) == b"ping"
        with pytest.raises(TLSAlertReceived) as refused:
            talk_to(port, old(at, stranger))
        assert refused.value.alert_received == 40
        eventually(lambda: len(at.decisions) == 2)
    assert at.reasons == ["admitted", Reason.NOT_PERMITTED]


def test_threads_cut_a_revoked_name(world: World) -> None:
    device, at = car(world), old_door(world)
    with (
        in_thread(blocking_server(tell, "127.0.0.1", 0, context=at.context)) as port,
        talk_to(port, old(at, device)) as tls,
    ):
        assert tls.recv(4096) == f"{device.name}\n".encode()
        assert device.revoke()
        tls.settimeout(PATIENCE)
        with suppress(OSError):
            assert tls.recv(4096) == b""
        eventually(lambda: len(at.authenticator.sessions) == 0)
    assert at.decisions[-1].reason is Reason.NO_TLSA


def test_a_wrapped_socket_judges_in_the_handshake(world: World) -> None:
    """SSLSocket of a server, in the thread that serves it."""
    device, at = car(world), old_door(world)
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def accept() -> None:
            plain, _ = listener.accept()
            with at.context.wrap_socket(plain, server_side=True) as tls:
                tls.sendall(f"{tls.verified_peer().name}\n".encode())  # type: ignore[attr-defined]

        thread = threading.Thread(target=accept)
        thread.start()
        with talk_to(listener.getsockname()[1], old(at, device)) as tls:
            assert tls.recv(4096) == f"{device.name}\n".encode()
        thread.join(PATIENCE)
        assert not thread.is_alive()
