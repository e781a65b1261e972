"""DNSSEC chains in a Context's handshakes: asked for by a client, served by a server, carried by a client.

    Context.client(dnssec_chain=ChainRequest(port=8443))         the server authenticates itself by its chain (RFC 9102)
    Context.server(dnssec_chain=ServedChain(host, port, source))
    Context.client(credential, carry_chain=source)               the mirror: the client brings the proof of its record

What a chain shows is judged in `dnsbound.tls.server_chain` and `dnsbound.verify.carried`; where chains come from is
`chain_source`; here they are brought to a connection and back.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Final, Protocol, TypeAlias, runtime_checkable

from dnsbound import limits
from dnsbound.dns.anchors import TrustAnchors
from dnsbound.dns.chain_judging import ChainLimits
from dnsbound.dns.policy import Policy
from dnsbound.edge.chain_source import ChainSource
from dnsbound.edge.context_arguments import RAW_AND_X509, X509_AND_RAW, is_address
from dnsbound.edge.context_server_tlsa import canonical_host
from dnsbound.edge.pins import MemoryPins
from dnsbound.records.tlsa import TLSA
from dnsbound.times import Moment
from dnsbound.tls.errors import TLSMisuse
from dnsbound.tls.server_chain import Demand, PinStore, Shown, ShownChain, check_demand, owner_name, read_server_chain

MAX_LIFETIME: Final = 0xFFFF
"""Hours: ExtSupportLifetime has two octets."""
_MOST_OCTETS: Final = 65_000
"""The engine's limit of one extension."""


def _port(number: int) -> int:
    if not 0 < number <= 0xFFFF:
        raise TLSMisuse(f"{number} is no port")
    return number


@dataclass(frozen=True, slots=True, kw_only=True)
class ChainRequest:
    """A client asks its servers for the DNSSEC chain of their TLSA records, in every handshake with a host name.

    port: of the service, since a handshake over memory knows none. anchors: the root's by default. pins: servers that
    promised a chain; by default in memory, for this value. longest_pin: seconds, see `limits.PIN_SECONDS`; 0 pins
    nobody. policy: of the validator. spend: on one chain.
    """

    port: int = 443
    anchors: TrustAnchors = field(default_factory=TrustAnchors.root)
    pins: PinStore = field(default_factory=MemoryPins)
    longest_pin: int | None = None
    policy: Policy | None = None
    spend: ChainLimits | None = None

    def __post_init__(self) -> None:
        _port(self.port)
        limits.PIN_SECONDS.checked(self.longest_pin)


class RequestedChain:
    """One connection's part in it: a `dnsbound.tls.server_chain.ServerChainJudge`."""

    def __init__(self, request: ChainRequest, host: str, *, required: bool, clock: Callable[[], Moment]) -> None:
        self._request = request
        self._required = required
        self._clock = clock
        self._shown = ShownChain(shown=Shown.NO_CHAIN)
        self.base_domain: Final = canonical_host(host)
        self._owner = owner_name(self.base_domain, request.port)

    @property
    def port(self) -> int:
        return self._request.port

    @property
    def peer_types(self) -> tuple[int, ...]:
        """A raw key can only be known by records: where authorities would do, a certificate is better."""
        return RAW_AND_X509 if self._required else X509_AND_RAW

    def judge(self, extension_data: bytes | None) -> tuple[TLSA, ...]:
        request, now = self._request, self._clock()
        pinned = request.pins.pinned(self.base_domain, self.port, now=now)
        demand = Demand.RECORDS if self._required else Demand.CHAIN if pinned else Demand.NOTHING
        self._shown = read_server_chain(
            extension_data,
            self._owner,
            anchors=request.anchors,
            now=now,
            policy=request.policy,
            spend=request.spend,
        )
        check_demand(self._shown, demand)
        return self._shown.records

    def settle(self, *, by_records: bool) -> None:
        """DC-05: a promise counts from a server that its own chain authenticated; a zero lifetime, or proof that there
        is nothing to send, ends it. Only now, so that nobody ends it who is not the server."""
        request, shown = self._request, self._shown
        seconds = min(shown.lifetime, limits.PIN_SECONDS.checked(request.longest_pin))
        if by_records and seconds > 0:
            now = self._clock()
            request.pins.pin(self.base_domain, self.port, until=now + seconds, now=now)
        elif by_records or shown.shown in {Shown.DENIAL, Shown.UNSIGNED}:
            request.pins.unpin(self.base_domain, self.port)


def requested_chain(
    request: ChainRequest | None, server_hostname: str | None, *, required: bool, clock: Callable[[], Moment]
) -> RequestedChain | None:
    """What to ask this server for; None without a request, and without a name, which would have to go along (RFC 9102
    section 2.1)."""
    if request is None or not server_hostname or is_address(server_hostname):
        return None
    return RequestedChain(request, server_hostname, required=required, clock=clock)


@dataclass(frozen=True, slots=True, kw_only=True)
class ServedChain:
    """A server's own chain, for clients that ask for exactly this host and port.

    host: as clients name it (SNI). port: as clients know it, whatever this server listens on. source: of the chain of
    `_port._tcp.host`. lifetime: hours for which chains are promised; clients then refuse this server without one. To
    withdraw, serve 0 until the longest promise has ended (RFC 9102 section 10).
    """

    host: str
    port: int
    source: ChainSource
    lifetime: int = 0

    def __post_init__(self) -> None:
        _port(self.port)
        if not 0 <= self.lifetime <= MAX_LIFETIME:
            raise TLSMisuse(f"lifetime is from 0 to {MAX_LIFETIME} hours")
        object.__setattr__(self, "host", canonical_host(self.host))
        owner_name(self.host, self.port)


ServedChains: TypeAlias = ServedChain | Iterable[ServedChain] | None


def served_chains(chains: ServedChains) -> tuple[ServedChain, ...]:
    """What the argument `dnssec_chain` of a server means."""
    return (chains,) if isinstance(chains, ServedChain) else tuple(chains or ())


def served_octets(chains: tuple[ServedChain, ...]) -> list[tuple[str, int, bytes]]:
    """What a connection of the engine is told. A chain that is not there is not sent (section 2.1)."""
    octets = []
    for chain in chains:
        current = checked_octets(chain.source)
        if current:
            octets.append((chain.host, chain.port, chain.lifetime.to_bytes(2, "big") + current))
    return octets


def checked_octets(source: ChainSource | None) -> bytes | None:
    """The chain to send now; TLSMisuse for one that no extension can hold."""
    octets = None if source is None else source.current()
    if octets is not None and len(octets) > _MOST_OCTETS - 2:
        raise TLSMisuse(f"a chain of {len(octets)} octets cannot be sent in a handshake")
    return octets or None


@runtime_checkable
class TakesChains(Protocol):
    """An authenticator that may look at chains which clients carry."""

    @property
    def takes_carried_chains(self) -> bool: ...


def takes_chains(authenticator: object) -> bool:
    return isinstance(authenticator, TakesChains) and authenticator.takes_carried_chains
