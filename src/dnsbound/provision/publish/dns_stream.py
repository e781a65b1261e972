"""One TCP connection to a DNS server: messages behind their lengths (RFC 1035 section 4.2.2), each wait bounded."""

import socket
import time
from typing import Final

from dnsbound.provision.publish.endpoint import Endpoint
from dnsbound.provision.publish.publisher import ServerUnclear
from dnsbound.times import Seconds
from dnsbound.wire import prefixed

_CHUNK: Final = 65_536
_SHORTEST: Final = 0.001
"""Seconds; none at all would mean not to wait, which fails in another way."""


class DnsStream:
    """Connects at once. Every failure is ServerUnclear with one line; after one the stream is of no more use."""

    def __init__(self, server: Endpoint, seconds: Seconds) -> None:
        self._server = server
        self._seconds = seconds
        self._received = bytearray()
        try:
            self._socket = socket.create_connection((server.host, server.port), timeout=seconds)
            self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        except OSError as error:
            raise ServerUnclear(f"{server} cannot be reached: {_words(error)}") from error

    def send(self, messages: list[bytes]) -> None:
        """Messages in one go."""
        try:
            self._socket.settimeout(self._seconds)
            self._socket.sendall(b"".join([prefixed(message, 2) for message in messages]))
        except OSError as error:
            raise ServerUnclear(f"the connection to {self._server} broke: {_words(error)}") from error

    def receive(self) -> bytes:
        """The next message, whole within the time the server has; one that trickles in does not count as answering."""
        deadline = time.monotonic() + self._seconds
        length = int.from_bytes(self._take(2, deadline), "big")
        return self._take(length, deadline)

    def close(self) -> None:
        self._socket.close()

    def _take(self, count: int, deadline: float) -> bytes:
        while len(self._received) < count:
            left = deadline - time.monotonic()
            try:
                self._socket.settimeout(max(left, _SHORTEST))
                octets = self._socket.recv(_CHUNK)
            except TimeoutError:
                raise ServerUnclear(f"{self._server} did not answer within {self._seconds:g} s") from None
            except OSError as error:
                raise ServerUnclear(f"the connection to {self._server} broke: {_words(error)}") from error
            if not octets:
                raise ServerUnclear(f"{self._server} closed the connection without an answer")
            self._received += octets
        taken = bytes(self._received[:count])
        del self._received[:count]
        return taken


def _words(error: OSError) -> str:
    return "no answer in time" if isinstance(error, TimeoutError) else (error.strerror or str(error)).lower()
