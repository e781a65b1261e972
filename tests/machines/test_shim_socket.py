"""The shim over sockets: blocking, with a timeout, non-blocking; records taken one by one; nothing lost, nothing sent
twice."""

import contextlib
import gc
import select
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from dnsbound.edge.context import Context
from dnsbound.errors import Reason
from dnsbound.tls.errors import TLSAlertReceived, TLSMisuse, TLSPeerError, TLSRefused, TLSUndecided, TLSUnexpectedEOF
from dnsbound.tls.server_shim import Authentication
from machines.native_pairs import SERVER
from machines.shim_pairs import NAME, Doorkeeper, client, credential, door, refusing, stock_server, undecided

WAIT = 20.0


class Background:
    """A function in a thread whose result, or error, is collected."""

    def __init__(self, run: Callable[[], Any]) -> None:
        self._run = run
        self._result: Any = None
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._work)
        self._thread.start()

    def _work(self) -> None:
        try:
            self._result = self._run()
        except BaseException as error:  # noqa: BLE001 (raised again where the result is asked for)
            self._error = error

    def result(self) -> Any:
        self._thread.join(WAIT)
        assert not self._thread.is_alive()
        if self._error is not None:
            raise self._error
        return self._result


@pytest.fixture
def sockets() -> Iterator[tuple[socket.socket, socket.socket]]:
    near, far = socket.socketpair()
    near.settimeout(WAIT)
    far.settimeout(WAIT)
    with near, far:
        yield near, far


Ends = tuple[ssl.SSLSocket, ssl.SSLSocket]


@pytest.fixture
def ends(sockets: tuple[socket.socket, socket.socket], tmp_path: Path) -> Iterator[Ends]:
    """Our client and the standard library's server over a socket pair, shaken hands."""
    far_context = stock_server(tmp_path)
    far_context.num_tickets = 0
    made = Background(lambda: far_context.wrap_socket(sockets[1], server_side=True))
    with client().wrap_socket(sockets[0], server_hostname=SERVER) as near, made.result() as far:
        yield near, far


def test_blocking_conversation(ends: Ends) -> None:
    near, far = ends
    near.sendall(b"question")
    assert far.recv(100) == b"question"
    far.sendall(b"answer")
    buffer = bytearray(100)
    assert near.recv_into(buffer) == 6
    assert near.version() == "TLSv1.3"
    closing = Background(far.unwrap)
    assert near.recv(1) == b""
    assert near.unwrap() is near
    closing.result()


def test_no_read_ahead(ends: Ends) -> None:
    """Five messages in one burst: while one is unread, select must say so."""
    near, far = ends
    for number in range(5):
        far.sendall(b"message %d" % number)
    near.setblocking(False)
    for number in range(5):
        readable, _, _ = select.select([near], [], [], WAIT)
        assert readable == [near]
        assert near.recv(100) == b"message %d" % number
        assert near.pending() == 0
    with pytest.raises(ssl.SSLWantReadError):
        near.recv(100)


def test_half_a_record_is_want_read(sockets: tuple[socket.socket, socket.socket], tmp_path: Path) -> None:
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    far_context = stock_server(tmp_path)
    far_context.num_tickets = 0
    far = far_context.wrap_bio(incoming, outgoing, server_side=True)
    near = client().wrap_socket(sockets[0], server_hostname=SERVER, do_handshake_on_connect=False)
    near.setblocking(False)
    with near:
        while True:
            try:
                near.do_handshake()
                break
            except ssl.SSLWantReadError:
                incoming.write(sockets[1].recv(65536))
            with contextlib.suppress(ssl.SSLWantReadError):
                far.do_handshake()
            sockets[1].sendall(outgoing.read())
        incoming.write(sockets[1].recv(65536))
        far.do_handshake()
        far.write(b"whole")
        record = outgoing.read()
        for octet in record[:-1]:
            sockets[1].send(bytes([octet]))
            with pytest.raises(ssl.SSLWantReadError):
                near.recv(10)
            assert near.pending() == 0, "select would otherwise be skipped, again and again"
        sockets[1].send(record[-1:])
        assert near.recv(10) == b"whole"


def test_partial_writes_are_finished_and_never_repeated(ends: Ends) -> None:
    near, far = ends
    near.setblocking(False)
    data = bytes(range(256)) * 8192
    received = bytearray()

    def drain() -> None:
        while len(received) < len(data):
            received.extend(far.recv(65536))

    reader: Background | None = None
    sent = wanted = 0
    while sent < len(data):
        try:
            sent += near.send(data[sent:])
        except ssl.SSLWantWriteError:
            wanted += 1
            reader = reader or Background(drain)
            select.select([], [near], [], WAIT)
    assert wanted, "the socket never filled up: nothing was tested"
    assert reader is not None
    reader.result()
    assert bytes(received) == data


def fill(near: ssl.SSLSocket, data: bytes) -> None:
    """Send until the socket takes no more."""
    for _ in range(10_000):
        try:
            near.send(data)
        except ssl.SSLWantWriteError:
            return
    pytest.fail("the socket never filled up")


def test_other_data_after_want_write_is_refused(ends: Ends) -> None:
    near, _far = ends
    near.setblocking(False)
    fill(near, b"a" * 16384)
    with pytest.raises(TLSMisuse):
        near.send(b"b" * 16384)
    with pytest.raises(ssl.SSLWantWriteError):
        near.send(b"a" * 16384)


def test_timeouts_are_timeouts(ends: Ends) -> None:
    near, far = ends
    near.settimeout(0.05)
    with pytest.raises(TimeoutError):
        near.recv(1)
    with pytest.raises(TimeoutError):
        near.sendall(b"x" * 100_000_000)
    far.settimeout(WAIT)
    near.settimeout(WAIT)
    far.sendall(b"still alive")
    assert near.recv(100) == b"still alive"


def test_dripping_peer_cannot_stretch_a_timeout(sockets: tuple[socket.socket, socket.socket]) -> None:
    near, far = sockets
    near.settimeout(0.3)
    stop = threading.Event()

    def drip() -> None:
        far.send(b"\x16\x03\x03\x40\x00")
        while not stop.wait(0.05):
            far.send(b"\x00")

    dripping = Background(drip)
    began = time.monotonic()
    try:
        with pytest.raises(TimeoutError):
            client().wrap_socket(near, server_hostname=SERVER)
        assert time.monotonic() - began < 5
    finally:
        stop.set()
        dripping.result()


def test_end_without_close_notify(ends: Ends) -> None:
    near, far = ends
    near.suppress_ragged_eofs = False
    far.sendall(b"cut sh")
    socket.socket.shutdown(far, socket.SHUT_RDWR)
    assert near.recv(100) == b"cut sh"
    for _ in range(2):
        with pytest.raises(TLSUnexpectedEOF):
            near.recv(100)
    near.suppress_ragged_eofs = True
    assert near.recv(100) == b"", "the standard library's wrapper hides it unless told otherwise"


@pytest.mark.parametrize(
    "octets",
    [b"HTTP/1.1 400 Bad Request\r\n\r\n", b"\x16\x03\x01\xff\xff" + b"x" * 100, b"\x80\x2e\x01\x00\x02", b"220 mx"],
)
def test_what_is_no_record_is_an_error_at_once(sockets: tuple[socket.socket, socket.socket], octets: bytes) -> None:
    near, far = sockets
    far.sendall(octets)
    with pytest.raises(TLSPeerError):
        client().wrap_socket(near, server_hostname=SERVER)


def test_one_thread_reads_while_another_writes(ends: Ends) -> None:
    near, far = ends
    near.settimeout(None)
    reading = Background(lambda: near.recv(100))
    for _ in range(50):
        near.sendall(b"x" * 1000)
    received = 0
    while received < 50_000:
        received += len(far.recv(65536))
    far.sendall(b"for the reader")
    assert reading.result() == b"for the reader"


def test_socket_is_closed_with_its_last_user(tmp_path: Path) -> None:
    """As in the standard library: no cycle keeps the descriptor open until a collection."""
    near, far = socket.socketpair()
    gc.disable()
    try:
        with far:
            made = client().wrap_socket(near, server_hostname=SERVER, do_handshake_on_connect=False)
            made.setblocking(False)
            with pytest.raises(ssl.SSLWantReadError):
                made.do_handshake()
            with pytest.warns(ResourceWarning):
                del made
            far.settimeout(WAIT)
            while far.recv(65536):
                pass
    finally:
        gc.enable()


def test_octets_before_the_handshake_are_refused() -> None:
    """CVE-2023-40217: the standard library's check stays in the path."""
    near, far = socket.socketpair()
    with far:
        far.send(b"smuggled")
        near.shutdown(socket.SHUT_WR)
        far.close()
        with near, pytest.raises((ssl.SSLError, OSError)):
            door().wrap_socket(near, server_side=True)


# --- blocking servers


def serve_one(context: Context, **options: Any) -> tuple[socket.socket, Background]:
    """A listening socket of the context, as blocking servers wrap it, and its first connection."""
    listening = socket.create_server(("127.0.0.1", 0))
    listening.settimeout(WAIT)
    wrapped = context.wrap_socket(listening, server_side=True, **options)
    return wrapped, Background(lambda: wrapped.accept()[0])


def dial(context: ssl.SSLContext, listening: socket.socket) -> ssl.SSLSocket:
    plain = socket.create_connection(listening.getsockname(), timeout=WAIT)
    return context.wrap_socket(plain, server_hostname=SERVER)


def test_listening_socket_admits_by_name() -> None:
    keeper = Doorkeeper()
    listening, accepted = serve_one(door(keeper))
    with listening, dial(client(credential()), listening) as near, accepted.result() as far:
        [claim] = keeper.asked
        assert (claim.name.text, claim.source) == (NAME, "127.0.0.1")
        assert far.verified_peer().name.text == NAME
        assert far.authentication is Authentication.VERIFIED
        near.sendall(b"hello")
        assert far.recv(10) == b"hello"


@pytest.mark.parametrize(
    ("judge", "error", "reason"),
    [
        (refusing(Reason.NOT_PERMITTED), TLSRefused, Reason.NOT_PERMITTED),
        (undecided(Reason.DNS_FAILED), TLSUndecided, Reason.DNS_FAILED),
    ],
)
def test_blocking_refusal_is_seen_at_both_ends(judge: Any, error: type[ssl.SSLError], reason: Reason) -> None:
    listening, accepted = serve_one(door(Doorkeeper(judge)))
    with listening, dial(client(credential()), listening) as near:
        with pytest.raises(error) as caught:
            accepted.result()
        assert caught.value.reason is reason
        with pytest.raises(TLSAlertReceived):
            near.recv(1)


def test_client_without_a_claim_is_on_the_record() -> None:
    keeper = Doorkeeper()
    listening, accepted = serve_one(door(keeper))
    with listening, dial(client(), listening) as near:
        with pytest.raises(TLSRefused) as caught:
            accepted.result()
        assert caught.value.reason is Reason.NO_CREDENTIAL
        with pytest.raises(TLSAlertReceived):
            near.recv(1)
    assert (keeper.asked, keeper.turned) == ([], [(Reason.NO_CREDENTIAL, "127.0.0.1")])


def test_broken_judge_admits_nobody(caplog: pytest.LogCaptureFixture) -> None:
    def judge(_claim: object) -> Any:
        raise ZeroDivisionError

    listening, accepted = serve_one(door(Doorkeeper(judge)))
    with listening, dial(client(credential()), listening) as near:
        with pytest.raises(TLSUndecided):
            accepted.result()
        assert [record.exc_info[0] for record in caplog.records if record.exc_info] == [ZeroDivisionError]
        with pytest.raises(TLSAlertReceived):
            near.recv(1)


def shake_without_blocking(far: ssl.SSLSocket) -> None:
    for _ in range(20):
        try:
            far.do_handshake()
        except ssl.SSLWantReadError:
            select.select([far], [], [], WAIT)


def test_verdict_does_not_block_a_non_blocking_socket(sockets: tuple[socket.socket, socket.socket]) -> None:
    keeper = Doorkeeper()
    near_done = Background(lambda: client(credential()).wrap_socket(sockets[0], server_hostname=SERVER))
    far = door(keeper).wrap_socket(sockets[1], server_side=True, do_handshake_on_connect=False)
    far.setblocking(False)
    with far:
        with pytest.raises(TLSMisuse):
            shake_without_blocking(far)
        assert keeper.asked == []
        with near_done.result() as near, pytest.raises(TLSAlertReceived):
            near.recv(1)


def test_roles_do_not_mix() -> None:
    with pytest.raises(TLSMisuse):
        client().wrap_bio(ssl.MemoryBIO(), ssl.MemoryBIO(), server_side=True, server_hostname=SERVER)
    with pytest.raises(TLSMisuse):
        door().wrap_bio(ssl.MemoryBIO(), ssl.MemoryBIO())
    with pytest.raises(TLSMisuse):
        client().accept(ssl.MemoryBIO(), ssl.MemoryBIO())


def test_facts_need_a_connection() -> None:
    with (
        socket.socket() as plain,
        client().wrap_socket(plain, server_hostname=SERVER) as made,
        pytest.raises(TLSMisuse),
    ):
        made.server_tlsa()
