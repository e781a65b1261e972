"""DTLS for programs without an event loop: a client over a blocking socket, and a server of threads.

    with open_datagram_connection_blocking(host, port, context=context) as connection: ...
    server = blocking_datagram_server(handle, host, port, context=context); server.serve_forever()

One thread of the server receives and repeats; each verdict that needs the DNS and each admitted client has a thread of
its own. The same rules hold as on asyncio (`datagram_server`, `datagram_client`): ICMP errors end nothing.
"""

import logging
import selectors
import socket
import threading
import time
from collections.abc import Callable
from functools import partial
from threading import Thread
from typing import Final, Self

from dnsbound.edge.association_table import Address, AssociationTable, DatagramLimits, Served
from dnsbound.edge.authenticator import Authenticator, verdict_at_hand
from dnsbound.edge.context import Context
from dnsbound.edge.context_door import verdict_of_blocking
from dnsbound.edge.current_peer import CONNECTION_PEER
from dnsbound.edge.datagram_acceptor import DatagramAcceptor
from dnsbound.edge.datagram_client import HANDSHAKE_SECONDS, client_association
from dnsbound.edge.datagram_connection import DatagramEnd
from dnsbound.edge.session_sweep import SweepThread
from dnsbound.errors import LimitExceeded, Reason, Refused, Undecided
from dnsbound.times import Seconds
from dnsbound.tls.association import Association, Phase
from dnsbound.tls.errors import without_frames
from dnsbound.verify.claim import Claim
from dnsbound.verify.peer import VerifiedPeer

_log: Final = logging.getLogger("dnsbound.listen")

_DATAGRAM_OCTETS: Final = 65_535
_LOOK_SECONDS: Final[Seconds] = 0.5
"""How often the receiving thread looks up from an idle socket."""
_AT_ONCE: Final = 64
"""Datagrams received between two looks at the clock."""


class BlockingConnection(DatagramEnd):
    """A client's end of an association over a blocking socket. One thread may receive while another sends."""

    def __init__(self, sock: socket.socket, association: Association) -> None:
        super().__init__(association, sock.getpeername())
        self.reported: OSError | None = None
        """What the system last reported about the path (ICMP); anybody may have made it up."""
        self._socket = sock
        self._lock = threading.Lock()

    def receive(self, timeout: Seconds | None = None) -> bytes:
        """The next message; b"" after the server's close_notify. TimeoutError when none came in time; otherwise raises
        why the association broke off."""
        until = _until(timeout)
        while True:
            with self._lock:
                message = self._next()
            if message is not None:
                return message
            self._wait(until)

    def send(self, message: bytes) -> None:
        """One message of at most `message_octets`; it may get lost."""
        with self._lock:
            self._association.send(message)
            self._flush()

    def close(self) -> None:
        """Say close_notify and close the socket."""
        with self._lock:
            self._association.close()
            self._flush()
        self._socket.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exc: object) -> None:
        self.close()

    def shake(self, seconds: Seconds) -> None:
        """From the first flight to the server's last; raises why not, TimeoutError when nobody answers in time."""
        until = _until(seconds)
        self._association.begin()
        self._flush()
        while self._association.phase is Phase.HANDSHAKE:
            try:
                self._wait(until)
            except TimeoutError:
                raise TimeoutError(f"no association within {seconds:g} s") from self.reported
        if self._association.phase is not Phase.OPEN:
            self._next()
            raise ConnectionResetError("the server closed the association")

    def _wait(self, until: Seconds | None) -> None:
        """For one datagram, or for the time to repeat; TimeoutError once `until` has come."""
        left = None if until is None else until - time.monotonic()
        if left is not None and left <= 0:
            raise TimeoutError("no datagram came in time")
        repeat = self._association.timeout()
        waits = [wait for wait in (left, repeat) if wait is not None]
        self._socket.settimeout(max(min(waits), 0.001) if waits else None)
        datagram = b""
        try:
            datagram = self._socket.recv(_DATAGRAM_OCTETS)
        except TimeoutError:
            pass
        except ConnectionError as error:
            self.reported = error
        with self._lock:
            if datagram:
                self._association.receive(datagram)
            else:
                self._association.handle_timeout()
            self._flush()

    def _flush(self) -> None:
        for datagram in self._association.take():
            try:
                self._socket.send(datagram)
            except OSError as error:
                self.reported = error


def open_datagram_connection_blocking(
    host: str,
    port: int,
    *,
    context: Context,
    server_hostname: str | None = None,
    seconds: Seconds = HANDSHAKE_SECONDS,
) -> BlockingConnection:
    """As `open_datagram_connection`, blocking; a context manager that closes."""
    association = client_association(context, host if server_hostname is None else server_hostname)
    family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_DGRAM)[0]
    sock = socket.socket(family, kind, protocol)
    try:
        sock.connect(address)
        connection = BlockingConnection(sock, association)
        connection.shake(seconds)
    except BaseException:
        sock.close()
        raise
    return connection


class ServedBlocking(DatagramEnd):
    """A server's end of an association, in a thread of its own."""

    def __init__(self, server: "BlockingDatagramServer", served: Served) -> None:
        super().__init__(served.association, served.address, served.peer)
        self._server = server
        self._served = served
        self.changed = threading.Condition(server.lock)

    def receive(self, timeout: Seconds | None = None) -> bytes:
        """The next message; b"" after the client's close_notify, or when nobody was heard for the idle time.
        TimeoutError when none came in time; otherwise raises why the association broke off or was cut."""
        until = _until(timeout)
        with self.changed:
            while (message := self._next()) is None:
                if not self.changed.wait(None if until is None else until - time.monotonic()):
                    raise TimeoutError("no message came in time")
            return message

    def send(self, message: bytes) -> None:
        """One message of at most `message_octets`; it may get lost."""
        with self._server.lock:
            self._association.send(message)
            self._server.follow(self._served)

    def close(self) -> None:
        """Say close_notify and forget the client."""
        with self._server.lock:
            self._association.close()
            self._server.follow(self._served)

    # --- session_sweep.LiveConnection

    def renewed(self, peer: VerifiedPeer) -> None:
        self._served.peer.peer = peer

    def cut(self, reason: Refused | Undecided) -> None:
        self._server.cut(self._served, reason)


class BlockingDatagramServer:
    """Made by `blocking_datagram_server`. It is its table's `Host`; what a table says is said under `lock`."""

    def __init__(
        self,
        handle: Callable[[ServedBlocking], None],
        sock: socket.socket,
        context: Context,
        bounds: DatagramLimits | None,
    ) -> None:
        self.lock: Final = threading.RLock()
        self._handle = handle
        self._socket = sock
        self._authenticator = context.authenticator
        self._table = AssociationTable(DatagramAcceptor(context), context.handshake_slots, self, bounds=bounds)
        self._stop = threading.Event()
        self._stopped = threading.Event()
        self._stopped.set()

    # --- for the program

    @property
    def server_address(self) -> Address:
        return self._socket.getsockname()

    def __len__(self) -> int:
        with self.lock:
            return len(self._table)

    def serve_forever(self) -> None:
        """Receive until `shutdown`, then say close_notify to every client and close the socket."""
        self._stopped.clear()
        try:
            self._serve()
        finally:
            with self.lock:
                for served in self._table.all():
                    self._table.drop(served, time.monotonic())
                self._socket.close()
            self._stopped.set()

    def shutdown(self) -> None:
        """End `serve_forever`, from another thread, and wait until it has ended."""
        self._stop.set()
        self._stopped.wait()

    # --- the receiving thread

    def _serve(self) -> None:
        sweep = SweepThread(self._authenticator) if isinstance(self._authenticator, Authenticator) else None
        with selectors.DefaultSelector() as selector:
            selector.register(self._socket, selectors.EVENT_READ)
            while not self._stop.is_set():
                if selector.select(self._wait()):
                    self._receive()
                self._step(self._table.run_due)
                if sweep is not None:
                    sweep.look()

    def _wait(self) -> Seconds:
        with self.lock:
            due = self._table.next_due()
        return _LOOK_SECONDS if due is None else min(max(due - time.monotonic(), 0.0), _LOOK_SECONDS)

    def _receive(self) -> None:
        for _ in range(_AT_ONCE):
            try:
                datagram, address = self._socket.recvfrom(_DATAGRAM_OCTETS)
            except BlockingIOError:
                return
            except OSError as error:
                _log.debug("the system reports about some client: %s", error)
                continue
            self._step(partial(self._table.receive, datagram, address))

    def _step(self, step: Callable[[Seconds], None]) -> None:
        """What goes wrong about one client ends that client's association, at its deadline, and not this server."""
        with self.lock:
            try:
                step(time.monotonic())
            except Exception:  # noqa: BLE001 (as asyncio does for every callback of a protocol)
                _log.exception("a step of a datagram server failed")

    # --- association_table.Host, under the lock

    def send(self, datagram: bytes, address: Address) -> None:
        try:
            self._socket.sendto(datagram, address)
        except OSError as error:
            _log.debug("a datagram to %s counts as lost: %s", address, error)

    def judge(self, served: Served, claim: Claim) -> None:
        verdict = verdict_at_hand(self._authenticator, claim)
        if verdict is not None:
            self._table.settle(served, verdict, time.monotonic())
            return
        try:
            Thread(target=self._judge, args=(served, claim), daemon=True).start()
        except RuntimeError as error:
            _log.error("nobody can judge %s: %s", claim.name, error)
            self._table.settle(served, Undecided(Reason.DNS_FAILED, str(error)), time.monotonic())

    def opened(self, served: Served, claim: Claim | None) -> None:
        served.handle = connection = ServedBlocking(self, served)
        authenticator, peer = self._authenticator, served.peer.peer
        if claim is not None and peer is not None and isinstance(authenticator, Authenticator):
            try:
                served.session = authenticator.sessions.register(peer, claim, connection, now=peer.verified_at)
            except LimitExceeded as error:  # nobody would ask about its name again
                _log.warning("%s is let go: %s", peer.name, error)
                self._table.drop(served, time.monotonic())
                return
        try:
            Thread(target=self._run, args=(connection, served), daemon=True).start()
        except RuntimeError as error:
            _log.error("nobody can serve %s: %s", connection.address, error)
            self._table.drop(served, time.monotonic())

    def arrived(self, served: Served) -> None:
        served.handle.changed.notify_all()

    def ended(self, served: Served) -> None:
        if served.session is not None and isinstance(self._authenticator, Authenticator):
            self._authenticator.sessions.remove(served.session)
        # Each of the two leads back here: a ring that only the garbage collector would open.
        handle, served.handle, served.session = served.handle, None, None
        handle.changed.notify_all()

    # --- threads of their own

    def _judge(self, served: Served, claim: Claim) -> None:
        verdict = verdict_of_blocking(self._authenticator, claim)
        with self.lock:
            self._table.settle(served, verdict, time.monotonic())

    def _run(self, connection: ServedBlocking, served: Served) -> None:
        token = CONNECTION_PEER.set(served.peer)
        try:
            self._handle(connection)
        except (OSError, Refused, Undecided) as error:
            _log.debug("the association with %s ended: %s", connection.address, without_frames(error))
        except Exception:  # noqa: BLE001 (one handler's failure ends its own association)
            _log.exception("a handler of datagrams failed")
        finally:
            CONNECTION_PEER.reset(token)
            connection.close()

    def follow(self, served: Served) -> None:
        """A program did something with its end."""
        self._table.follow(served, time.monotonic())

    def cut(self, served: Served, reason: Refused | Undecided) -> None:
        with self.lock:
            self._table.cut(served, reason, time.monotonic())


def blocking_datagram_server(
    handle: Callable[[ServedBlocking], None],
    host: str,
    port: int,
    *,
    context: Context,
    bounds: DatagramLimits | None = None,
) -> BlockingDatagramServer:
    """A UDP server, bound, that runs `handle(connection)` in a thread for each admitted client.

    Call its `serve_forever()`, and `shutdown()` from another thread. context: made with
    `Context.server(..., datagram=True)`; Misuse for any other. bounds: how many and for how long.
    """
    # As the client finds it: of a host with several addresses, both ends take the first.
    family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_DGRAM)[0]
    sock = socket.socket(family, kind, protocol)
    try:
        sock.bind(address)
        sock.settimeout(0)
        return BlockingDatagramServer(handle, sock, context, bounds)
    except BaseException:
        sock.close()
        raise


def _until(timeout: Seconds | None) -> Seconds | None:
    return None if timeout is None else time.monotonic() + timeout
