"""One gate of a process: what it lets in by now, who is in, and what was counted. Its listeners ask it for the protocol
of each connection; `gate_server` makes it and tells it of newer configurations.
"""

import asyncio
import logging
from collections import Counter
from typing import Final, cast
from weakref import WeakSet

from dnsbound.edge.authenticator import Authenticator
from dnsbound.edge.context import Context
from dnsbound.edge.gate_configuration import GateRule
from dnsbound.edge.gate_connection import GateConnection
from dnsbound.edge.gate_counters import Ended, GateCounters, TurnedAway
from dnsbound.edge.gate_entrance import Entrance
from dnsbound.edge.gate_limits import Admissions
from dnsbound.edge.gate_ways import Way
from dnsbound.edge.repeated_warnings import RepeatedWarnings
from dnsbound.edge.server_protocol import ServerProtocol

_log: Final = logging.getLogger("dnsbound.gate")


class Gate:
    """For the thread of its event loop alone."""

    def __init__(self, rule: GateRule, context: Context, authenticator: Authenticator, counters: GateCounters) -> None:
        self.rule = rule
        """In force for connections that begin now."""
        self.context = context
        self.authenticator = authenticator
        self.counters: Final = counters
        self.connections: Final[set[GateConnection]] = set()
        self.empty: Final = asyncio.Event()
        """Set while nobody is in."""
        self.empty.set()
        self._begun: Final[WeakSet[ServerProtocol | Entrance]] = WeakSet()
        self._former: list[tuple[Context, float]] = []
        """Contexts some of whose handshakes may not be over, and until when that may be."""
        self._handshakes: Counter[str] = Counter()
        """Of Contexts before them."""
        self._admissions = Admissions(rule.limits)
        self._warnings = RepeatedWarnings(_log)

    def configure(self, rule: GateRule, context: Context, authenticator: Authenticator) -> None:
        """Serve by this from now on; connections that are there go on as they began."""
        now = asyncio.get_running_loop().time()
        for former in [each for each in self._former if each[1] <= now]:
            self._former.remove(former)
            self._handshakes.update(_outcomes(former[0]))
        # A connection that was accepted with it may not have taken its slot yet.
        self._former.append((self.context, now + 2 * self.context.handshake_slots.seconds))
        self.rule, self.context, self.authenticator = rule, context, authenticator
        self._admissions.configure(rule.limits)
        self._warnings.forget()

    # --- for listeners

    def protocol(self) -> asyncio.BaseProtocol:
        """For a connection that was accepted."""
        self.counters.accepted += 1
        if not self._admissions.has_room(self.context.handshake_slots.unfinished):
            self._turned_away(TurnedAway.CONNECTIONS)
            return _ClosedAtOnce()
        if self.rule.accept_proxy_from or self.rule.gated.greeting is not None:
            entrance = Entrance(self)
            self._begun.add(entrance)
            return entrance
        return self.tls_protocol()

    def tls_protocol(self) -> ServerProtocol:
        """For one that begins TLS now."""
        loop = asyncio.get_running_loop()
        protocol = ServerProtocol(loop, self.context, lambda: GateConnection(self))
        self._begun.add(protocol)
        return protocol

    def abandon(self) -> None:
        """End every connection at once, also those that are before their verdict, or that have had it and linger."""
        for connection in list(self.connections):
            connection.drain()
        for protocol in list(self._begun):
            if hasattr(protocol, "plain"):  # its connection has been made
                protocol.abort()

    # --- for connections

    def enter(self, connection: GateConnection, name: str | None) -> TurnedAway | None:
        """Let it in until `leave`, or say why not. name: canonical; None for a stranger."""
        refused = self._admissions.enter(name, self.authenticator.now())
        if refused is not None:
            self._turned_away(refused, name)
            return refused
        self.connections.add(connection)
        self.empty.clear()
        self.counters.open += 1
        return None

    def leave(self, connection: GateConnection, name: str | None, how: Ended) -> None:
        self.connections.discard(connection)
        self._admissions.leave(name)
        self.counters.open -= 1
        self.counters.ended[how] += 1
        if not self.connections:
            self.empty.set()

    def backend_failed(self, rule: Way, why: str) -> None:
        """Count it, and warn about it now and then."""
        self.counters.backend_failures += 1
        self._warnings.warn(str(rule.target), f"gate {rule.label}: the back end {rule.target}: {why}")

    def _turned_away(self, why: TurnedAway, name: str | None = None) -> None:
        self.counters.turned_away[why] += 1
        who = "a connection" if name is None else f"a connection of {name}"
        self._warnings.warn(f"{why} {name}", f"gate {self.rule.label}: {who} is closed: its limit ({why}) is reached")

    # --- for those who look

    def counted(self) -> GateCounters:
        """As it stands."""
        self.counters.handshakes = Counter(self._handshakes)
        for context in (*(former for former, _ in self._former), self.context):
            self.counters.handshakes.update(_outcomes(context))
        return self.counters


def _outcomes(context: Context) -> dict[str, int]:
    return {outcome.value: number for outcome, number in context.handshake_slots.counts().items()}


class _ClosedAtOnce(asyncio.Protocol):
    """For a connection that finds no room."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        cast("asyncio.Transport", transport).abort()
