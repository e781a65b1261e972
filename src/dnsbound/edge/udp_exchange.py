"""One DNS query over UDP: a socket, so a source port, of its own; sent once; the first matching response is taken."""

import socket
from collections.abc import Callable
from typing import Final

from dnsbound.dns.messages import Query
from dnsbound.edge.reactor import Reactor

_LARGEST: Final = 65535
_NOISE: Final = 32
"""Datagrams that are no answer before the exchange is given up: somebody is guessing ids."""


class UdpExchange:
    """Calls `done(octets)` with a response to the query or `done(error)` once; `close` ends it without a call.

    The socket is connected, so the kernel drops what comes from other addresses and reports ICMP errors.
    """

    __slots__ = ("_done", "_exact_case", "_noise", "_query", "_reactor", "_socket")

    def __init__(
        self,
        reactor: Reactor,
        address: tuple[str, int],
        query: Query,
        done: Callable[[bytes | OSError], None],
        *,
        exact_case: bool = False,
    ) -> None:
        self._reactor = reactor
        self._query = query
        self._done = done
        self._exact_case = exact_case
        self._noise = 0
        family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
        self._socket: socket.socket | None = socket.socket(family, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        try:
            self._socket.connect(address)
            self._socket.send(query.to_wire())
            reactor.add_reader(self._socket.fileno(), self._readable)
        except OSError:
            self.close()
            raise

    def close(self) -> None:
        """Stop listening. Safe to call at any time, more than once."""
        if self._socket is not None:
            if self._socket.fileno() >= 0:
                self._reactor.remove_reader(self._socket.fileno())
            self._socket.close()
            self._socket = None

    def abandon(self) -> None:
        """Close the descriptor without telling the reactor: after a fork, the parent's registration must stay."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _readable(self) -> None:
        while self._socket is not None:
            try:
                octets = self._socket.recv(_LARGEST)
            except (BlockingIOError, InterruptedError):
                return
            except OSError as error:
                self._finish(error)
                return
            if self._query.answered_by(octets, exact_case=self._exact_case):
                self._finish(octets)
                return
            self._noise += 1
            if self._noise >= _NOISE:
                self._finish(OSError("too many datagrams that answer nothing"))

    def _finish(self, result: bytes | OSError) -> None:
        self.close()
        self._done(result)
