"""What a gated connection needs of the gate that took it, in either direction: who made it, and where it leads."""

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

from dnsbound.protocols.gated import GateClient, GatedProtocol

if TYPE_CHECKING:
    from dnsbound.edge.gate_configuration import ProxyMode
    from dnsbound.edge.gate_connection import GateConnection
    from dnsbound.edge.gate_counters import Ended, GateCounters, TurnedAway
    from dnsbound.edge.gate_times import GateTimes


class Reachable(Protocol):
    """The other end: a back end, or a server of the Internet."""

    async def connect(self, protocol: Callable[[], asyncio.BaseProtocol]) -> asyncio.Transport:
        """OSError."""
        ...


class Way(Protocol):
    """A rule that connections go by: a GateRule, or an OutwardWay."""

    @property
    def label(self) -> str: ...

    @property
    def door(self) -> str: ...

    @property
    def target(self) -> Reachable: ...

    @property
    def proxy(self) -> "ProxyMode": ...

    @property
    def times(self) -> "GateTimes": ...

    @property
    def buffer_octets(self) -> int: ...

    def filter_of(self, client: GateClient) -> GatedProtocol:
        """A new filter, for one connection."""
        ...


class Taking(Protocol):
    """A Gate, or an OutwardGate."""

    @property
    def rule(self) -> Way:
        """In force for connections that begin now."""
        ...

    @property
    def counters(self) -> "GateCounters": ...

    def enter(self, connection: "GateConnection", name: str | None) -> "TurnedAway | None":
        """Let it in until `leave`, or say why not."""
        ...

    def leave(self, connection: "GateConnection", name: str | None, how: "Ended") -> None: ...

    def backend_failed(self, rule: Way, why: str) -> None:
        """Count it, and warn about it now and then."""
        ...
