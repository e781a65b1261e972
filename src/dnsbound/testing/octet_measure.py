"""Octets of mutual handshakes between two of our own ends, run in memory.

From the first ClientHello to the last Finished; no tickets, no application data. DTLS begins with the exchange of
cookies, as a server under load insists on. Names, lifetimes and fields of certificates are what `dnsbound.credential`
makes. Both ends take any key: that a name is permitted and its record matches costs no octets. DNSSEC chains are those
of World, from the root over two zones to a `3 1 1` record, P-256 throughout.
"""

import time
from dataclasses import dataclass
from functools import cached_property
from typing import Final, Self

from dnsbound._native import Config, Connection, CookieListener, TlsError
from dnsbound.credential.credential import Credential
from dnsbound.credential.issuer import CertificateAuthority
from dnsbound.credential.keys import KeyAlgorithm
from dnsbound.dns.chain import ChainExtension
from dnsbound.errors import Misuse, PeerError
from dnsbound.iana import CARRIED_CHAIN, DANE_CLIENTID, DNSSEC_CHAIN, TLS_1_2, TLS_1_3, CertificateType
from dnsbound.testing.octet_combinations import Combination, Form, Key
from dnsbound.testing.octet_packets import IPV6_HEADER, MINIMUM_MTU, UDP_HEADER, Packets, check_mtu, datagrams, segments
from dnsbound.testing.world import World
from dnsbound.times import Moment

CLIENT: Final = "car54._device.cars.example"
SERVER: Final = "api.cars.example"

_ADDRESS: Final = b"\x20\x01\x0d\xb8" + bytes(11) + b"\x01\x14\x33"
_COOKIE_KEYS: Final = (b"measured in memory, nothing to hide",)
_LONGEST_DATAGRAM: Final = 4096
"""What the engine can be told."""
_TURNS: Final = 16
_PORT: Final = 443


class CannotMeasureError(PeerError):
    """A handshake that should have been possible did not end well."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Octets:
    """What was counted. Flights alternate, the client's first."""

    combination: Combination
    flights: tuple[tuple[int, ...], ...]
    """Of each flight, the octets of each piece: a datagram, or all that was sent before the other end's turn."""
    mtu: int
    """Of the link."""

    @property
    def client(self) -> int:
        """Octets of TLS or DTLS that the client sends."""
        return sum(map(sum, self.flights[0::2]))

    @property
    def server(self) -> int:
        return sum(map(sum, self.flights[1::2]))

    @property
    def both(self) -> int:
        return self.client + self.server

    @property
    def client_packets(self) -> Packets:
        return self._packets(self.flights[0::2])

    @property
    def server_packets(self) -> Packets:
        return self._packets(self.flights[1::2])

    @property
    def packets(self) -> Packets:
        """Of both directions, with the headers of IPv6 and UDP or TCP."""
        return self.client_packets + self.server_packets

    def _packets(self, flights: tuple[tuple[int, ...], ...]) -> Packets:
        pieces = [size for flight in flights for size in flight]
        return (datagrams if self.combination.version.is_datagram else segments)(pieces, self.mtu)


@dataclass(frozen=True, slots=True)
class _Estate:
    """Credentials of one kind of key, for each form."""

    client: dict[Form, Credential]
    server: dict[Form, Credential]


class Measuring:
    """Measures combinations; credentials are made once for each kind of key. now: when they begin to be valid."""

    def __init__(self, *, mtu: int = MINIMUM_MTU, now: Moment | None = None) -> None:
        check_mtu(mtu)
        self._mtu = mtu
        self._now = time.time() if now is None else now
        self._estates: dict[Key, _Estate] = {}

    def octets(self, combination: Combination) -> Octets:
        """Misuse for a combination that is not available, CannotMeasureError when its handshake fails."""
        reason = combination.unavailable_because
        if reason is not None:
            raise Misuse(reason)
        try:
            flights = self._run(combination)
        except TlsError as error:
            raise CannotMeasureError(f"the handshake failed: {error.text}") from None
        return Octets(combination=combination, flights=tuple(flights), mtu=self._mtu)

    def _run(self, combination: Combination) -> list[tuple[int, ...]]:
        client = self._client(combination)
        flights: list[tuple[int, ...]] = []
        if combination.version.is_datagram:
            server = _past_cookies(client, CookieListener(self._config(combination, server_side=True)), flights)
        else:
            server = self._server(combination)
        _finish(combination, client, server, flights)
        if combination.named != bool(server.client_names()):
            raise CannotMeasureError("the server was told another name than it should")
        arrived = server.carried_chain() is not None, client.server_chain() is not None
        if arrived != (combination.carried, combination.server_chain):
            raise CannotMeasureError("other chains arrived than should have")
        return flights

    def _client(self, combination: Combination) -> Connection:
        return Connection(
            self._config(combination, server_side=False),
            server_hostname=SERVER,
            client_name=CLIENT.encode() if combination.named else None,
            clear_name=combination.named and combination.legacy,
            chain_port=_PORT if combination.server_chain else None,
            carried_chain=self._chains.client if combination.carried else None,
        )

    def _server(self, combination: Combination) -> Connection:
        served = [(SERVER, _PORT, self._chains.server)] if combination.server_chain else None
        return Connection(self._config(combination, server_side=True), served_chains=served)

    @cached_property
    def _chains(self) -> "_Chains":
        return _Chains.of(self._estate(Key.P256), self._now)

    def _config(self, combination: Combination, *, server_side: bool) -> Config:
        datagram = combination.version.is_datagram
        config = Config(server_side=server_side, datagram=datagram)
        if datagram:
            # No end of IPv6 knows of a link below the minimum: what such a link cannot carry is cut on the way.
            room = max(self._mtu, MINIMUM_MTU) - IPV6_HEADER - UDP_HEADER
            config.set_datagrams(mtu=min(room, _LONGEST_DATAGRAM))
        else:
            version = TLS_1_2 if combination.legacy else TLS_1_3
            config.set_versions(version, version)
        config.set_groups(_groups(combination))
        config.set_peer_verification("accept-required" if server_side else "accept")
        estate = self._estate(combination.key)
        own, shown, expected = estate.client, combination.client, combination.server
        if server_side:
            own, shown, expected = estate.server, combination.server, combination.client
        config.set_credential(own[shown].chain, own[shown].private_key_der())
        config.set_certificate_types(own=[_type(shown)], peer=[_type(expected)])
        if combination.named:
            config.set_clientid(DANE_CLIENTID, profiles=("cid07",) if combination.legacy else ("ca13",))
        if combination.carried:
            config.set_carried_chain(CARRIED_CHAIN)
        if combination.server_chain:
            config.set_dnssec_chain(DNSSEC_CHAIN)
        return config

    def _estate(self, key: Key) -> _Estate:
        estate = self._estates.get(key)
        if estate is None:
            estate = self._estates[key] = _estate(KeyAlgorithm(key.value), self._now)
        return estate


@dataclass(frozen=True, slots=True)
class _Chains:
    """What each end shows of the DNS, as it is sent."""

    client: bytes
    server: bytes

    @classmethod
    def of(cls, estate: _Estate, now: Moment) -> Self:
        world = World(clock=lambda: now)
        world.organisation("example")
        cars = world.organisation("cars.example")
        cars.publish(CLIENT, estate.client[Form.RAW].tlsa())
        owner = f"_{_PORT}._tcp.{SERVER}"
        cars.publish(owner, estate.server[Form.RAW].tlsa())
        served = ChainExtension(lifetime=0, chain=world.chain(owner).chain)
        return cls(world.chain(CLIENT).octets, served.to_wire())


def _groups(combination: Combination) -> str:
    """Before TLS 1.3 the curves of certificates are among the groups; X25519 still comes first, and is taken."""
    with_curve = combination.legacy and combination.key is Key.P256
    return f"{combination.group}:P-256" if with_curve else combination.group.value


def _estate(algorithm: KeyAlgorithm, now: Moment) -> _Estate:
    root = CertificateAuthority.create("cars", now=now, algorithm=algorithm)
    authority = root.intermediate("cars west", now=now, algorithm=algorithm)

    def forms(name: str) -> dict[Form, Credential]:
        issued = authority.issue(name, now=now, algorithm=algorithm)
        alone = Credential.generate(name, now=now, algorithm=algorithm)
        return {
            Form.CHAIN: Credential(issued.name, issued.private_key, issued.chain[:2]),
            Form.SELF_SIGNED: alone,
            Form.RAW: alone.as_raw_key(),
        }

    return _Estate(forms(CLIENT), forms(SERVER))


def _type(form: Form) -> CertificateType:
    return CertificateType.RAW_PUBLIC_KEY if form is Form.RAW else CertificateType.X509


def _past_cookies(client: Connection, listener: CookieListener, flights: list[tuple[int, ...]]) -> Connection:
    """The server's connection; notes the hellos and what asked for the cookie."""
    for _ in range(2):
        client.do_handshake()
        hellos = client.take_datagrams()
        flights.append(tuple(map(len, hellos)))
        for hello in hellos:
            answer = listener.receive(hello, address=_ADDRESS, keys=_COOKIE_KEYS)
            if isinstance(answer, Connection):
                return answer
            if answer is not None:
                flights.append((len(answer),))
                client.feed_datagram(answer)
    raise CannotMeasureError("the server takes no cookie of its own")


def _finish(combination: Combination, client: Connection, server: Connection, flights: list[tuple[int, ...]]) -> None:
    # After the cookies it is the server's turn.
    turns = (client, server) if not flights else (server, client)
    for number in range(_TURNS):
        own, other = turns[number % 2], turns[1 - number % 2]
        own.do_handshake()
        if own.awaits_judgement():
            own.judge_server(True)  # noqa: FBT003 (all it takes)
            own.do_handshake()
        sent = _carry(combination, own, other)
        if sent:
            flights.append(sent)
        if client.handshake_complete and server.handshake_complete:
            return
    raise CannotMeasureError("the handshake does not end")


def _carry(combination: Combination, source: Connection, target: Connection) -> tuple[int, ...]:
    if combination.version.is_datagram:
        pieces = source.take_datagrams()
        for piece in pieces:
            target.feed_datagram(piece)
        return tuple(map(len, pieces))
    data = source.drain()
    if data:
        target.feed(data)
    return (len(data),) if data else ()
