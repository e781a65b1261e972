"""authz.toml: what `dnsbound serve authz` is told, read as a whole or not at all.

    [server]
    access = "access.toml"                  # each front names a door of it

    [front.nginx-api]                       # one for each server that asks
    protocol = "http"
    listen = "unix:/run/dnsbound/nginx.sock"
    users = ["www-data"]
    door = "api.cars.example"
    claim_from = ["san"]

Every key is described in docs/howto/verify-service.md. Paths are relative to the file; an unknown key is an error. What
a protocol's own keys mean is its face's (`authz_faces`), what `[materialise.NAME]` means is `material_configuration`'s.
Nothing here opens a socket or asks the DNS.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import Final, Self

from dnsbound.door_limits import (
    FRONT_CONNECTIONS,
    FRONT_IDLE_SECONDS,
    FRONT_REQUEST_SECONDS,
    FRONT_SECRET_CHARACTERS,
)
from dnsbound.edge.authz_faces import FACES
from dnsbound.edge.authz_sockets import PeerUsers, Place, TcpPlace, UnixPlace, group_of, place_of, user_of
from dnsbound.edge.front import FRONT_NAME_SOURCES, Front
from dnsbound.edge.material_configuration import read_materials
from dnsbound.edge.materialiser import MaterialSettings
from dnsbound.edge.secret_files import read_secret_file
from dnsbound.edge.served_front import FrontSettings
from dnsbound.edge.toml_tables import TomlTable, TomlText
from dnsbound.errors import Malformed, Misuse
from dnsbound.limits import LOOKUPS_PER_SOURCE, LOOKUPS_PER_ZONE, WORKERS
from dnsbound.verify.claim import NameSource

_SOURCES: Final = MappingProxyType({source.value: source for source in FRONT_NAME_SOURCES})
_LABEL: Final = re.compile(r"[A-Za-z0-9._-]{1,64}")
_MODE: Final = re.compile(r"0?[0-7]{3}")
_SECRET: Final = re.compile(rb"[A-Za-z0-9_~.+=-]+")
"""Characters that stand in a path and in a header field as they are."""
_HEXADECIMAL: Final = re.compile(rb"[0-9A-Fa-f]+")
_HEXADECIMAL_CHARACTERS: Final = 32
_OPEN: Final = 0o666
"""The kernel says who connects (`PeerUsers`), so the mode need not."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AuthzServerSettings:
    """`[server]`. workers: processes. lookups: a minute, of names by pattern, for one client address and one zone."""

    access: Path
    decisions: Path | None = None
    metrics: str | None = None
    workers: int = 1
    lookups_per_source: int = LOOKUPS_PER_SOURCE.default
    lookups_per_zone: int = LOOKUPS_PER_ZONE.default


@dataclass(frozen=True, slots=True, kw_only=True)
class AuthzConfiguration:
    """All of an authz.toml. places: file and line of each front, by label."""

    path: Path
    server: AuthzServerSettings
    fronts: tuple[FrontSettings, ...]
    places: MappingProxyType[str, str]
    materials: tuple[MaterialSettings, ...] = ()

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read the file and the secrets it names. Malformed or Misuse, in one line with file and key."""
        return cls.from_text(TomlText.read(path).text, path=path)

    @classmethod
    def from_text(cls, text: str, *, path: Path) -> Self:
        """path: what relative paths are relative to, and what errors begin with."""
        table = TomlTable.of(TomlText(path=path, text=text))
        server = _server(table.table("server"))
        places: dict[str, str] = {}
        fronts: list[FrontSettings] = []
        for one in table.table("front").each():
            places[one.name] = one.place
            fronts.append(_front(one))
            if any(_same(fronts[-1].place, other.place) for other in fronts[:-1]):
                raise one.wrong("another front listens there: which of them asks could not be told", "listen")
        materials = read_materials(table.table("materialise"))
        table.done()
        if not fronts and not materials:
            raise table.wrong("no [front.NAME]: nobody could ask")
        return cls(
            path=path,
            server=server,
            fronts=tuple(fronts),
            places=MappingProxyType(places),
            materials=materials,
        )

    def check_doors(self, doors: Iterable[str]) -> None:
        """Malformed, with the line of the front, for a door that the access list does not have."""
        known = set(doors)
        for settings in self.fronts:
            front = settings.front
            if front.door not in known:
                place = self.places[front.label]
                raise Malformed(f"{place}: door: the access list {self.server.access} has no {front.door!r}")
        for material in self.materials:
            if material.door not in known:
                place = f"{self.path}: [materialise.{material.label}]"
                raise Malformed(f"{place}: door: the access list {self.server.access} has no {material.door!r}")


def _server(table: TomlTable) -> AuthzServerSettings:
    settings = AuthzServerSettings(
        access=table.path("access"),
        decisions=table.path("decisions") if "decisions" in table else None,
        metrics=table.text("metrics") if "metrics" in table else None,
        workers=table.number("workers", WORKERS) if "workers" in table else 1,
        lookups_per_source=table.number("lookups_per_source", LOOKUPS_PER_SOURCE),
        lookups_per_zone=table.number("lookups_per_zone", LOOKUPS_PER_ZONE),
    )
    table.done()
    return settings


def _front(table: TomlTable) -> FrontSettings:
    if _LABEL.fullmatch(table.name) is None:
        raise table.wrong("the name of a front is up to 64 letters, digits, dots, hyphens and underscores")
    protocol = table.text("protocol")
    if protocol not in FACES:
        raise table.wrong(f"is {' or '.join(FACES)}, not {protocol!r}", "protocol")
    place, secrets = _place(table), _secrets(table)
    front = Front(
        label=table.name,
        door=table.text("door"),
        protocol=protocol,
        claim_from=table.choices("claim_from", _SOURCES, (NameSource.SAN,)),
        secrets=secrets,
    )
    peers = _peers(table, place, secrets)
    connections = table.number("connections", FRONT_CONNECTIONS)
    request_seconds = table.number("request_seconds", FRONT_REQUEST_SECONDS)
    idle_seconds = table.number("idle_seconds", FRONT_IDLE_SECONDS)
    options = FACES[protocol].options(table, front)
    table.done()
    return FrontSettings(
        front=replace(front, options=options),
        place=place,
        peers=peers,
        connections=connections,
        request_seconds=request_seconds,
        idle_seconds=idle_seconds,
    )


def _place(table: TomlTable) -> Place:
    anywhere = table.flag("danger_listen_anywhere")
    mode = table.text("socket_mode", f"{_OPEN:04o}")
    if _MODE.fullmatch(mode) is None:
        raise table.wrong('is not a mode such as "0660"', "socket_mode")
    group = table.text("socket_group") if "socket_group" in table else None
    try:
        number = None if group is None else group_of(group)
        place = place_of(table.text("listen"), mode=int(mode, 8), group=number)
    except Malformed as error:
        raise table.wrong(error.what, "listen" if group is None else "socket_group") from None
    if isinstance(place, TcpPlace):
        if not place.is_loopback and not anywhere:
            raise table.wrong(
                "is no loopback address: whoever reaches it sees certificates and could guess secrets"
                " (danger_listen_anywhere would allow it)",
                "listen",
            )
        if group is not None or int(mode, 8) != _OPEN:
            raise table.wrong("socket_mode and socket_group are for listen = unix:...")
    return place


def _peers(table: TomlTable, place: Place, secrets: tuple[bytes, ...]) -> PeerUsers | None:
    """A front is known by its user, its secret, or both; by neither it could be anybody."""
    words, groups = table.texts("users"), table.texts("groups")
    if isinstance(place, TcpPlace):
        if words or groups:
            raise table.wrong("is for listen = unix:...: over TCP nobody can tell who connects", "users")
        if not secrets:
            raise table.wrong("over TCP a front is known by its secret_file alone", "listen")
        return None
    if not words and not groups and not secrets:
        raise table.wrong("say in users who may connect, or in secret_file what they have to know")
    try:
        peers = PeerUsers(users=frozenset(map(user_of, words)), groups=frozenset(map(group_of, groups)))
    except Malformed as error:
        raise table.wrong(error.what, "users") from None
    return peers if words or groups else None


def _secrets(table: TomlTable) -> tuple[bytes, ...]:
    """The lines of a file: the first is in use, the others are being replaced or about to be used."""
    if "secret_file" not in table:
        return ()
    path = table.path("secret_file")
    try:
        secrets = tuple(line.strip() for line in read_secret_file(path).splitlines() if line.strip())
    except Misuse as error:
        raise table.wrong(str(error), "secret_file") from None
    if not secrets:
        raise table.wrong(f"{path} holds none", "secret_file")
    for secret in secrets:
        short = len(secret) < FRONT_SECRET_CHARACTERS.minimum
        if short or (_HEXADECIMAL.fullmatch(secret) and len(secret) < _HEXADECIMAL_CHARACTERS):
            raise table.wrong(f"{path}: a secret has 128 bits: `openssl rand -hex 16` makes one", "secret_file")
        if len(secret) > FRONT_SECRET_CHARACTERS.maximum or _SECRET.fullmatch(secret) is None:
            raise table.wrong(f"{path}: a secret is letters, digits, and -._~+= alone", "secret_file")
    return secrets


def _same(one: Place, other: Place) -> bool:
    if isinstance(one, UnixPlace) and isinstance(other, UnixPlace):
        return one.path == other.path
    return one == other and isinstance(one, TcpPlace) and one.endpoint.port != 0
