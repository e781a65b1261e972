"""DTLS for programs without an event loop: threads and blocking sockets."""

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from dnsbound import Misuse, Reason, Refused, verified_peer
from dnsbound.edge.association_table import DatagramLimits
from dnsbound.edge.datagram_blocking import (
    BlockingDatagramServer,
    ServedBlocking,
    blocking_datagram_server,
    open_datagram_connection_blocking,
)
from dnsbound.testing import World
from dnsbound.tls.errors import TLSAlertReceived
from dnsbound.verify.claim import Claim
from dnsbound.verify.peer import VerifiedPeer
from machines.doors import SERVER, Door, car, door

PATIENCE = 10.0


@contextmanager
def serving(at: Door, handle: Callable[[ServedBlocking], None], **options: Any) -> Iterator[BlockingDatagramServer]:
    server = blocking_datagram_server(handle, "127.0.0.1", 0, context=at.context, **options)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        thread.join(PATIENCE)
        assert not thread.is_alive()
        at.resolver.close()


def dial(server: BlockingDatagramServer, at: Door, device: Any, **options: Any) -> Any:
    context = at.client(device, datagram=True, clear_name_to=[SERVER])
    return open_datagram_connection_blocking(
        "127.0.0.1", server.server_address[1], context=context, server_hostname=SERVER, **options
    )


def echo(connection: ServedBlocking) -> None:
    while message := connection.receive(PATIENCE):
        connection.send(message.upper())


def test_messages_both_ways_and_who_it_is(world: World) -> None:
    at, device = door(world, datagram=True), car(world)
    names: list[str] = []

    def handle(connection: ServedBlocking) -> None:
        peer = verified_peer()
        assert peer is not None
        names.append(peer.name.text)
        echo(connection)

    with serving(at, handle) as server:
        with dial(server, at, device) as connection:
            connection.send(b"one")
            assert connection.receive(PATIENCE) == b"ONE"
            with pytest.raises(TimeoutError):
                connection.receive(0.05)
        until(lambda: len(server) == 0)
    assert names == [device.name.text]
    assert at.reasons == ["admitted"]


def until(condition: Callable[[], bool]) -> None:
    ends = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < ends
        time.sleep(0.01)


def test_a_refused_client_reads_an_alert(world: World) -> None:
    at, device = door(world, datagram=True), car(world)
    device.revoke()
    with serving(at, echo) as server, pytest.raises(TLSAlertReceived):
        dial(server, at, device)
    assert at.reasons == [Reason.NO_TLSA.value]


def test_a_revoked_name_is_cut(world: World) -> None:
    at, device = door(world, datagram=True), car(world)
    ends: list[BaseException] = []

    def handle(connection: ServedBlocking) -> None:
        try:
            connection.receive(PATIENCE)
        except Refused as error:
            ends.append(error)

    with serving(at, handle) as server, dial(server, at, device) as connection:
        until(lambda: len(at.authenticator.sessions) == 1)
        assert device.revoke()
        assert connection.receive(PATIENCE) == b""
        until(lambda: bool(ends))
        assert len(at.authenticator.sessions) == 0
    assert isinstance(ends[0], Refused)
    assert ends[0].reason is Reason.NO_TLSA


def test_an_idle_client_is_let_go(world: World) -> None:
    at = door(world, datagram=True)
    with (
        serving(at, echo, bounds=DatagramLimits(idle_seconds=1)) as server,
        dial(server, at, car(world)) as connection,
    ):
        assert connection.receive(PATIENCE) == b""


@pytest.mark.parametrize("work", ["judge", "handler"])
def test_a_machine_without_threads_ends_no_server(
    world: World, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, work: str
) -> None:
    at, device = door(world, datagram=True), car(world)

    class NoThread(threading.Thread):
        def start(self) -> None:
            raise RuntimeError("can't start new thread")

    with serving(at, echo) as server:
        if work == "handler":
            with dial(server, at, device):
                pass  # its records are at hand from now on, so no thread is needed to judge it
        with monkeypatch.context() as patch:
            patch.setattr("dnsbound.edge.datagram_blocking.Thread", NoThread)
            if work == "judge":
                with pytest.raises(TLSAlertReceived):
                    dial(server, at, device)
                assert at.decisions == []
            else:
                with dial(server, at, device) as connection:
                    assert connection.receive(PATIENCE) == b""
        until(lambda: len(server) <= 1)  # who was refused is told again for a while
        assert len(at.authenticator.sessions) == 0
        with dial(server, at, device) as connection:
            connection.send(b"x")
            assert connection.receive(PATIENCE) == b"X"
    assert "can't start new thread" in caplog.text


def test_a_step_that_fails_ends_no_server(world: World, caplog: pytest.LogCaptureFixture) -> None:
    """Whatever goes wrong about one client, the others are served."""
    at, device = door(world, datagram=True), car(world)
    broken = car(world, "car55")
    at_hand = at.authenticator.authenticate_at_hand

    def authenticate_at_hand(claim: Claim) -> VerifiedPeer | None:
        if claim.name == broken.name:
            raise RuntimeError("a fault of the authenticator's")
        return at_hand(claim)

    at.authenticator.authenticate_at_hand = authenticate_at_hand  # type: ignore[method-assign]
    with serving(at, echo) as server:
        with pytest.raises(TimeoutError):
            dial(server, at, broken, seconds=1)
        with dial(server, at, device) as connection:
            connection.send(b"x")
            assert connection.receive(PATIENCE) == b"X"
    assert "a fault of the authenticator's" in caplog.text


def test_a_handler_that_fails_ends_its_own_association(world: World, caplog: pytest.LogCaptureFixture) -> None:
    at, device = door(world, datagram=True), car(world)

    def handle(connection: ServedBlocking) -> None:
        if connection.receive(PATIENCE) == b"fail":
            raise RuntimeError("the handler's own")
        echo(connection)

    with serving(at, handle) as server, dial(server, at, device) as fails, dial(server, at, device) as stays:
        stays.send(b"x")
        fails.send(b"fail")
        assert fails.receive(PATIENCE) == b""
        stays.send(b"y")
        assert stays.receive(PATIENCE) == b"Y"
    assert "a handler of datagrams failed" in caplog.text


def test_nobody_answers(world: World) -> None:
    at = door(world, datagram=True)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as silent:
        silent.bind(("127.0.0.1", 0))
        with pytest.raises(TimeoutError):
            open_datagram_connection_blocking(
                "127.0.0.1",
                silent.getsockname()[1],
                context=at.client(None, datagram=True),
                server_hostname=SERVER,
                seconds=0.2,
            )


def test_only_contexts_for_datagrams_serve_datagrams(world: World) -> None:
    at = door(world)
    with pytest.raises(Misuse):
        blocking_datagram_server(echo, "127.0.0.1", 0, context=at.context)
    with pytest.raises(Misuse):
        open_datagram_connection_blocking("127.0.0.1", 9, context=at.client(None))
