"""The shim's transport over a connected socket: blocking, with a timeout, or non-blocking, as the socket is set.

It takes one TLS record at a time (5 octets, then its length) and never what else is there, so that `select` and
liveness checks keep telling the truth about what is unread. The socket is the SSLSocket itself, so its plain methods
are called by class. RFC 9846 section 5.1 is the record header.
"""

import select
import socket
import time
import weakref
from typing import Final

from dnsbound._native import Connection
from dnsbound.tls.errors import TLSMisuse, want_read, want_write
from dnsbound.tls.transport import Until

_HEADER_OCTETS: Final = 5
_RECORD_TYPES: Final = range(20, 25)
_MAX_FRAGMENT: Final = 16384 + 256
"""RFC 9846 section 5.2: a longer record is the engine's to reject, at once and without waiting for the rest of it."""


class SocketTransport:
    """Over one stream socket. Reading and writing may happen in two threads."""

    __slots__ = ("_record", "_socket", "_unsent", "_wanted", "ended")

    write_limit: Final = 16384
    """Plaintext of one record: what may wait half-sent."""

    def __init__(self, sock: socket.socket) -> None:
        # Weak, as in the standard library: the socket owns the shim, and is closed when its last user lets go of it.
        self._socket = weakref.ref(sock)
        self._record = bytearray()
        self._wanted = _HEADER_OCTETS
        self._unsent = b""
        self.ended = False

    def attach(self, connection: Connection) -> None:
        pass

    def _sock(self) -> socket.socket:
        sock = self._socket()
        if sock is None:
            raise TLSMisuse("the socket underneath is gone")
        return sock

    @property
    def non_blocking(self) -> bool:
        return self._sock().gettimeout() == 0

    def begin(self) -> Until:
        timeout = self._sock().gettimeout()
        return time.monotonic() + timeout if timeout else None

    def fill(self, connection: Connection, until: Until) -> bool:
        sock, record = self._sock(), self._record
        while len(record) < self._wanted:
            octets = _receive(sock, self._wanted - len(record), until)
            if not octets:
                return self._end(connection)
            record += octets
            if len(record) == _HEADER_OCTETS == self._wanted:
                self._wanted = _record_octets(record)
        connection.feed(record)
        record.clear()
        self._wanted = _HEADER_OCTETS
        return True

    def _end(self, connection: Connection) -> bool:
        if self.ended:
            return False
        self.ended = True
        connection.feed(self._record)
        connection.feed_eof()
        return True

    def flush(self, connection: Connection, until: Until) -> None:
        if connection.pending_out():
            self._unsent += connection.drain()
        if not self._unsent:
            return
        sock = self._sock()
        while self._unsent:
            count = _send(sock, self._unsent, until)
            self._unsent = self._unsent[count:]

    def returned(self) -> socket.socket:
        return self._sock()


def _record_octets(header: bytearray) -> int:
    """Length of the whole record. What is no TLS record is shown to the engine as it is, so that it can say so."""
    length = int.from_bytes(header[3:], "big")
    if header[0] not in _RECORD_TYPES or header[1] != 3 or length > _MAX_FRAGMENT:
        return _HEADER_OCTETS
    return _HEADER_OCTETS + length


def _receive(sock: socket.socket, count: int, until: Until) -> bytes:
    _wait(sock, until, writing=False)
    try:
        return socket.socket.recv(sock, count)
    except BlockingIOError:
        raise want_read() from None


def _send(sock: socket.socket, octets: bytes, until: Until) -> int:
    _wait(sock, until, writing=True)
    try:
        return socket.socket.send(sock, octets)
    except BlockingIOError:
        raise want_write() from None


def _wait(sock: socket.socket, until: Until, *, writing: bool) -> None:
    """The socket's timeout is for a whole operation: a peer that drips octets must not stretch it."""
    if until is None:
        return
    words = "The write operation timed out" if writing else "The read operation timed out"
    left = until - time.monotonic()
    if left <= 0 or not _ready(sock, left, writing=writing):
        raise TimeoutError(words)


def _ready(sock: socket.socket, seconds: float, *, writing: bool) -> bool:
    if hasattr(select, "poll"):
        poll = select.poll()
        poll.register(sock.fileno(), select.POLLOUT if writing else select.POLLIN)
        return bool(poll.poll(seconds * 1000))
    lists: tuple[list[socket.socket], list[socket.socket]] = ([], [sock]) if writing else ([sock], [])
    return any(select.select(*lists, [], seconds))
