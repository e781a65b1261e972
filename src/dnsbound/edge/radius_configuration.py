"""radius.toml: what `dnsbound serve radius` is told, read as a whole or not at all.

    [server]
    listen = ["127.0.0.1:1812"]
    credential = "server.pem"            # key and certificates of the EAP-TLS server
    access = "access.toml"               # the access list; each network names a door of it

    [client.office]                      # a NAS or proxy
    address = ["192.0.2.0/24"]
    secret_file = "office.secret"

    [network.visitors]                   # the first that matches, in the order of the file
    door = "public.isp.example"
    ssid = ["public"]
    session_timeout = 3600

Every key is described in docs/howto/radius.md. Paths are relative to the file; an unknown key is an error. Who a client
is and what it shares with us is `radius_clients`. Nothing here opens a socket or asks the DNS.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Final, Self

from dnsbound.edge.key_exchange import KeyExchange
from dnsbound.edge.listening_endpoint import Endpoint
from dnsbound.edge.radius_clients import RadiusClients, read_client
from dnsbound.edge.secret_files import read_secret_file
from dnsbound.edge.toml_tables import TomlTable, TomlText
from dnsbound.errors import Malformed, Misuse
from dnsbound.iana import TLS_1_2, TLS_1_3
from dnsbound.limits import (
    EAP_CONVERSATION_SECONDS,
    EAP_CONVERSATIONS,
    EAP_CONVERSATIONS_PER_STATION,
    EAP_FRAGMENT_OCTETS,
    LOOKUPS_PER_SOURCE,
    LOOKUPS_PER_ZONE,
    RADIUS_SESSION_SECONDS,
    TICKET_SECONDS,
    WORKERS,
)
from dnsbound.protocols.radius_identity import LEAST_KEY
from dnsbound.times import Seconds, seconds_of_text
from dnsbound.tls.clientid import Profile
from dnsbound.verify.claim import NameSource

AUTHENTICATION_PORT: Final = 1812
ACCOUNTING_PORT: Final = 1813
RADSEC_PORT: Final = 2083
RADSEC_DOOR: Final = "radsec"

_VERSIONS: Final = MappingProxyType({"1.2": TLS_1_2, "1.3": TLS_1_3})
_PROFILES: Final = MappingProxyType({profile.value: profile for profile in Profile})
_SOURCES: Final = MappingProxyType({"extension": NameSource.EXTENSION, "san": NameSource.SAN})
_EXCHANGES: Final = MappingProxyType({choice.value: choice for choice in KeyExchange})


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerSettings:
    """`[server]`. Endpoints: where each transport is listened on. tls: versions, lowest first. ticket_seconds: 0 for no
    resumption. ticket_keys: shared with other servers. chain_file: what devices that ask are shown of the server's TLSA
    records. conversations: EAP conversations of one worker at once.
    lookups: a minute, of names by pattern, for one station and below one zone."""

    listen: tuple[Endpoint, ...]
    accounting: tuple[Endpoint, ...] = ()
    radsec: tuple[Endpoint, ...] = ()
    radsec_dtls: tuple[Endpoint, ...] = ()
    radsec_door: str = RADSEC_DOOR
    credential: Path
    access: Path
    chain_file: Path | None = None
    decisions: Path | None = None
    """The decision log; None for none in a file."""
    workers: int = WORKERS.default
    tls: tuple[int, ...] = (TLS_1_2, TLS_1_3)
    profiles: tuple[Profile, ...] = (Profile.CA13, Profile.CID07)
    claim_from: tuple[NameSource, ...] = (NameSource.EXTENSION, NameSource.SAN)
    key_exchange: KeyExchange = KeyExchange.DEFAULT
    ticket_seconds: int = TICKET_SECONDS.default
    ticket_keys: Path | None = None
    fragment_octets: int = EAP_FRAGMENT_OCTETS.default
    conversations: int = EAP_CONVERSATIONS.default
    conversations_per_station: int = EAP_CONVERSATIONS_PER_STATION.default
    conversation_seconds: int = EAP_CONVERSATION_SECONDS.default
    lookups_per_source: int = LOOKUPS_PER_SOURCE.default
    lookups_per_zone: int = LOOKUPS_PER_ZONE.default
    accounting_database: str | None = None
    accounting_keep: Seconds | None = None
    accounting_discard: bool = False
    danger_no_extended_master_secret: bool = False
    """Also peers of TLS 1.2 that do not have RFC 7627, such as strongSwan."""
    dictionary: tuple[Path, ...] = ()
    """Files of attributes that grants may name."""
    handle_key: bytes | None = field(default=None, repr=False)
    """Makes handles of clients that mean nothing elsewhere (Chargeable-User-Identity)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkRule:
    """One `[network.LABEL]`: which requests it is for, and what it does with them. An empty condition is always met.

    realms: of the identity hint, `""` for an identity without one. session_timeout: seconds; what is granted without a
    word of the access list, and what it never goes below. place: file and line.
    """

    label: str
    door: str
    clients: frozenset[str] = frozenset()
    ssids: frozenset[str] = frozenset()
    nas_identifiers: frozenset[str] = frozenset()
    realms: frozenset[str] = frozenset()
    session_timeout: int = RADIUS_SESSION_SECONDS.default
    reauthenticate: bool = True
    """Termination-Action RADIUS-Request: at the end of the session the NAS asks again, rather than cut."""
    tell_name: bool = True
    """User-Name of the Access-Accept is the verified name, which access servers and proxies then see."""
    place: str = ""

    def matches(self, *, client: str, ssid: str | None, nas_identifier: str | None, realm: str) -> bool:
        """realm: canonical, `""` for none."""
        return (
            (not self.clients or client in self.clients)
            and (not self.ssids or ssid in self.ssids)
            and (not self.nas_identifiers or nas_identifier in self.nas_identifiers)
            and (not self.realms or realm in self.realms)
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class RadiusConfiguration:
    """All of a radius.toml."""

    path: Path
    server: ServerSettings
    clients: RadiusClients
    networks: tuple[NetworkRule, ...]

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read the file and the secrets it names. Malformed or Misuse, in one line with file and key."""
        return cls.from_text(TomlText.read(path).text, path=path)

    @classmethod
    def from_text(cls, text: str, *, path: Path) -> Self:
        """path: what relative paths are relative to, and what errors begin with."""
        table = TomlTable.of(TomlText(path=path, text=text))
        server = _server(table.table("server"))
        clients_table = table.table("client")
        clients = [read_client(one) for one in clients_table.each()]
        try:
            known = RadiusClients(clients)
        except Misuse as error:
            raise clients_table.wrong(str(error)) from None
        labels = {client.label for client in clients}
        networks = tuple(_network(one, labels) for one in table.table("network").each())
        table.done()
        if not clients:
            raise table.wrong("no [client.NAME]: nobody could ask")
        if not networks:
            raise table.wrong("no [network.NAME]: nobody could come in")
        return cls(path=path, server=server, clients=known, networks=networks)

    def check_doors(self, doors: Iterable[str]) -> None:
        """Malformed, with the line of the network, for a door that the access list does not have."""
        known = set(doors)
        for network in self.networks:
            if network.door not in known:
                raise Malformed(f"{network.place}: door: the access list {self.server.access} has no {network.door!r}")
        if (self.server.radsec or self.server.radsec_dtls) and self.server.radsec_door not in known:
            raise Malformed(
                f"{self.path}: [server]: radsec_door: the access list {self.server.access} has no "
                f"{self.server.radsec_door!r}"
            )


def _server(table: TomlTable) -> ServerSettings:
    versions = _versions(table)
    settings = ServerSettings(
        listen=_endpoints(table, "listen", AUTHENTICATION_PORT),
        accounting=_endpoints(table, "accounting", ACCOUNTING_PORT),
        radsec=_endpoints(table, "radsec", RADSEC_PORT),
        radsec_dtls=_endpoints(table, "radsec_dtls", RADSEC_PORT),
        radsec_door=table.text("radsec_door", RADSEC_DOOR),
        credential=table.path("credential"),
        access=table.path("access"),
        chain_file=table.path("chain_file") if "chain_file" in table else None,
        decisions=table.path("decisions") if "decisions" in table else None,
        workers=table.number("workers", WORKERS),
        tls=versions,
        profiles=_profiles(table, versions),
        claim_from=table.choices("claim_from", _SOURCES, (NameSource.EXTENSION, NameSource.SAN)),
        key_exchange=table.chosen("key_exchange", _EXCHANGES, KeyExchange.DEFAULT),
        ticket_seconds=table.number("ticket_seconds", TICKET_SECONDS),
        ticket_keys=table.path("ticket_keys") if "ticket_keys" in table else None,
        fragment_octets=table.number("fragment_octets", EAP_FRAGMENT_OCTETS),
        conversations=table.number("conversations", EAP_CONVERSATIONS),
        conversations_per_station=table.number("conversations_per_station", EAP_CONVERSATIONS_PER_STATION),
        conversation_seconds=table.number("conversation_seconds", EAP_CONVERSATION_SECONDS),
        lookups_per_source=table.number("lookups_per_source", LOOKUPS_PER_SOURCE),
        lookups_per_zone=table.number("lookups_per_zone", LOOKUPS_PER_ZONE),
        accounting_database=_database(table) if "accounting_database" in table else None,
        accounting_keep=_span(table, "accounting_keep") if "accounting_keep" in table else None,
        accounting_discard=table.flag("accounting_discard"),
        danger_no_extended_master_secret=table.flag("danger_no_extended_master_secret"),
        dictionary=tuple(map(table.beside, table.texts("dictionary"))),
        handle_key=_handle_key(table) if "handle_key_file" in table else None,
    )
    table.done()
    _check(table, settings)
    return settings


def _check(table: TomlTable, settings: ServerSettings) -> None:
    if not (settings.listen or settings.radsec or settings.radsec_dtls):
        raise table.wrong("is missing: say where to listen, here or by radsec or radsec_dtls", "listen")
    kept = settings.accounting_database is not None
    if kept and settings.accounting_discard:
        raise table.wrong("beside accounting_database: accounting is kept or discarded", "accounting_discard")
    if settings.accounting and not (kept or settings.accounting_discard):
        raise table.wrong("needs accounting_database, or accounting_discard = true", "accounting")
    if settings.accounting_keep is not None and not kept:
        raise table.wrong("without accounting_database nothing is kept", "accounting_keep")
    if _twice((*settings.listen, *settings.accounting, *settings.radsec_dtls)):
        raise table.wrong("listen, accounting and radsec_dtls name one address twice")
    if settings.ticket_keys is not None and not settings.ticket_seconds:
        raise table.wrong("without ticket_seconds there are no tickets", "ticket_keys")
    if settings.key_exchange is KeyExchange.HYBRID_ONLY and TLS_1_2 in settings.tls:
        raise table.wrong('hybrid-only is spoken in TLS 1.3 alone: say tls = ["1.3"]', "key_exchange")


def _twice(endpoints: Iterable[Endpoint]) -> bool:
    """Whether two are one; port 0 is another one each time."""
    fixed = [endpoint for endpoint in endpoints if endpoint.port]
    return len(set(fixed)) < len(fixed)


def _versions(table: TomlTable) -> tuple[int, ...]:
    return tuple(sorted(table.choices("tls", _VERSIONS, (TLS_1_2, TLS_1_3))))


def _profiles(table: TomlTable, versions: tuple[int, ...]) -> tuple[Profile, ...]:
    """cid07 is the profile of TLS 1.2, and opens the door to it."""
    usual = (Profile.CA13,) if TLS_1_2 not in versions else (Profile.CA13, Profile.CID07)
    chosen = table.choices("profiles", _PROFILES, usual)
    if TLS_1_2 in versions and Profile.CID07 not in chosen:
        raise table.wrong("TLS 1.2 needs profile cid07", "profiles")
    if TLS_1_2 not in versions and chosen == (Profile.CID07,):
        raise table.wrong("TLS 1.3 needs profile ca13 or ca10", "profiles")
    return chosen


def _endpoints(table: TomlTable, key: str, port: int) -> tuple[Endpoint, ...]:
    texts = table.texts(key)
    try:
        found = tuple(Endpoint.parse(text, port=port) for text in texts)
    except Malformed as error:
        raise table.wrong(error.what, key) from None
    if _twice(found):
        raise table.wrong("names one address twice", key)
    return found


def _database(table: TomlTable) -> str:
    """A URL as it is, or a file as an absolute path."""
    text = table.text("accounting_database")
    return text if "://" in text else str(table.beside(text))


def _span(table: TomlTable, key: str) -> Seconds:
    try:
        return seconds_of_text(table.text(key))
    except Malformed as error:
        raise table.wrong(error.what, key) from None


def _handle_key(table: TomlTable) -> bytes:
    path = table.path("handle_key_file")
    try:
        key = read_secret_file(path).strip()
    except Misuse as error:
        raise table.wrong(str(error), "handle_key_file") from None
    if len(key) < LEAST_KEY:
        raise table.wrong(f"{path} holds {len(key)} octets; {LEAST_KEY} random ones are needed", "handle_key_file")
    return key


def _network(table: TomlTable, clients: set[str]) -> NetworkRule:
    place = table.place
    wanted = table.texts("client")
    for label in wanted:
        if label not in clients:
            raise table.wrong(f"there is no [client.{label}]", "client")
    rule = NetworkRule(
        label=table.name,
        door=table.text("door"),
        clients=frozenset(wanted),
        ssids=frozenset(table.texts("ssid")),
        nas_identifiers=frozenset(table.texts("nas_identifier")),
        realms=frozenset(realm.lower().removesuffix(".") for realm in table.texts("realm")),
        session_timeout=table.number("session_timeout", RADIUS_SESSION_SECONDS),
        reauthenticate=table.flag("reauthenticate", default=True),
        tell_name=table.flag("tell_name", default=True),
        place=place,
    )
    table.done()
    return rule
