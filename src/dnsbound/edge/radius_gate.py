"""What stands between a RADIUS service and its clients over TLS or DTLS: who they are, how many, and what they may ask.

A client is admitted at a door by its DNS name, like any other; here the verified name is found among the configured
clients, where a pattern may serve a whole fleet of access points. A packet is checked before the service sees it: over
UDP a bad one is dropped, here it ends the connection, because its sender has proved who it is (RFC 6613 section 2.6.4,
RFC 7360 section 5.1.1). What a proxy only passed on as it came is dropped here as well, for the sake of all behind it.
Sections: RFC 6614 sections 2.4 and 2.5; RFC 7360 sections 2.2 and 5.1.
"""

import logging
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from typing import Final, Protocol, Self

from dnsbound.edge.radius_clients import RadiusClient, RadiusClients, RadiusOrigin, RadiusTransport
from dnsbound.errors import DnsboundError, LimitExceeded, Misuse, Reason, Refused
from dnsbound.iana import ErrorCause
from dnsbound.limits import (
    RADIUS_CONNECTION_IDLE_SECONDS,
    RADIUS_CONNECTIONS,
    RADIUS_CONNECTIONS_PER_CLIENT,
    RADIUS_REQUESTS_PER_CONNECTION,
)
from dnsbound.names import ClientName
from dnsbound.protocols.radius import Discard, Discarded, RadiusPacket, read_request
from dnsbound.protocols.radius_dynamic import REQUESTS, dynamic_answer
from dnsbound.verify.peer import VerifiedPeer

_log: Final = logging.getLogger("dnsbound.radius")

_FORWARDED: Final = frozenset({Discard.REPEATED_ATTRIBUTE, Discard.SCATTERED_EAP, Discard.SEVERAL_AUTHENTICATIONS})
"""What a proxy passes on as it came to it: no reason to end the connection of the proxy, and of all behind it."""


class Answers(Protocol):
    """What is needed of a RadiusService."""

    def answer(
        self, octets: bytes, origin: RadiusOrigin, request: RadiusPacket | None = None, /
    ) -> Awaitable[bytes | None]: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class GateLimits:
    """See `dnsbound.limits`."""

    connections: int = RADIUS_CONNECTIONS.default
    per_client: int = RADIUS_CONNECTIONS_PER_CLIENT.default
    """Of one DNS name."""
    requests: int = RADIUS_REQUESTS_PER_CONNECTION.default
    """Of one connection, answered at the same time."""
    idle_seconds: int = RADIUS_CONNECTION_IDLE_SECONDS.default

    def __post_init__(self) -> None:
        RADIUS_CONNECTIONS.checked(self.connections)
        RADIUS_CONNECTIONS_PER_CLIENT.checked(self.per_client)
        RADIUS_REQUESTS_PER_CONNECTION.checked(self.requests)
        RADIUS_CONNECTION_IDLE_SECONDS.checked(self.idle_seconds)


@dataclass(slots=True)
class GateCounts:
    """What happened at one gate."""

    entered: int = 0
    unknown: int = 0
    """Verified names that are no configured client."""
    turned_away: int = 0
    """Connections that found a limit reached."""
    packets: int = 0
    bad_packets: int = 0
    """Each has ended its connection."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Entrance:
    """A connection that is in, until `RadiusGate.leave`."""

    origin: RadiusOrigin
    verified: ClientName

    @property
    def name(self) -> str:
        return self.verified.canonical

    @property
    def secret(self) -> bytes:
        return self.origin.secrets[0]

    @property
    def label(self) -> str:
        """For logs."""
        return f"{self.name} ({self.origin.client.label}, {self.origin.transport} {self.origin.address})"


class RadiusGate:
    """The gate of one server. clients: those in force, asked for each time, since a configuration may be read again."""

    def __init__(
        self,
        service: Answers,
        clients: Callable[[], RadiusClients],
        transport: RadiusTransport,
        *,
        limits: GateLimits | None = None,
    ) -> None:
        if transport is RadiusTransport.UDP:
            raise Misuse("over UDP a client is known by its address and its secret, not by a name")
        self.limits: Final = limits or GateLimits()
        self.counts: Final = GateCounts()
        self._service = service
        self._clients = clients
        self._transport = transport
        self._inside: Counter[str] = Counter()

    def enter(self, peer: VerifiedPeer | None, address: str, port: int) -> Entrance | None:
        """Let a verified peer in; None, counted and logged, for one that is no client or comes too often. address,
        port: where it comes from."""
        client = None if peer is None else self._clients().named(peer.name)
        if peer is None or client is None:
            self.counts.unknown += 1
            _log.warning("%s is no RADIUS client: name it in a [client.X]", "nobody" if peer is None else peer.name)
            return None
        name = peer.name.canonical
        if self._inside.total() >= self.limits.connections or self._inside[name] >= self.limits.per_client:
            self.counts.turned_away += 1
            _log.warning("%s has %d connections: one more is closed", name, self._inside[name])
            return None
        self._inside[name] += 1
        self.counts.entered += 1
        return Entrance(origin=self._origin(client, address, port), verified=peer.name)

    def _origin(self, client: RadiusClient, address: str, port: int) -> RadiusOrigin:
        return RadiusOrigin(transport=self._transport, address=address, port=port, client=client)

    def leave(self, entrance: Entrance) -> None:
        self._inside[entrance.name] -= 1
        if not self._inside[entrance.name]:
            del self._inside[entrance.name]

    def __len__(self) -> int:
        """Connections that are in."""
        return self._inside.total()

    async def answer(self, octets: bytes, entrance: Entrance) -> bytes | None:
        """The answer to one packet; None to say nothing. Raises the DnsboundError for which the connection is to be
        closed."""
        self.counts.packets += 1
        origin = self._origin_now(entrance)
        secret = origin.secrets[0]
        try:
            request = read_request(octets, secret)
        except DnsboundError as error:
            if isinstance(error, LimitExceeded) or (isinstance(error, Discarded) and error.why in _FORWARDED):
                return await self._service.answer(octets, origin)  # which drops it, and counts that
            self.counts.bad_packets += 1
            raise
        if request.code in REQUESTS:
            # Over UDP nobody would listen where this is asked; over TLS there is one port for all (RFC 6614 2.5).
            return dynamic_answer(request, secret, cause=ErrorCause.UNSUPPORTED_EXTENSION)
        return await self._service.answer(octets, origin, request)

    def _origin_now(self, entrance: Entrance) -> RadiusOrigin:
        """With the client that the name is now. Refused where the configuration in force has none."""
        client = self._clients().named(entrance.verified)
        if client is None:
            raise Refused(Reason.NOT_PERMITTED, f"{entrance.verified} is no RADIUS client any more")
        origin = entrance.origin
        return origin if client is origin.client else replace(origin, client=client)


class GatedServer(ABC):
    """A server whose clients come through a gate; an asynchronous context manager that closes."""

    def __init__(self, gate: RadiusGate) -> None:
        self._gate = gate

    @property
    def counts(self) -> GateCounts:
        return self._gate.counts

    @abstractmethod
    def close(self) -> None:
        """Accept nobody any more, and end every connection."""

    @abstractmethod
    async def wait_closed(self) -> None:
        """Until every connection is gone."""

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_exc: object) -> None:
        self.close()
        await self.wait_closed()
