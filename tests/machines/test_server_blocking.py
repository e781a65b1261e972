"""Servers with a thread for each connection: the accepting thread never waits for a client or for DNS."""

import http.client
import http.server
import socket
import ssl
import struct
import time
from contextlib import suppress
from typing import Any

import pytest

from dnsbound import Misuse, Reason, Refused, verified_peer
from dnsbound.edge.blocking_server import VerifiedPeerMixIn, blocking_server
from dnsbound.edge.handshake_slots import HandshakeOutcome
from dnsbound.limits import LINGER_SECONDS
from dnsbound.testing import Fault, World
from dnsbound.tls.errors import TLSAlertReceived, TLSRefused
from dnsbound.tls.server_shim import Authentication
from machines.doors import PATIENCE, SERVER, Door, car, door, in_thread


def talk_to(port: int, context: ssl.SSLContext) -> ssl.SSLSocket:
    plain = socket.create_connection(("127.0.0.1", port), timeout=PATIENCE)
    return context.wrap_socket(plain, server_hostname=SERVER)


def eventually(condition: Any) -> None:
    end = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


def tell(tls: ssl.SSLSocket) -> None:
    peer = verified_peer()
    assert peer is not None
    tls.sendall(f"{peer.name}\n".encode())
    while octets := tls.recv(4096):
        tls.sendall(octets)


def outcomes(at: Door) -> dict[HandshakeOutcome, int]:
    return {outcome: count for outcome, count in at.context.handshake_slots.counts().items() if count}


def test_each_client_is_told_its_own_name(world: World) -> None:
    at = door(world)
    devices = [car(world, f"car{number}") for number in range(3)]
    with in_thread(blocking_server(tell, "127.0.0.1", 0, context=at.context)) as port:
        connections = [talk_to(port, at.client(device)) for device in devices]
        for device, tls in zip(devices, connections, strict=True):
            name = f"{device.name}\n".encode()
            assert tls.recv(4096) == name
            tls.sendall(b"ping")
            assert tls.recv(4096) == b"ping"
        for tls in connections:
            tls.unwrap()
            tls.close()
        eventually(lambda: len(at.authenticator.sessions) == 0)
    with pytest.raises(Misuse):
        verified_peer()


def test_refusals_can_be_read(world: World) -> None:
    """Not permitted, no claim, no record: the same alert, even to a client that has sent much."""
    at = door(world)
    stranger = world.organisation("strangers.example").device("car54")
    served: list[Any] = []
    with in_thread(blocking_server(served.append, "127.0.0.1", 0, context=at.context)) as port:
        for device in (stranger, None, car(world, publish=False)):
            with talk_to(port, at.client(device)) as tls:
                tls.sendall(bytes(30_000))
                with pytest.raises(TLSAlertReceived) as alert:
                    tls.recv(1)
                assert alert.value.alert_received == 40
    assert served == []
    assert at.reasons == [Reason.NOT_PERMITTED, Reason.NO_CREDENTIAL, Reason.NO_TLSA]
    assert outcomes(at) == {HandshakeOutcome.REFUSED: 3}


def test_a_slow_verdict_and_a_silent_client_hold_up_nobody(world: World) -> None:
    at = door(world, handshake_seconds=5)
    slow, quick = car(world, "slow"), car(world, "quick")
    world.fault(str(slow.name), Fault.SLOW, seconds=3)
    with in_thread(blocking_server(tell, "127.0.0.1", 0, context=at.context)) as port:
        silent = socket.create_connection(("127.0.0.1", port), timeout=PATIENCE)
        waiting = talk_to(port, at.client(slow))
        began = time.monotonic()
        with talk_to(port, at.client(quick)) as tls:
            assert tls.recv(4096) == f"{quick.name}\n".encode()
        assert time.monotonic() - began < 2.5
        assert waiting.recv(4096) == f"{slow.name}\n".encode()
        waiting.close()
        assert silent.recv(1) == b""
        silent.close()
        eventually(lambda: at.context.handshake_slots.unfinished == 0)
    assert outcomes(at) == {HandshakeOutcome.ADMITTED: 2, HandshakeOutcome.TIMED_OUT: 1}


def test_the_limit_of_unfinished_handshakes(world: World) -> None:
    at = door(world, handshakes_at_once=2, handshakes_per_source=2)
    with in_thread(blocking_server(tell, "127.0.0.1", 0, context=at.context)) as port:
        silent = [socket.create_connection(("127.0.0.1", port), timeout=PATIENCE) for _ in range(2)]
        eventually(lambda: at.context.handshake_slots.unfinished == 2)
        with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE) as beyond:
            assert beyond.recv(1) == b""
        for plain in silent:
            plain.close()
        eventually(lambda: at.context.handshake_slots.unfinished == 0)
    assert outcomes(at)[HandshakeOutcome.TURNED_AWAY] == 1


def test_one_address_cannot_keep_another_out(world: World) -> None:
    device, at = car(world), door(world, handshakes_at_once=8)
    with in_thread(blocking_server(tell, "127.0.0.1", 0, context=at.context)) as port:
        silent = [socket.create_connection(("127.0.0.1", port), timeout=PATIENCE) for _ in range(20)]
        eventually(lambda: at.context.handshake_slots.counts()[HandshakeOutcome.TURNED_AWAY] == 18)
        assert at.context.handshake_slots.unfinished == 2
        plain = socket.create_connection(("127.0.0.1", port), timeout=PATIENCE, source_address=("127.9.0.1", 0))
        with at.client(device).wrap_socket(plain, server_hostname=SERVER) as tls:
            assert tls.recv(4096) == f"{device.name}\n".encode()
        for each in silent:
            each.close()
        eventually(lambda: at.context.handshake_slots.unfinished == 0)
        with talk_to(port, at.client(device)) as tls:
            assert tls.recv(4096) == f"{device.name}\n".encode()


def test_a_revoked_name_is_cut(world: World) -> None:
    device, at = car(world), door(world)
    ended: list[Any] = []

    def wait(tls: ssl.SSLSocket) -> None:
        tls.sendall(b"in")
        try:
            ended.append(tls.recv(1))
        except OSError as error:
            ended.append(error)
        try:
            verified_peer()
        except Refused as refusal:
            ended.append(refusal.reason)

    server = blocking_server(wait, "127.0.0.1", 0, context=at.context)
    with in_thread(server) as port, talk_to(port, at.client(device)) as tls:
        assert tls.recv(2) == b"in"
        assert len(at.authenticator.sessions) == 1
        device.revoke()
        eventually(lambda: len(ended) == 2)
    assert isinstance(ended[0], TLSRefused)
    assert ended[0].reason is ended[1] is Reason.NO_TLSA
    assert len(at.authenticator.sessions) == 0


def test_what_a_revoked_client_had_sent_is_not_delivered(world: World) -> None:
    """It waits in the system's buffer, where shutting the socket down leaves it."""
    device, at = car(world), door(world)
    ended: list[Any] = []

    def slow(tls: ssl.SSLSocket) -> None:
        tls.sendall(b"in")
        eventually(lambda: tls.authentication is Authentication.REFUSED)  # type: ignore[attr-defined]
        for _ in range(2):
            try:
                ended.append(tls.recv(1000))
            except OSError as error:
                ended.append(error)
        for fact in (verified_peer, tls.verified_peer, lambda: tls.sendall(b"answer")):  # type: ignore[attr-defined]
            with pytest.raises(Refused) as caught:
                fact()
            ended.append(caught.value.reason)
        ended.append(tls.authentication)  # type: ignore[attr-defined]

    with (
        in_thread(blocking_server(slow, "127.0.0.1", 0, context=at.context)) as port,
        talk_to(port, at.client(device)) as tls,
    ):
        assert tls.recv(2) == b"in"
        tls.sendall(b"open the gate")
        device.revoke()
        eventually(lambda: len(ended) == 6)
    assert [type(error) for error in ended[:2]] == [TLSRefused] * 2
    assert ended[2:] == [Reason.NO_TLSA] * 3 + [Authentication.REFUSED]


def test_a_refused_client_that_drips_octets_gives_its_slot_back(world: World) -> None:
    """Each octet in time for the next wait: together they must not hold the slot and the thread for hours."""
    at = door(world, handshakes_at_once=1)
    with in_thread(blocking_server(tell, "127.0.0.1", 0, context=at.context)) as port:
        with talk_to(port, at.client(None)) as tls:
            with pytest.raises(TLSAlertReceived):
                tls.recv(1)
            assert at.context.handshake_slots.unfinished == 1
            end = time.monotonic() + 2 * LINGER_SECONDS.default
            while at.context.handshake_slots.unfinished:
                assert time.monotonic() < end
                with suppress(OSError):
                    socket.socket.send(tls, b"x")
                time.sleep(0.1)
        with talk_to(port, at.client(car(world))) as tls:
            assert tls.recv(4096)


def test_a_client_that_breaks_off_leaves_no_traceback(world: World, capfd: pytest.CaptureFixture[str]) -> None:
    device, at = car(world), door(world)
    with in_thread(blocking_server(tell, "127.0.0.1", 0, context=at.context)) as port:
        tls = talk_to(port, at.client(device))
        assert tls.recv(4096)
        tls.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        tls.close()
        eventually(lambda: len(at.authenticator.sessions) == 0)
    assert capfd.readouterr().err == ""


def test_the_standard_librarys_web_server(world: World) -> None:
    device, at = car(world), door(world)

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            peer = verified_peer()
            body = str(peer and peer.name).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *args: Any) -> None:
            pass

    class Server(VerifiedPeerMixIn, http.server.HTTPServer):
        context = at.context

    with in_thread(Server(("127.0.0.1", 0), Handler)) as port:
        client = http.client.HTTPSConnection(SERVER, port, context=at.client(device), timeout=PATIENCE)
        for _ in range(2):
            client.request("GET", "/")
            assert client.getresponse().read() == str(device.name).encode()
        client.close()
    assert at.reasons == ["admitted"]


def test_only_a_door_can_serve(world: World) -> None:
    at = door(world)
    with pytest.raises(Misuse):
        blocking_server(tell, "127.0.0.1", 0, context=at.client(None))
