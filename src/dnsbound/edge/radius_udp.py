"""RADIUS over UDP: the sockets of a server, on whatever event loop is running.

Datagrams of addresses that are no client's are dropped unread. What is at once answerable is answered on the spot; what
has to wait for the DNS is a task, of which there is a bounded number. When more arrives than can be worked on,
conversations that run go before new ones: a finished one is worth more than two that are begun, and a NAS repeats what
was dropped. On a wildcard address the answer leaves from the address that was asked.

What this is not: RADIUS itself (`radius_service`). Documents: RFC 2865 3; RFC 5080 2.2.
"""

import asyncio
import logging
import socket
import struct
from collections.abc import Callable, Coroutine
from typing import Any, Final, TypeAlias

from dnsbound.edge.listening_endpoint import Endpoint
from dnsbound.edge.radius_asked import Answer
from dnsbound.edge.radius_clients import RadiusClients, RadiusOrigin, RadiusTransport
from dnsbound.edge.radius_counters import Dropped, RadiusCounters
from dnsbound.edge.repeated_warnings import RepeatedWarnings
from dnsbound.iana import RadiusAttribute
from dnsbound.limits import RADIUS_ATTRIBUTES, RADIUS_IN_FLIGHT, RADIUS_OCTETS, RADIUS_RECEIVE_OCTETS
from dnsbound.protocols.radius import HEADER

_AT_A_TIME: Final = 256
"""Datagrams read before the event loop sees to others."""
_NEW_AT_A_TIME: Final = 64
"""New conversations begun of as many, when more are waiting."""
_REMEMBERED: Final = 4096
"""Addresses and ports of access servers."""
_STATE: Final = int(RadiusAttribute.STATE)
_IP_PKTINFO: Final = 8
"""Linux; the socket module of Python 3.11 does not name it."""
_IN_PKTINFO: Final = struct.Struct("@I4s4s")
_IN6_PKTINFO: Final = struct.Struct("@16sI")
_ANCILLARY: Final = socket.CMSG_SPACE(max(_IN_PKTINFO.size, _IN6_PKTINFO.size))
_WILDCARDS: Final = frozenset({"0.0.0.0", "::"})  # noqa: S104 (compared with, not bound to)

_log: Final = logging.getLogger("dnsbound.radius")

Ancillary: TypeAlias = list[tuple[int, int, bytes]]


def bind_udp(endpoint: Endpoint, *, reuse_port: bool = False, receive_octets: int | None = None) -> socket.socket:
    """A socket for `RadiusSocket`, bound. reuse_port: several processes share the port. OSError."""
    family = socket.AF_INET6 if ":" in endpoint.host else socket.AF_INET
    made = socket.socket(family, socket.SOCK_DGRAM)
    try:
        made.settimeout(0)
        if family == socket.AF_INET6:
            made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        if reuse_port:
            made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RADIUS_RECEIVE_OCTETS.checked(receive_octets))
        if endpoint.host in _WILDCARDS:
            _ask_for_destinations(made)
        made.bind((endpoint.host, endpoint.port))
    except BaseException:
        made.close()
        raise
    return made


def _ask_for_destinations(made: socket.socket) -> None:
    if made.family == socket.AF_INET6:
        made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_RECVPKTINFO, 1)
    else:
        made.setsockopt(socket.IPPROTO_IP, _IP_PKTINFO, 1)


def has_state(octets: bytes) -> bool:
    """Whether a datagram carries a conversation on, by a look that trusts nothing: wrong packets say what they like."""
    at, end = HEADER, len(octets)
    for _ in range(RADIUS_ATTRIBUTES.default):
        if at + 2 > end:
            break
        if octets[at] == _STATE:
            return True
        length = octets[at + 1]
        at += max(2, length)
    return False


class RadiusSocket:
    """One bound socket, served until `close`. clients: those in force. accounting: it is the port of accounting."""

    def __init__(
        self,
        bound: socket.socket,
        respond: Callable[[bytes, RadiusOrigin], Answer],
        clients: Callable[[], RadiusClients],
        counters: RadiusCounters,
        *,
        accounting: bool = False,
        in_flight: int | None = None,
    ) -> None:
        self._socket = bound
        self._respond = respond
        self._clients = clients
        self._counters = counters
        self._accounting = accounting
        self._origins: dict[Any, RadiusOrigin] = {}
        """By socket address, among `_origins_among`."""
        self._origins_among: RadiusClients | None = None
        self._in_flight: Final = RADIUS_IN_FLIGHT.checked(in_flight)
        self._loop = asyncio.get_running_loop()
        self._tasks: set[asyncio.Task[None]] = set()
        self._warnings = RepeatedWarnings(_log)
        host = bound.getsockname()[0]
        self._wildcard: Final = host in _WILDCARDS
        self._loop.add_reader(bound, self._readable)

    @property
    def endpoint(self) -> Endpoint:
        """Where it listens."""
        host, port = self._socket.getsockname()[:2]
        return Endpoint(host=host, port=port)

    @property
    def in_flight(self) -> int:
        """Requests that wait."""
        return len(self._tasks)

    async def aclose(self) -> None:
        """Take nothing more, and let go of what waits."""
        self._loop.remove_reader(self._socket)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._socket.close()

    # --- receiving

    def _readable(self) -> None:
        new: list[tuple[bytes, Ancillary, Any, RadiusOrigin]] = []
        for _ in range(_AT_A_TIME):
            received = self._receive()
            if received is None:
                break
            # Strangers first: they must not take the place of a client's request.
            origin = self._origin_of(received[2])
            if origin is None:
                self._stranger(received[2][0])
            elif has_state(received[0]):
                self._take(*received, origin, most=self._in_flight)
            else:
                new.append((*received, origin))
        else:
            self._count(Dropped.OVERLOADED, len(new[_NEW_AT_A_TIME:]))
            del new[_NEW_AT_A_TIME:]
        for one in new:
            self._take(*one, most=self._in_flight * 3 // 4)

    def _origin_of(self, address: Any) -> RadiusOrigin | None:  # noqa: ANN401 (a socket address)
        """None for a stranger. Access servers send from the same few ports again and again."""
        clients = self._clients()
        if clients is not self._origins_among:
            self._origins_among = clients
            self._origins.clear()
        origin = self._origins.get(address)
        if origin is None and (client := clients.at(address[0])) is not None:
            origin = RadiusOrigin(
                transport=RadiusTransport.UDP,
                address=address[0],
                port=address[1],
                client=client,
                accounting=self._accounting,
            )
            if len(self._origins) >= _REMEMBERED:
                self._origins.clear()
            self._origins[address] = origin
        return origin

    def _receive(self) -> tuple[bytes, Ancillary, Any] | None:
        try:
            if self._wildcard:
                octets, ancillary, _, address = self._socket.recvmsg(RADIUS_OCTETS.default, _ANCILLARY)
                return octets, ancillary, address
            octets, address = self._socket.recvfrom(RADIUS_OCTETS.default)
        except (BlockingIOError, InterruptedError):
            return None
        except OSError as error:  # ICMP errors about former answers: anybody can send them
            _log.debug("the system reports about some client: %s", error)
            return None
        return octets, [], address

    def _take(self, octets: bytes, ancillary: Ancillary, address: Any, origin: RadiusOrigin, *, most: int) -> None:  # noqa: ANN401 (a socket address)
        if len(self._tasks) >= most:
            self._count(Dropped.OVERLOADED)
            return
        try:
            answer = self._respond(octets, origin)
        except Exception:  # noqa: BLE001 (one request's failure must not end the others)
            self._failed()
            return
        if isinstance(answer, bytes):
            self._send(answer, ancillary, address)
        elif answer is not None:
            task = self._loop.create_task(self._wait(answer, ancillary, address))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _wait(self, answer: Coroutine[Any, Any, bytes | None], ancillary: Ancillary, address: Any) -> None:  # noqa: ANN401 (as above)
        try:
            octets = await answer
        except Exception:  # noqa: BLE001 (as above)
            self._failed()
            return
        if octets is not None:
            self._send(octets, ancillary, address)

    # --- sending

    def _send(self, octets: bytes, ancillary: Ancillary, address: Any) -> None:  # noqa: ANN401 (as above)
        try:
            if ancillary:
                self._socket.sendmsg([octets], _from_where_it_came(ancillary), 0, address)
            else:
                self._socket.sendto(octets, address)
        except OSError as error:
            # The NAS asks again: better than to hold up others.
            self._count(Dropped.NOT_SENT)
            _log.debug("an answer to %s was not sent: %s", address[0], error)

    # --- counts

    def _count(self, why: Dropped, number: int = 1) -> None:
        if number:
            self._counters.dropped[why] += number

    def _stranger(self, address: str) -> None:
        self._count(Dropped.UNKNOWN_CLIENT)
        self._warnings.warn(address, f"{address} is the address of no client: its packets are dropped")

    def _failed(self) -> None:
        self._count(Dropped.FAILED)
        _log.exception("a request could not be answered because of a defect of this program")


def _from_where_it_came(ancillary: Ancillary) -> Ancillary:
    """What has the answer sent from the address that the request came to."""
    sent: Ancillary = []
    for level, kind, data in ancillary:
        if (level, kind) == (socket.IPPROTO_IP, _IP_PKTINFO):
            _, local, _ = _IN_PKTINFO.unpack_from(data)
            sent.append((level, kind, _IN_PKTINFO.pack(0, local, bytes(4))))
        elif (level, kind) == (socket.IPPROTO_IPV6, socket.IPV6_PKTINFO):
            sent.append((level, kind, data))
    return sent
