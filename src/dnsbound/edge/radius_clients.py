"""RADIUS clients of a server: the access points, switches, controllers and proxies that may ask, and their secrets.

Over UDP a client is known by the address its packets come from (RFC 2865 section 3), over RadSec and RADIUS/DTLS by its
DNS name. Neither says anything of the device that wants in: that is EAP's.
"""

import ipaddress
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from types import MappingProxyType
from typing import Final, TypeAlias

from dnsbound.edge.listening_endpoint import Endpoint
from dnsbound.edge.secret_files import read_secret_file
from dnsbound.edge.toml_tables import TomlTable
from dnsbound.errors import DnsboundError, Malformed, Misuse
from dnsbound.limits import RADIUS_SECRET_OCTETS, RADIUS_TUNNEL_TAG
from dnsbound.names import ClientName
from dnsbound.verify.patterns import NamePattern, PatternTree

IpNetwork: TypeAlias = ipaddress.IPv4Network | ipaddress.IPv6Network
DYNAMIC_AUTHORISATION_PORT: Final = 3799
"""RFC 5176 section 2."""
_SECRETS: Final = 2
"""The one in force, and the one before it."""
_NOBODY: Final = "none"
_CONNECTION: Final = "connection"
_REMEMBERED: Final = 4096


class RadiusTransport(StrEnum):
    """How RADIUS packets came."""

    UDP = "udp"
    TLS = "tls"
    DTLS = "dtls"


FIXED_SECRETS: Final[Mapping[RadiusTransport, bytes | None]] = MappingProxyType(
    {RadiusTransport.UDP: None, RadiusTransport.TLS: b"radsec", RadiusTransport.DTLS: b"radius/dtls"}
)
"""Table: RFC 6614 section 2.3 and RFC 7360 section 2.1; known to all, since TLS does the protecting. None: its own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RadiusClient:
    """One `[client.LABEL]` of radius.toml.

    addresses: where its packets may come from over UDP; none where it comes over TLS or DTLS alone. secrets: the one in
    force, then the one before it while it is being replaced. name: its DNS name, or a pattern of several. dynamic_port,
    dynamic_address: where Disconnect-Requests go (RFC 5176); no address is that of its packets, no port is nowhere.
    dynamic_connection: they go over the RADIUS/TLS connections that the client has opened.
    """

    label: str
    addresses: tuple[IpNetwork, ...] = ()
    secrets: tuple[bytes, ...] = field(default=(), repr=False)
    name: ClientName | NamePattern | None = None
    dynamic_address: str | None = None
    dynamic_port: int | None = DYNAMIC_AUTHORISATION_PORT
    dynamic_connection: bool = False
    vlan_tag: int = RADIUS_TUNNEL_TAG.default
    """Of the attributes of a VLAN, where an access server wants one (RFC 2868 section 3.1)."""

    @property
    def takes_dynamic_authorisation(self) -> bool:
        """Sessions there can be ended from here (RFC 5176): over its own connection, or over UDP, which needs a
        secret."""
        return self.dynamic_connection or (self.dynamic_port is not None and bool(self.secrets))


@dataclass(frozen=True, slots=True, kw_only=True)
class RadiusOrigin:
    """Where a packet came from. client: whose address or name that is. accounting: it came to the port of accounting,
    which over UDP takes nothing else, and which alone takes it."""

    transport: RadiusTransport
    address: str
    port: int
    client: RadiusClient
    accounting: bool = False

    @property
    def secrets(self) -> tuple[bytes, ...]:
        """Those a packet from there may be made with, the one in force first."""
        fixed = FIXED_SECRETS[self.transport]
        return self.client.secrets if fixed is None else (fixed,)

    @property
    def takes_dynamic_authorisation(self) -> bool:
        """A session that begins with a packet from there can be ended. Over an association of DTLS nobody asks back."""
        if self.client.dynamic_connection and self.transport is not RadiusTransport.TLS:
            return False
        return self.client.takes_dynamic_authorisation

    @property
    def takes_authentication(self) -> bool:
        return not self.accounting

    @property
    def takes_accounting(self) -> bool:
        """RFC 6614 section 2.5: over TLS one port is for everything."""
        return self.accounting or self.transport is not RadiusTransport.UDP


class RadiusClients:
    """All clients of a server, found by address or by name."""

    def __init__(self, clients: Iterable[RadiusClient]) -> None:
        """Misuse where two clients share an address, a name or a pattern."""
        self._all: Final = tuple(clients)
        self._labelled: Final = {client.label: client for client in self._all}
        self._by_network: dict[tuple[int, int], dict[int, RadiusClient]] = {}
        self._at: dict[str, RadiusClient] = {}
        """Of clients' addresses that were seen: reading one takes longer than a look."""
        self._names: dict[str, RadiusClient] = {}
        self._patterns: PatternTree[RadiusClient] = PatternTree(takes_underscores=False)
        for client in self._all:
            self._add_addresses(client)
            self._add_name(client)

    def _add_addresses(self, client: RadiusClient) -> None:
        for network in client.addresses:
            for other in self._all:
                if other is client:
                    break
                for taken in other.addresses:
                    if taken.version == network.version and taken.overlaps(network):
                        raise Misuse(f"{network} of client {client.label!r} overlaps {taken} of {other.label!r}")
            prefixes = self._by_network.setdefault((network.version, network.prefixlen), {})
            prefixes[int(network.network_address)] = client

    def _add_name(self, client: RadiusClient) -> None:
        if isinstance(client.name, ClientName):
            other = self._names.setdefault(client.name.canonical, client)
        elif client.name is not None:
            found = self._patterns.find(client.name)
            other = client if found is None else found
            self._patterns.add(client.name, client)
        else:
            return
        if other is not client:
            raise Misuse(f"{client.name} is the name of both {client.label!r} and {other.label!r}")

    def at(self, address: str) -> RadiusClient | None:
        """The client whose packets come from this address, over UDP. An IPv4 address may be written as IPv6's."""
        known = self._at.get(address)
        if known is None and (known := self._search(address)) is not None:
            if len(self._at) >= _REMEMBERED:
                self._at.clear()
            self._at[address] = known
        return known

    def _search(self, address: str) -> RadiusClient | None:
        parsed = ipaddress.ip_address(address.partition("%")[0])
        if parsed.version == 6 and parsed.ipv4_mapped is not None:
            parsed = parsed.ipv4_mapped
        number, width = int(parsed), parsed.max_prefixlen
        for (version, length), clients in self._by_network.items():
            if version == parsed.version:
                shift = width - length
                found = clients.get(number >> shift << shift)
                if found is not None:
                    return found
        return None

    def named(self, name: ClientName) -> RadiusClient | None:
        """The client that has this verified name, over TLS or DTLS: by the name itself before any pattern, and by the
        more specific pattern before others."""
        exact = self._names.get(name.canonical)
        if exact is not None:
            return exact
        found = self._patterns.matches(name.labels)
        return max(found, key=_rank) if found else None

    def __iter__(self) -> Iterator[RadiusClient]:
        return iter(self._all)

    def __len__(self) -> int:
        return len(self._all)

    def __getitem__(self, label: str) -> RadiusClient:
        """KeyError."""
        return self._labelled[label]


def _rank(client: RadiusClient) -> tuple[int, int]:
    assert isinstance(client.name, NamePattern)
    return client.name.rank


# --- reading


def read_client(table: TomlTable) -> RadiusClient:
    """One `[client.LABEL]`; Malformed or Misuse with file and line."""
    addresses = tuple(_network(table, text) for text in table.texts("address"))
    secrets = _secrets(table, needed=bool(addresses))
    name = _name(table, table.text("name")) if "name" in table else None
    if not addresses and name is None:
        raise table.wrong("needs `address` (UDP), `name` (RadSec, DTLS), or both")
    address, port, connection = _dynamic_authorisation(table, addresses, name)
    tag = table.number("vlan_tag", RADIUS_TUNNEL_TAG)
    table.done()
    return RadiusClient(
        label=table.name,
        addresses=addresses,
        secrets=secrets,
        name=name,
        dynamic_address=address,
        dynamic_port=port,
        dynamic_connection=connection,
        vlan_tag=tag,
    )


def _network(table: TomlTable, text: str) -> IpNetwork:
    try:
        return ipaddress.ip_network(text)
    except ValueError as error:
        raise table.wrong(str(error), "address") from None


def _name(table: TomlTable, text: str) -> ClientName | NamePattern:
    try:
        return NamePattern.parse(text) if "*" in text else ClientName.parse(text)
    except Malformed as error:
        raise table.wrong(error.what, "name") from None


def _secrets(table: TomlTable, *, needed: bool) -> tuple[bytes, ...]:
    short = table.flag("danger_short_secret")
    if "secret_file" not in table:
        if needed:
            raise table.wrong("is missing: packets over UDP need a shared secret", "secret_file")
        return ()
    path = table.path("secret_file")
    if not needed:
        raise table.wrong("a client without `address` has no secret of its own", "secret_file")
    try:
        return read_secrets(path, danger_short=short)
    except DnsboundError as error:
        raise table.wrong(str(error), "secret_file") from None


def read_secrets(path: Path, *, danger_short: bool = False) -> tuple[bytes, ...]:
    """The file's one or two lines: the secret in force, and the one before it. Malformed or Misuse."""
    lines = read_secret_file(path).replace(b"\r\n", b"\n").removesuffix(b"\n").split(b"\n")
    if len(lines) > _SECRETS or not all(lines):
        raise Malformed(f"{path}: holds one secret, or two while one replaces the other, each a line")
    if len(set(lines)) < len(lines):
        raise Malformed(f"{path}: both lines are the same secret")
    shortest = min(map(len, lines))
    if shortest < RADIUS_SECRET_OCTETS.default and not danger_short:
        # RFC 2865 section 3: at least 16 octets would be needed against an exhaustive search.
        raise Malformed(
            f"{path}: a secret of {shortest} octets can be guessed from one packet; "
            f"take {RADIUS_SECRET_OCTETS.default} or more, or say danger_short_secret"
        )
    return tuple(lines)


def _dynamic_authorisation(
    table: TomlTable, addresses: tuple[IpNetwork, ...], name: ClientName | NamePattern | None
) -> tuple[str | None, int | None, bool]:
    """Address and port, and whether it is the client's own connection instead."""
    if "dynamic_authorisation" not in table:
        return None, DYNAMIC_AUTHORISATION_PORT, False
    text = table.text("dynamic_authorisation")
    if text == _NOBODY:
        return None, None, False
    if text == _CONNECTION:
        if addresses or not isinstance(name, ClientName):
            # Of a fleet, whoever has a connection would be asked, and say that it knows no such session.
            problem = "over its connection a client of one `name` is told, without `address`"
            raise table.wrong(problem, "dynamic_authorisation")
        return None, None, True
    try:
        endpoint = Endpoint.parse(text, port=DYNAMIC_AUTHORISATION_PORT)
    except Malformed as error:
        raise table.wrong(error.what, "dynamic_authorisation") from None
    return endpoint.host, endpoint.port, False
