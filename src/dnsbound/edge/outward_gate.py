"""One client-side gate of a process: programs of this machine come in clear, and go out as a DNS name over TLS.

The connection is the one of a server-side gate (`GateConnection`), with the program as its client and TLS at the back.
The server is reached when the program connects, so that a program hears at once, as well as its protocol allows, that
there is no way through.
"""

import asyncio
import logging
import socket
from typing import Final, cast

from dnsbound.edge.context_server_tlsa import ResolverLike
from dnsbound.edge.gate_configuration import ProxyMode
from dnsbound.edge.gate_connection import GateConnection, reset
from dnsbound.edge.gate_counters import Ended, GateCounters, TurnedAway
from dnsbound.edge.gate_times import GateTimes
from dnsbound.edge.gate_ways import Way
from dnsbound.edge.outward_configuration import OUTWARD, OutwardRule
from dnsbound.edge.outward_target import OutwardTarget
from dnsbound.edge.repeated_warnings import RepeatedWarnings
from dnsbound.limits import LINGER_SECONDS
from dnsbound.protocols.gated import GateClient, GatedProtocol, Step

_log: Final = logging.getLogger("dnsbound.gate")


class OutwardWay:
    """A rule in force, as a GateConnection asks for it."""

    door: Final = ""
    proxy: Final = ProxyMode.NONE

    def __init__(self, rule: OutwardRule, resolver: ResolverLike) -> None:
        """Misuse or Malformed when a file cannot be used."""
        self.rule: Final = rule
        self.target: Final = OutwardTarget(rule.server, rule.tls, resolver)

    @property
    def label(self) -> str:
        return self.rule.label

    @property
    def times(self) -> GateTimes:
        return self.rule.times

    @property
    def buffer_octets(self) -> int:
        return self.rule.buffer_octets

    def filter_of(self, _client: GateClient) -> GatedProtocol:
        return OUTWARD[self.rule.protocol].filter()


class OutwardGate:
    """For the thread of its event loop alone."""

    def __init__(self, way: OutwardWay, counters: GateCounters) -> None:
        self.rule = way
        """In force for connections that begin now."""
        self.counters: Final = counters
        self.connections: Final[set[GateConnection]] = set()
        self.empty: Final = asyncio.Event()
        """Set while nobody is in."""
        self.empty.set()
        self._warnings = RepeatedWarnings(_log)

    def configure(self, way: OutwardWay) -> None:
        """Serve by this from now on; connections that are there go on as they began."""
        self.rule = way
        self._warnings.forget()

    def protocol(self) -> asyncio.BaseProtocol:
        """For a connection that was accepted."""
        self.counters.accepted += 1
        return OutwardConnection(self)

    def abandon(self) -> None:
        """End every connection at once."""
        for connection in list(self.connections):
            connection.drain()

    # --- for connections

    def admits(self, accepted: socket.socket) -> bool:
        """Whether it comes from a user who may."""
        users = self.rule.rule.users
        if users is None or users.admit(accepted):
            return True
        self.counters.turned_away[TurnedAway.USER] += 1
        self._warnings.warn("user", f"client {self.rule.label}: a connection is closed: its user may not use this")
        return False

    def enter(self, connection: GateConnection, name: str | None) -> TurnedAway | None:  # noqa: ARG002 (as of a Gate)
        """Let it in until `leave`, or say why not."""
        if len(self.connections) >= self.rule.rule.connections:
            self.counters.turned_away[TurnedAway.CONNECTIONS] += 1
            self._warnings.warn("connections", f"client {self.rule.label}: as many connections as there may be")
            return TurnedAway.CONNECTIONS
        self.connections.add(connection)
        self.empty.clear()
        self.counters.open += 1
        return None

    def leave(self, connection: GateConnection, name: str | None, how: Ended) -> None:  # noqa: ARG002 (as of a Gate)
        self.connections.discard(connection)
        self.counters.open -= 1
        self.counters.ended[how] += 1
        if not self.connections:
            self.empty.set()

    def backend_failed(self, rule: Way, why: str) -> None:
        """Count it, and warn about it now and then."""
        self.counters.backend_failures += 1
        self._warnings.warn(why, f"client {rule.label}: {rule.target}: {why}")

    # --- for those who look

    def counted(self) -> GateCounters:
        """As it stands."""
        return self.counters


class OutwardConnection(GateConnection):
    """A program's connection. A server that refuses the name says so after the handshake (RFC 9846 section 4.4): as
    long as it has said nothing else, it counts as not reached."""

    def __init__(self, gate: OutwardGate) -> None:
        super().__init__(gate)
        self._outward = gate
        self._heard = False
        self._lingering: asyncio.TimerHandle | None = None
        self._ended_early = False
        """The program had said all before its server was reached."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        plain = cast("asyncio.Transport", transport)
        if self._outward.admits(plain.get_extra_info("socket")):
            super().connection_made(plain)
        else:
            self._client = plain
            self._ended = Ended.CLIENT_FAULT
            reset(plain)

    def data_received(self, data: bytes) -> None:
        if self._connecting is None:
            super().data_received(data)
        else:
            # uvloop begins to read after connection_made, whatever was said there.
            self._replay += data
            self._client.pause_reading()

    def eof_received(self) -> bool:
        if self._connecting is None:
            return self._client_ended or super().eof_received()
        self._ended_early = True
        return True

    def backend_said(self, data: bytes) -> None:
        self._heard = True
        super().backend_said(data)

    def backend_lost(self, error: Exception | None) -> None:
        if self._heard or not isinstance(error, OSError):
            super().backend_lost(error)
        else:
            self._backend = None
            self._unreachable(error)

    def _begin(self, step: Step) -> None:
        super()._begin(step)
        if self._ended_early and self._ended is None:
            super().eof_received()

    def _end_in_order(self, how: Ended) -> None:
        if how is not Ended.UNREACHABLE or self._ended is not None or self._client.is_closing():
            super()._end_in_order(how)
            return
        # A socket that is closed with something unread resets what was told last: so the rest is read, and dropped.
        self._ended = how
        self._stop_connecting()
        if self._ended_early:
            self._client.close()
            return
        self._client.write_eof()
        self._client.resume_reading()
        self._lingering = self._loop.call_later(LINGER_SECONDS.default, self._client.abort)

    def connection_lost(self, exc: Exception | None) -> None:
        if self._lingering is not None:
            self._lingering.cancel()
        super().connection_lost(exc)
