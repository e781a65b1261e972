"""gate.toml: what `dnsbound gate` is told, read as a whole or not at all.

    [server]
    access = "access.toml"

    [gate.mqtt]                               # any number of gates in one process
    listen = "0.0.0.0:8883"
    target = "unix:/run/mosquitto/gate.sock"  # or "127.0.0.1:1883"
    protocol = "mqtt"                         # a word of `gate_protocols`; its options are [gate.mqtt.options]
    door = "report.gov.example"               # of the access list
    credential = "server.pem"

    [client.report]                           # and of the other direction (`outward_configuration`)

Every key is described in docs/howto/gate.md. Paths are relative to the file; an unknown key is an error. Nothing here
opens a socket or asks the DNS.
"""

import ipaddress
from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from types import MappingProxyType
from typing import Final, Self, TypeAlias

from dnsbound.door_limits import (
    GATE_BUFFER_OCTETS,
    GATE_CONNECTIONS,
    GATE_CONNECTIONS_PER_NAME,
    GATE_RATE_PER_NAME,
    GATE_RELOAD_SECONDS,
    GATE_SHUTDOWN_SECONDS,
)
from dnsbound.edge.gate_limits import AdmissionLimits
from dnsbound.edge.gate_protocols import GATED, Gated
from dnsbound.edge.gate_target import Target, address_and_port
from dnsbound.edge.gate_times import GateTimes
from dnsbound.edge.key_exchange import KeyExchange
from dnsbound.edge.listening_endpoint import Endpoint
from dnsbound.edge.outward_configuration import OutwardRule, read_outward
from dnsbound.edge.toml_tables import TomlTable, TomlText
from dnsbound.errors import Malformed
from dnsbound.iana import TLS_1_2, TLS_1_3
from dnsbound.limits import (
    HANDSHAKE_SECONDS,
    HANDSHAKES_AT_ONCE,
    HANDSHAKES_PER_SOURCE,
    LOOKUPS_PER_SOURCE,
    LOOKUPS_PER_ZONE,
    TICKET_SECONDS,
    WORKERS,
)
from dnsbound.protocols.gated import GateClient, GatedProtocol
from dnsbound.tls.clientid import Profile
from dnsbound.verify.claim import NameSource

Network: TypeAlias = ipaddress.IPv4Network | ipaddress.IPv6Network

_VERSIONS: Final = MappingProxyType({"1.2": TLS_1_2, "1.3": TLS_1_3})
_PROFILES: Final = MappingProxyType({profile.value: profile for profile in Profile})
_SOURCES: Final = MappingProxyType({"extension": NameSource.EXTENSION, "san": NameSource.SAN})
_EXCHANGES: Final = MappingProxyType({choice.value: choice for choice in KeyExchange})


class ProxyMode(StrEnum):
    """What the PROXY header for the back end says; `none` writes no header."""

    NONE = "none"
    CONNECTION = "conn"
    """The addresses of the connection."""
    TLS = "tls"
    """Also who the client is, and what TLS agreed on."""
    TLS_FULL = "tls-full"
    """Also the client's certificate."""


PROXY_MODES: Final = MappingProxyType({mode.value: mode for mode in ProxyMode})


@dataclass(frozen=True, slots=True, kw_only=True)
class TlsSettings:
    """What a gate's Context is made of. tls: versions, lowest first. certificate: beside the key in `credential`, None
    where it is in the same file. ticket_seconds: 0 for no resumption. chain_file: of the gate's own records, shown to
    clients that ask. carried_from: names and patterns whose carried chains count."""

    credential: Path
    certificate: Path | None = None
    tls: tuple[int, ...] = (TLS_1_3,)
    profiles: tuple[Profile, ...] = (Profile.CA13,)
    claim_from: tuple[NameSource, ...] = (NameSource.EXTENSION, NameSource.SAN)
    key_exchange: KeyExchange = KeyExchange.DEFAULT
    ticket_seconds: int = TICKET_SECONDS.default
    ticket_keys: Path | None = None
    chain_file: Path | None = None
    carried_from: tuple[str, ...] = ()
    handshakes: int = HANDSHAKES_AT_ONCE.default
    handshakes_per_source: int = HANDSHAKES_PER_SOURCE.default
    handshake_seconds: int = HANDSHAKE_SECONDS.default


@dataclass(frozen=True, slots=True, kw_only=True)
class GateRule:
    """One `[gate.LABEL]`. accept_proxy_from: load balancers whose connections begin with a PROXY header; no other's
    does. place: file and line."""

    label: str
    listen: tuple[Endpoint, ...]
    target: Target
    protocol: str
    door: str
    tls: TlsSettings
    gated: Gated
    proxy: ProxyMode = ProxyMode.NONE
    accept_proxy_from: tuple[Network, ...] = ()
    limits: AdmissionLimits = field(default_factory=AdmissionLimits)
    times: GateTimes = field(default_factory=GateTimes)
    buffer_octets: int = GATE_BUFFER_OCTETS.default
    place: str = ""

    def filter_of(self, client: GateClient) -> GatedProtocol:
        """A new filter, for one connection."""
        return self.gated.protocol(client)


@dataclass(frozen=True, slots=True, kw_only=True)
class GateServerSettings:
    """`[server]`. access: the access list; None where whoever makes the server brings one. decisions: the decision log.
    status: where the status endpoint is. lookups: a minute, of names by pattern, for one source and below one zone.
    reload_seconds: how often the files are read again without being asked; None for never."""

    access: Path | None = None
    decisions: Path | None = None
    workers: int = 1
    shutdown_seconds: int = GATE_SHUTDOWN_SECONDS.default
    reload_seconds: int | None = None
    status: Endpoint | None = None
    lookups_per_source: int = LOOKUPS_PER_SOURCE.default
    lookups_per_zone: int = LOOKUPS_PER_ZONE.default


@dataclass(frozen=True, slots=True, kw_only=True)
class GateConfiguration:
    """All of a gate.toml. clients: the other direction, `[client.LABEL]` (`outward_configuration`)."""

    path: Path
    server: GateServerSettings
    gates: tuple[GateRule, ...]
    clients: tuple[OutwardRule, ...] = ()

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read the file. Malformed or Misuse, in one line with file and key."""
        return cls.from_text(TomlText.read(path).text, path=path)

    @classmethod
    def from_text(cls, text: str, *, path: Path) -> Self:
        """path: what relative paths are relative to, and what errors begin with."""
        return cls.from_table(TomlTable.of(TomlText(path=path, text=text)), path=path)

    @classmethod
    def from_table(cls, table: TomlTable, *, path: Path, brings_access: bool = False) -> Self:
        """brings_access: it names no access list, since whoever makes the server has one."""
        gates = tuple(read_gate(one) for one in table.table("gate").each())
        clients = tuple(read_outward(one) for one in table.table("client").each())
        server = _server(table.table("server"), brings_access=brings_access or not gates)
        table.done()
        if not gates and not clients:
            raise table.wrong("neither [gate.NAME] nor [client.NAME]: nobody could come in, or go out")
        if {gate.label for gate in gates} & {client.label for client in clients}:
            raise table.wrong("a gate and a client have one label")
        fixed = [(endpoint, gate.label) for gate in gates for endpoint in gate.listen if endpoint.port]
        if len({endpoint for endpoint, _ in fixed}) < len(fixed):
            raise table.wrong("two gates listen at one address")
        return cls(path=path, server=server, gates=gates, clients=clients)

    def check_doors(self, doors: Iterable[str]) -> None:
        """Malformed, with the line of the gate, for a door that the access list does not have."""
        known = set(doors)
        for gate in self.gates:
            if gate.door not in known:
                raise Malformed(f"{gate.place}: door: the access list {self.server.access} has no {gate.door!r}")


def _server(table: TomlTable, *, brings_access: bool) -> GateServerSettings:
    settings = GateServerSettings(
        access=None if brings_access else table.path("access"),
        decisions=table.path("decisions") if "decisions" in table else None,
        workers=table.number("workers", WORKERS) if "workers" in table else 1,
        shutdown_seconds=table.number("shutdown_seconds", GATE_SHUTDOWN_SECONDS),
        reload_seconds=table.number("reload_seconds", GATE_RELOAD_SECONDS) if "reload_seconds" in table else None,
        status=_status(table) if "status" in table else None,
        lookups_per_source=table.number("lookups_per_source", LOOKUPS_PER_SOURCE),
        lookups_per_zone=table.number("lookups_per_zone", LOOKUPS_PER_ZONE),
    )
    table.done()
    return settings


def _status(table: TomlTable) -> Endpoint:
    try:
        endpoint = address_and_port(table.text("status"))
    except Malformed as error:
        raise table.wrong(error.what, "status") from None
    if not ipaddress.ip_address(endpoint.host).is_loopback:
        raise table.wrong("is told to this machine alone: a loopback address", "status")
    return endpoint


def read_gate(table: TomlTable) -> GateRule:
    """One `[gate.LABEL]`; Malformed."""
    place = table.place
    protocol = table.chosen("protocol", {word: word for word in GATED}, "tcp")
    options = table.table("options")
    gated = GATED[protocol](options)
    options.done()
    rule = GateRule(
        label=table.name,
        listen=_listen(table),
        target=_target(table),
        protocol=protocol,
        door=table.text("door"),
        tls=_tls(table),
        gated=gated,
        proxy=table.chosen("proxy_protocol", PROXY_MODES, ProxyMode.NONE),
        accept_proxy_from=_networks(table),
        limits=AdmissionLimits(
            connections=table.number("connections", GATE_CONNECTIONS),
            per_name=table.number("connections_per_name", GATE_CONNECTIONS_PER_NAME),
            rate_per_name=table.number("rate_per_name", GATE_RATE_PER_NAME),
        ),
        times=GateTimes.read(table),
        buffer_octets=table.number("buffer_octets", GATE_BUFFER_OCTETS),
        place=place,
    )
    table.done()
    return rule


def _listen(table: TomlTable) -> tuple[Endpoint, ...]:
    texts = table.texts("listen")
    try:
        found = tuple(map(address_and_port, texts))
    except Malformed as error:
        raise table.wrong(error.what, "listen") from None
    if not found:
        raise table.wrong("is missing", "listen")
    return found


def _target(table: TomlTable) -> Target:
    danger = table.flag("danger_unsafe_target")
    try:
        return Target.parse(table.text("target"), danger_unsafe=danger)
    except Malformed as error:
        raise table.wrong(error.what, "target") from None


def _networks(table: TomlTable) -> tuple[Network, ...]:
    texts = table.texts("accept_proxy_from")
    try:
        return tuple(map(ipaddress.ip_network, texts))
    except ValueError as error:
        raise table.wrong(str(error), "accept_proxy_from") from None


def _tls(table: TomlTable) -> TlsSettings:
    versions = tuple(sorted(table.choices("tls", _VERSIONS, (TLS_1_3,))))
    settings = TlsSettings(
        credential=table.path("credential"),
        certificate=table.path("certificate") if "certificate" in table else None,
        tls=versions,
        profiles=_profiles(table, versions),
        claim_from=table.choices("claim_from", _SOURCES, (NameSource.EXTENSION, NameSource.SAN)),
        key_exchange=table.chosen("key_exchange", _EXCHANGES, KeyExchange.DEFAULT),
        ticket_seconds=table.number("ticket_seconds", TICKET_SECONDS),
        ticket_keys=table.path("ticket_keys") if "ticket_keys" in table else None,
        chain_file=table.path("chain_file") if "chain_file" in table else None,
        carried_from=table.texts("carried_from"),
        handshakes=table.number("handshakes", HANDSHAKES_AT_ONCE),
        handshakes_per_source=table.number("handshakes_per_source", HANDSHAKES_PER_SOURCE),
        handshake_seconds=table.number("handshake_seconds", HANDSHAKE_SECONDS),
    )
    if settings.ticket_keys is not None and not settings.ticket_seconds:
        raise table.wrong("without ticket_seconds there are no tickets", "ticket_keys")
    if settings.key_exchange is KeyExchange.HYBRID_ONLY and TLS_1_2 in settings.tls:
        raise table.wrong('hybrid-only is spoken in TLS 1.3 alone: say tls = ["1.3"]', "key_exchange")
    return settings


def _profiles(table: TomlTable, versions: tuple[int, ...]) -> tuple[Profile, ...]:
    """cid07 is the profile of TLS 1.2, and opens the door to it."""
    usual = (Profile.CA13,) if TLS_1_2 not in versions else (Profile.CA13, Profile.CID07)
    chosen = table.choices("profiles", _PROFILES, usual)
    if TLS_1_2 in versions and Profile.CID07 not in chosen:
        raise table.wrong("TLS 1.2 needs profile cid07", "profiles")
    if TLS_1_2 not in versions and chosen == (Profile.CID07,):
        raise table.wrong("TLS 1.3 needs profile ca13 or ca10", "profiles")
    return chosen
