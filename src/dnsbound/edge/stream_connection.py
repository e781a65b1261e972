"""DNS over a stream: TCP (RFC 7766) or TLS (RFC 7858), many queries on one connection, answers in any order.

One non-blocking socket driven by a `Reactor`; TLS through memory BIOs, so that asyncio and blocking callers run the
same lines. No query is sent before the server is authenticated (RFC 8310 section 5, strict); the only exception are
the queries of `prove`, which ask for the server's own TLSA records and are validated whatever the connection is.
"""

import secrets
import socket
import ssl
import weakref
from collections.abc import Callable
from typing import TYPE_CHECKING, Final, Protocol

from dnsbound.dns.messages import Query
from dnsbound.edge.reactor import Reactor, Timer

if TYPE_CHECKING:
    from dnsbound.times import Seconds

IDLE_SECONDS: Final = 10.0
"""How long an unused connection is kept (RFC 7766 section 6.2.3 leaves the number to the client)."""
OPENING_SECONDS: Final = 10.0
"""How long a connection may take until queries can be sent: TCP, TLS, and the proof of who the server is."""
SILENCE_SECONDS: Final = 5.0
"""How long a server may leave every query of a connection unanswered before new ones get another connection."""
_CHUNK: Final = 65536
_MOST_PENDING: Final = 256
"""Queries on one connection at a time; ids must stay hard to collide and servers limit it anyway."""

Done = Callable[[bytes | OSError], None]


class Prove(Protocol):
    """Decides whether the server is the one meant, once TLS is up; `decided(None)` is yes, a text is why not."""

    def __call__(
        self, connection: "StreamConnection", certificate: bytes, decided: Callable[[str | None], None], /
    ) -> None: ...


class StreamConnection:
    """One connection. `ask` queues a query; each is answered once, with octets or with an error.

    tls: context and server name for TLS, else plain TCP. prove: the authentication that ssl itself does not do.
    closed: called once when the connection has ended, for whatever reason.
    """

    def __init__(
        self,
        reactor: Reactor,
        address: tuple[str, int],
        *,
        closed: Callable[["StreamConnection"], None],
        tls: tuple[ssl.SSLContext, str | None] | None = None,
        prove: Prove | None = None,
    ) -> None:
        self._reactor = reactor
        self._closed = closed
        self._prove = prove
        self._pending: dict[int, tuple[Query, Done]] = {}
        self._waiting: list[Query] = []
        self._received = bytearray()
        self._to_send = bytearray()
        self.has_answered = False
        self._connected = False
        self._ready = False
        self._writing = False
        self._idle: Timer | None = None
        self._unheard_since: Seconds | None = None
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls: ssl.SSLObject | None = None
        self._handshaken = tls is None
        if tls is not None:
            self._tls = tls[0].wrap_bio(self._incoming, self._outgoing, server_hostname=tls[1])
        family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
        self._socket: socket.socket | None = socket.socket(family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        # Whoever drops a thread or a loop with its connections leaves no descriptor behind.
        weakref.finalize(self, self._socket.close)
        try:
            self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._socket.connect(address)
        except BlockingIOError:
            pass
        except OSError:
            self._socket.close()
            raise
        self._opening: Timer | None = reactor.call_later(OPENING_SECONDS, self._opened_too_late)
        self._watch_writing(on=True)

    @property
    def is_open(self) -> bool:
        return self._socket is not None

    def takes(self, ident: int) -> bool:
        """Whether a query with this id can be asked on this connection now."""
        return (
            self.is_open and ident not in self._pending and len(self._pending) < _MOST_PENDING and not self._is_silent
        )

    def free_id(self) -> int:
        """An id no query on this connection has, for the queries that belong to the connection itself."""
        # Far fewer than 65536 are taken: `takes` sees to it.
        while (ident := secrets.randbelow(65536)) in self._pending:
            pass
        return ident

    def ask(self, query: Query, done: Done, *, before_proof: bool = False) -> None:
        """Send a query as soon as the connection allows; `done` is called from the reactor, or not after `forget`."""
        self._pending[query.id] = (query, done)
        self._stop_idling()
        if self._ready or (before_proof and self._handshaken):
            self._send(query)
        else:
            self._waiting.append(query)

    def forget(self, query: Query) -> None:
        """The answer is no longer wanted; it is read and dropped if it comes."""
        pending = self._pending.get(query.id)
        if pending is not None and pending[0] is query:
            del self._pending[query.id]
            if query in self._waiting:
                self._waiting.remove(query)
            self._idle_if_unused()

    def close(self, error: OSError | None = None) -> None:
        """End the connection; queries without an answer get the error."""
        if self._socket is None:
            return
        self._stop_idling()
        self._stop_opening()
        fd = self._socket.fileno()
        if fd >= 0:
            self._reactor.remove_reader(fd)
            self._reactor.remove_writer(fd)
        self._socket.close()
        self._socket = None
        pending, self._pending = self._pending, {}
        self._closed(self)
        for _, done in pending.values():
            done(error or ConnectionResetError("the connection was closed"))

    def abandon(self) -> None:
        """Close the descriptor alone: after a fork, registrations and the TLS session are the parent's."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    # Events of the socket.

    def _writable(self) -> None:
        if self._socket is None:
            return
        if not self._connected:
            code = self._socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
            if code:
                self.close(OSError(code, "connection failed"))
                return
            self._connected = True
            self._reactor.add_reader(self._socket.fileno(), self._readable)
            self._proceed()
        self._flush()

    def _readable(self) -> None:
        if self._socket is None:
            return
        try:
            octets = self._socket.recv(_CHUNK)
        except (BlockingIOError, InterruptedError):
            return
        except OSError as error:
            self.close(error)
            return
        if not octets:
            self.close(ConnectionResetError("the server closed the connection"))
        elif self._tls is None:
            self._received += octets
            self._deliver()
        else:
            self._incoming.write(octets)
            self._proceed()
            self._flush()

    def _proceed(self) -> None:
        """Move TLS on as far as it goes, then open the gate or read what came."""
        try:
            if not self._handshaken and self._tls is not None:
                self._tls.do_handshake()
                self._handshaken = True
                self._authenticate()
            if not self._ready and self._tls is None:
                self._open()
            if self._handshaken and self._tls is not None and self._socket is not None:
                while octets := self._tls.read(_CHUNK):
                    self._received += octets
                self._deliver()
                self.close(ConnectionResetError("the server closed the TLS connection"))
        except ssl.SSLWantReadError:
            self._deliver()
        except ssl.SSLZeroReturnError:
            # What it said before it closed is said.
            self._deliver()
            self.close(ConnectionResetError("the server closed the TLS connection"))
        except ssl.SSLCertVerificationError as error:
            self.close(OSError(f"the server's certificate is refused: {error.verify_message}"))
        except OSError as error:
            self.close(OSError(f"TLS failed: {error}"))

    def _authenticate(self) -> None:
        if self._prove is None:
            self._open()
            return
        assert self._tls is not None
        certificate = self._tls.getpeercert(binary_form=True)
        if certificate is None:
            self.close(OSError("the server showed no certificate"))
            return
        self._prove(self, certificate, self._decided)

    def _decided(self, complaint: str | None) -> None:
        if self._socket is None:
            return
        if complaint is not None:
            self.close(OSError(complaint))
            return
        self._open()
        self._flush()

    def _open(self) -> None:
        self._stop_opening()
        self._ready = True
        waiting, self._waiting = self._waiting, []
        for query in waiting:
            self._send(query)

    # Octets in and out.

    def _deliver(self) -> None:
        """Answer the queries whose responses are complete."""
        while len(self._received) >= 2:
            length = int.from_bytes(self._received[:2], "big")
            if len(self._received) < 2 + length:
                break
            message = bytes(self._received[2 : 2 + length])
            del self._received[: 2 + length]
            self._unheard_since = None
            ident = int.from_bytes(message[:2], "big")
            query, done = self._pending.get(ident, (None, None))
            if query is not None and done is not None and query.answered_by(message):
                del self._pending[ident]
                self.has_answered = True
                done(message)
        self._idle_if_unused()

    def _send(self, query: Query) -> None:
        wire = query.to_wire()
        framed = len(wire).to_bytes(2, "big") + wire
        if self._unheard_since is None:
            self._unheard_since = self._reactor.time()
        try:
            if self._tls is None:
                self._to_send += framed
            else:
                self._tls.write(framed)
        except OSError as error:
            self.close(OSError(f"TLS failed: {error}"))
        self._flush()

    def _flush(self) -> None:
        if self._socket is None or not self._connected:
            return
        if self._outgoing.pending:
            self._to_send += self._outgoing.read()
        try:
            while self._to_send:
                del self._to_send[: self._socket.send(self._to_send)]
        except (BlockingIOError, InterruptedError):
            pass
        except OSError as error:
            self.close(error)
            return
        self._watch_writing(on=bool(self._to_send))

    def _watch_writing(self, *, on: bool) -> None:
        if self._socket is None or on == self._writing:
            return
        self._writing = on
        if on:
            self._reactor.add_writer(self._socket.fileno(), self._writable)
        else:
            self._reactor.remove_writer(self._socket.fileno())

    # Time: a server that is slow to open, or silent, and connections nobody uses.

    @property
    def _is_silent(self) -> bool:
        since = self._unheard_since
        return since is not None and self._reactor.time() - since >= SILENCE_SECONDS

    def _opened_too_late(self) -> None:
        self._opening = None
        self.close(TimeoutError(f"not ready for queries within {OPENING_SECONDS:g} s"))

    def _stop_opening(self) -> None:
        if self._opening is not None:
            self._opening.cancel()
            self._opening = None

    def _idle_if_unused(self) -> None:
        if self._socket is not None and not self._pending and self._idle is None:
            self._idle = self._reactor.call_later(IDLE_SECONDS, self._idled)

    def _stop_idling(self) -> None:
        if self._idle is not None:
            self._idle.cancel()
            self._idle = None

    def _idled(self) -> None:
        self._idle = None
        self.close()


def tls_context(ca_file: str | None, *, verify: bool) -> ssl.SSLContext:
    """Context for DNS over TLS: TLS 1.2 or newer (RFC 9325), ALPN `dot`; verify: by certificate authority and name."""
    context = ssl.create_default_context(cafile=ca_file)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.options |= ssl.OP_NO_RENEGOTIATION
    context.set_alpn_protocols(["dot"])
    if not verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context
