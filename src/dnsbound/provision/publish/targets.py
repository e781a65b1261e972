"""Where each zone is published, as the tables of `dnsbound.toml` or of a file of their own say:

    [publish."cars.example"]
    to = "rfc2136"                       # or "powerdns", "octodns", "zonefile", "embedded"
    server = "192.0.2.1"                 # the primary that takes updates
    key_file = "cars.example.key"        # TSIG: BIND's `key {}` or `algorithm:name:secret`; mode 0600
    servers = ["192.0.2.1", "192.0.2.2"] # everybody who answers for the zone; found in the DNS when not said

An unknown key is refused. Paths are relative to the file. A secret is a file: it is neither in these tables nor in the
inventory.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import ClassVar, Final, TypeAlias

from dnsbound.errors import DnsboundError, Malformed, Misuse
from dnsbound.limits import (
    PUBLISH_AFTER_SECONDS,
    PUBLISH_BATCH,
    PUBLISH_IN_FLIGHT,
    PUBLISH_REMOVALS,
    PUBLISH_SECONDS,
    Limit,
)
from dnsbound.provision.owner import OwnerName
from dnsbound.provision.publish.endpoint import Endpoint
from dnsbound.provision.publish.http_exchange import HttpOrigin

SERVER_ID: Final = "localhost"
"""The only server an authoritative PowerDNS has; a proxy before several may know others."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """What is said of a zone, however it is published.

    servers: all authoritative servers, empty to find them by NS. removals: how many names may lose all their records in
    one run without being asked for; a tenth of what is published is always allowed.
    """

    kind: ClassVar[str]
    zone: OwnerName
    servers: tuple[Endpoint, ...] = ()
    removals: int = PUBLISH_REMOVALS.default


@dataclass(frozen=True, slots=True, kw_only=True)
class Rfc2136Target(Target):
    """A primary that takes dynamic updates (RFC 2136) signed by TSIG (RFC 8945)."""

    kind: ClassVar[str] = "rfc2136"
    server: Endpoint
    key_file: Path
    batch: int = PUBLISH_BATCH.default
    in_flight: int = PUBLISH_IN_FLIGHT.default
    seconds: int = PUBLISH_SECONDS.default


@dataclass(frozen=True, slots=True, kw_only=True)
class PowerDnsTarget(Target):
    """The HTTP API of a PowerDNS authoritative server.

    url: https, or http to a loopback address. key_file: one line, the API key. server_id: as in the API's paths.
    in_flight: names that are read at once.
    """

    kind: ClassVar[str] = "powerdns"
    url: HttpOrigin
    key_file: Path
    server_id: str = SERVER_ID
    batch: int = PUBLISH_BATCH.default
    in_flight: int = PUBLISH_IN_FLIGHT.default
    seconds: int = PUBLISH_SECONDS.default


@dataclass(frozen=True, slots=True, kw_only=True)
class OctoDnsTarget(Target):
    """A DNS host, through a provider of OctoDNS. config: OctoDNS's own file. provider: the name of one in it."""

    kind: ClassVar[str] = "octodns"
    config: Path
    provider: str
    batch: int = PUBLISH_BATCH.default


@dataclass(frozen=True, slots=True, kw_only=True)
class ZoneFileTarget(Target):
    """A file for a server or signer to load.

    whole: the whole zone, SOA and NS from the inventory; otherwise our records alone, to be included by a zone file.
    after: a command and its arguments, run without a shell once the file is in place. seconds: for the command.
    """

    kind: ClassVar[str] = "zonefile"
    file: Path
    whole: bool = False
    after: tuple[str, ...] = ()
    seconds: int = PUBLISH_AFTER_SECONDS.default


@dataclass(frozen=True, slots=True, kw_only=True)
class EmbeddedTarget(Target):
    """The authority of this package, which answers out of the inventory: every change is published by itself."""

    kind: ClassVar[str] = "embedded"


class TargetTable:
    """One table while it is read: each reading takes a key away, and what is left in the end is an error."""

    def __init__(self, zone: OwnerName, table: Mapping[str, object], where: Path) -> None:
        self.zone = zone
        self._left = dict(table)
        self._where = where

    def wrong(self, what: str) -> Malformed:
        return Malformed(f'{self._where}: [publish."{self.zone}"]: {what}')

    def text(self, key: str) -> str:
        value = self._left.pop(key, None)
        if not isinstance(value, str) or not value:
            raise self.wrong(f"{key} is missing" if value is None else f"{key} is text")
        return value

    def optional_text(self, key: str, default: str) -> str:
        return self.text(key) if key in self._left else default

    def path(self, key: str) -> Path:
        return self._where.parent / Path(self.text(key)).expanduser()

    def optional_path(self, key: str) -> Path | None:
        return self.path(key) if key in self._left else None

    def endpoint(self, key: str) -> Endpoint:
        return self._endpoint(self.text(key))

    def _endpoint(self, text: str) -> Endpoint:
        try:
            return Endpoint.parse(text)
        except Malformed as error:
            raise self.wrong(str(error)) from None

    def texts(self, key: str) -> tuple[str, ...]:
        value = self._left.pop(key, [])
        if not isinstance(value, list) or not all(isinstance(entry, str) and entry for entry in value):
            raise self.wrong(f"{key} is a list of texts")
        return tuple(value)

    def endpoints(self, key: str) -> tuple[Endpoint, ...]:
        return tuple(map(self._endpoint, self.texts(key)))

    def choice(self, key: str, choices: Mapping[str, bool], default: str) -> bool:
        value = self._left.pop(key, default)
        if not isinstance(value, str) or value not in choices:
            raise self.wrong(f"{key} is one of {', '.join(choices)}, not {value!r}")
        return choices[value]

    def number(self, key: str, limit: Limit) -> int:
        value = self._left.pop(key, None)
        if value is not None and (not isinstance(value, int) or isinstance(value, bool)):
            raise self.wrong(f"{key} is a whole number")
        try:
            return limit.checked(value)
        except Misuse as error:
            raise self.wrong(f"{key}: {error}") from None

    def end(self) -> None:
        if self._left:
            raise self.wrong(f"unknown key {min(self._left)!r}")


def _rfc2136(table: TargetTable) -> Target:
    return Rfc2136Target(
        zone=table.zone,
        server=table.endpoint("server"),
        key_file=table.path("key_file"),
        batch=table.number("batch", PUBLISH_BATCH),
        in_flight=table.number("in_flight", PUBLISH_IN_FLIGHT),
        seconds=table.number("seconds", PUBLISH_SECONDS),
        servers=table.endpoints("servers"),
        removals=table.number("removals", PUBLISH_REMOVALS),
    )


def _powerdns(table: TargetTable) -> Target:
    url = table.text("url")
    try:
        origin = HttpOrigin.parse(url, ca_file=table.optional_path("ca_file"))
    except DnsboundError as error:
        raise table.wrong(f"url: {error}") from None
    return PowerDnsTarget(
        zone=table.zone,
        url=origin,
        key_file=table.path("key_file"),
        server_id=table.optional_text("server_id", SERVER_ID),
        batch=table.number("batch", PUBLISH_BATCH),
        in_flight=table.number("in_flight", PUBLISH_IN_FLIGHT),
        seconds=table.number("seconds", PUBLISH_SECONDS),
        servers=table.endpoints("servers"),
        removals=table.number("removals", PUBLISH_REMOVALS),
    )


def _octodns(table: TargetTable) -> Target:
    return OctoDnsTarget(
        zone=table.zone,
        config=table.path("config"),
        provider=table.text("provider"),
        batch=table.number("batch", PUBLISH_BATCH),
        servers=table.endpoints("servers"),
        removals=table.number("removals", PUBLISH_REMOVALS),
    )


def _zonefile(table: TargetTable) -> Target:
    return ZoneFileTarget(
        zone=table.zone,
        file=table.path("file"),
        whole=table.choice("content", {"records": False, "zone": True}, "records"),
        after=table.texts("after"),
        seconds=table.number("seconds", PUBLISH_AFTER_SECONDS),
        servers=table.endpoints("servers"),
        removals=table.number("removals", PUBLISH_REMOVALS),
    )


def _embedded(table: TargetTable) -> Target:
    return EmbeddedTarget(zone=table.zone, servers=table.endpoints("servers"))


TARGETS: Final[Mapping[str, Callable[[TargetTable], Target]]] = MappingProxyType(
    {
        Rfc2136Target.kind: _rfc2136,
        PowerDnsTarget.kind: _powerdns,
        OctoDnsTarget.kind: _octodns,
        ZoneFileTarget.kind: _zonefile,
        EmbeddedTarget.kind: _embedded,
    }
)

Targets: TypeAlias = Mapping[str, Target]
"""Targets by the text of their zone's name."""


def parse_targets(table: object, where: Path) -> Targets:
    """The `publish` table of a parsed TOML file. where: the file. Malformed, with the table and the key."""
    if not isinstance(table, Mapping):
        raise Malformed(f"{where}: publish is a table of zones")
    targets: dict[str, Target] = {}
    for name, entry in table.items():
        try:
            zone = OwnerName.parse(str(name))
        except Malformed as error:
            raise Malformed(f"{where}: publish: {error}") from None
        if not isinstance(entry, Mapping):
            raise Malformed(f'{where}: publish: "{name}" is no table; write [publish."{zone}"]')
        if zone.text in targets:
            raise Malformed(f"{where}: publish: {zone} is there twice")
        targets[zone.text] = _parse(TargetTable(zone, entry, where))
    return MappingProxyType(targets)


def _parse(table: TargetTable) -> Target:
    kind = table.text("to")
    if kind not in TARGETS:
        raise table.wrong(f"to is one of {', '.join(TARGETS)}, not {kind!r}")
    target = TARGETS[kind](table)
    table.end()
    return target


def target_of(targets: Targets, owner: OwnerName) -> Target | None:
    """The target of the nearest zone at or above a name."""
    return next((targets[text] for text in owner.ancestors if text in targets), None)
