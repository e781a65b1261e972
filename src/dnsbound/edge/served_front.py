"""One front while it is served: its settings and door in force, who may connect, and what every stream face shares.

A face is how a protocol asks. `ServedFront` is what it is given. `FrontConnection` is one connection of a face whose
protocol is a stream of octets: admitted by the kernel's word, held to its time, ended in order; a face adds
`received`. What this is not: any protocol.
"""

import asyncio
import contextlib
import logging
import socket
from abc import ABC, abstractmethod
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Protocol

from dnsbound.door_limits import FRONT_CONNECTIONS, FRONT_DRAIN_SECONDS, FRONT_IDLE_SECONDS, FRONT_REQUEST_SECONDS
from dnsbound.edge.authz_sockets import PeerUsers, Place
from dnsbound.edge.front import Front, FrontDoor
from dnsbound.edge.repeated_warnings import RepeatedWarnings
from dnsbound.edge.toml_tables import TomlTable

if TYPE_CHECKING:
    from dnsbound.times import Seconds

_log: Final = logging.getLogger("dnsbound.authz")


@dataclass(frozen=True, slots=True, kw_only=True)
class FrontSettings:
    """All that is said of one front. peers: who may connect to a Unix socket; None where a secret alone says who asks.
    connections: at once. request_seconds: for a request to come as a whole. idle_seconds: between two of them."""

    front: Front
    place: Place
    peers: PeerUsers | None = None
    connections: int = FRONT_CONNECTIONS.default
    request_seconds: int = FRONT_REQUEST_SECONDS.default
    idle_seconds: int = FRONT_IDLE_SECONDS.default


class ServedFront:
    """For one event loop."""

    def __init__(self, settings: FrontSettings, door: FrontDoor) -> None:
        self.settings = settings
        self.door = door
        self.connections: Final[set[FrontConnection]] = set()
        self.warnings: Final = RepeatedWarnings(_log)
        self.is_ending = False
        self._emptied: Final = asyncio.Event()
        self._emptied.set()

    @property
    def front(self) -> Front:
        return self.settings.front

    def configure(self, settings: FrontSettings, door: FrontDoor) -> None:
        """From the next question on. door: with the counters of the one in force."""
        self.settings, self.door = settings, door
        self.warnings.forget()
        for connection in tuple(self.connections):
            connection.check_peer()

    def retire(self) -> None:
        """Nobody may ask here any more."""
        self.is_ending = True
        for connection in tuple(self.connections):
            connection.end()

    def admits(self, connection: socket.socket) -> bool:
        """Whether whoever connected is the front, as far as its socket says."""
        peers = self.settings.peers
        if peers is None or peers.admit(connection):
            return True
        self.turn_away("peer", "somebody connects who is none of its users")
        return False

    def add(self, connection: "FrontConnection") -> None:
        self.connections.add(connection)
        self._emptied.clear()
        self.door.counters.connections = len(self.connections)

    def discard(self, connection: "FrontConnection") -> None:
        self.connections.discard(connection)
        self.door.counters.connections = len(self.connections)
        if not self.connections:
            self._emptied.set()

    async def drain(self) -> None:
        """End the connections: those at once that wait for nothing, the others when they have their answer, and all
        when the time to drain is over."""
        self.retire()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._emptied.wait(), FRONT_DRAIN_SECONDS.default)
        for connection in tuple(self.connections):
            connection.abort()
        await self._emptied.wait()

    def turn_away(self, why: str, told: str) -> None:
        """Count, and say now and then, that somebody got no answer. why: one of few words."""
        self.door.counters.turned_away[why] += 1
        self.warnings.warn(f"{self.front.label} {why}", f"front {self.front.label}: {told}")


class FaceServer(Protocol):
    """A face that listens."""

    async def aclose(self) -> None:
        """Stop listening, let what was asked be answered for a short while, and end the connections."""


class Face(Protocol):
    """How the questions of one protocol are written. One object for all fronts that speak it."""

    def options(self, table: TomlTable, front: Front) -> object:
        """Read the face's own keys of `[front.LABEL]` into what `Front.options` will be; Malformed."""

    async def serve(self, served: ServedFront, sock: socket.socket) -> FaceServer:
        """Serve on a listening socket, which the face closes at the end."""


class FrontConnection(asyncio.Protocol, ABC):
    """One connection. At most one question is asked at a time; meanwhile no octets are read."""

    def __init__(self, served: ServedFront) -> None:
        self.served: Final = served
        self._loop: Final = asyncio.get_running_loop()
        self._transport: asyncio.Transport
        self._task: asyncio.Task[None] | None = None
        self._deadline: Seconds = 0.0
        self._timer: asyncio.TimerHandle | None = None
        self._is_stuffed = False
        """What was written has not been read: nothing more is asked until it is."""

    # --- for the face

    @abstractmethod
    def received(self, octets: bytes) -> None:
        """Octets came. Whatever they are, this raises nothing but errors of this program."""

    @property
    def is_waiting(self) -> bool:
        """A question is being asked, or the last answer has not been taken."""
        return self._task is not None or self._is_stuffed

    def write(self, octets: bytes) -> None:
        """All of an answer at once: a head and a body that are written apart cost 40 ms behind Nagle's algorithm."""
        if not self._transport.is_closing():
            self._transport.write(octets)

    def close(self) -> None:
        """After what was written."""
        self._transport.close()

    def wait_for_request(self) -> None:
        """Between two requests."""
        self._deadline = self._loop.time() + self.served.settings.idle_seconds

    def wait_for_rest(self) -> None:
        """A request has begun."""
        self._deadline = self._loop.time() + self.served.settings.request_seconds

    def meanwhile(self, asking: Coroutine[Any, Any, None]) -> None:
        """Run a question to its end, then `resumed`. Nothing is received meanwhile."""
        self._transport.pause_reading()
        self._task = self._loop.create_task(asking)
        self._task.add_done_callback(self._ended)

    def resumed(self) -> None:
        """A question has ended, or room was made for more answers: what came meanwhile can be looked at."""
        return

    def finished(self) -> None:
        """The other side has said all that it will say. It may still listen (`nc`, Exim's readsocket)."""
        return

    # --- what the event loop calls

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        served = self.served
        if served.is_ending or not served.admits(transport.get_extra_info("socket")):
            transport.abort()
            return
        if len(served.connections) >= served.settings.connections:
            served.turn_away("connections", "has too many connections open at once")
            transport.abort()
            return
        served.add(self)
        _set_nodelay(transport.get_extra_info("socket"))
        self.wait_for_request()
        self._look()

    def data_received(self, data: bytes) -> None:
        if self in self.served.connections:
            self.received(data)

    def eof_received(self) -> bool:
        if self in self.served.connections:
            self.finished()
        return self.is_waiting

    def pause_writing(self) -> None:
        self._is_stuffed = True
        self._transport.pause_reading()
        self.wait_for_rest()

    def resume_writing(self) -> None:
        self._is_stuffed = False
        if self._task is None:
            self._go_on()

    def connection_lost(self, exc: Exception | None) -> None:
        del exc
        if self._timer is not None:
            self._timer.cancel()
        if self._task is not None:
            self._task.cancel()
        self.served.discard(self)

    # --- within

    def _ended(self, task: "asyncio.Task[None]") -> None:
        self._task = None
        if task.cancelled() or self._transport.is_closing():
            return
        if (error := task.exception()) is not None:
            _log.error("front %s: a question failed", self.served.front.label, exc_info=error)
            self._transport.abort()
            return
        if not self._is_stuffed:
            self._go_on()

    def _go_on(self) -> None:
        if self._transport.is_closing():
            return
        self._transport.resume_reading()
        self.resumed()

    def _look(self) -> None:
        """See whether time is up, and when to look next. No request has less time than lies between two looks, so that
        beginning one need not set the timer."""
        now, patience = self._loop.time(), self.served.settings.request_seconds
        if self._task is not None:
            self._deadline = max(self._deadline, now + patience)
        if now < self._deadline:
            self._timer = self._loop.call_at(min(self._deadline, now + patience), self._look)
            return
        self._timer = None
        self._transport.abort()

    def end(self) -> None:
        """The service ends: at once, unless an answer is awaited."""
        if not self.is_waiting:
            self._transport.close()

    def abort(self) -> None:
        self._transport.abort()

    def check_peer(self) -> None:
        """Whoever connected may be none of the users by now."""
        if not self.served.admits(self._transport.get_extra_info("socket")):
            self._transport.abort()


def _set_nodelay(connection: socket.socket) -> None:
    """asyncio does so itself only for sockets that were made with the number of TCP, not with 0 for the usual one."""
    if connection.family in (socket.AF_INET, socket.AF_INET6):
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


class StreamServer:
    """A `FaceServer` of `FrontConnection`s."""

    def __init__(self, served: ServedFront, server: asyncio.Server) -> None:
        self._served = served
        self._server = server

    @classmethod
    async def start(
        cls, served: ServedFront, sock: socket.socket, connection: Callable[[ServedFront], FrontConnection]
    ) -> "StreamServer":
        """connection: makes what serves one."""
        sock.settimeout(0)
        # Not create_unix_server, whose end would take the file away that other workers listen on.
        server = await asyncio.get_running_loop().create_server(lambda: connection(served), sock=sock)
        return cls(served, server)

    async def aclose(self) -> None:
        self._server.close()
        await self._served.drain()
        await self._server.wait_closed()
