"""`[client.LABEL]` of gate.toml: a client-side gate, by which programs of this machine speak as a DNS name.

    [client.report]
    listen = "unix:/run/dnsbound/report.sock"  # or "127.0.0.1:1883"
    users = ["car"]                            # whose programs may use it
    target = "report.gov.example:8883"
    credential = "car54.pem"

Every key is described in docs/howto/gate-client.md. Whoever reaches the listener is the credential's name: so a Unix
socket is its owner's alone unless it says otherwise, and TCP is on loopback addresses.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final

from dnsbound.credential.pkcs11_uri import SCHEME
from dnsbound.door_limits import GATE_BUFFER_OCTETS, GATE_CONNECTIONS
from dnsbound.edge.authz_sockets import Place, TcpPlace, UnixPlace, group_of, place_of, user_of
from dnsbound.edge.gate_times import GateTimes
from dnsbound.edge.key_exchange import KeyExchange
from dnsbound.edge.local_users import LocalUsers
from dnsbound.edge.outward_target import OutwardTls, ServerAuth, ServerPlace
from dnsbound.edge.toml_tables import TomlTable
from dnsbound.errors import Malformed
from dnsbound.protocols.gated import GatedProtocol, PassedThrough
from dnsbound.protocols.outward_http import OutwardHttp

_MODE: Final = re.compile(r"0?[0-7]{3}")
_OWNER_ALONE: Final = 0o600
_AUTHS: Final = MappingProxyType({auth.value: auth for auth in ServerAuth})
_EXCHANGES: Final = MappingProxyType({choice.value: choice for choice in KeyExchange})


@dataclass(frozen=True, slots=True, kw_only=True)
class Outward:
    """A protocol of client-side gates. alpn: offered where the table says nothing."""

    filter: Callable[[], GatedProtocol]
    alpn: tuple[str, ...] = ()


OUTWARD: Final[Mapping[str, Outward]] = MappingProxyType(
    {
        "tcp": Outward(filter=PassedThrough),
        "http": Outward(filter=OutwardHttp, alpn=("http/1.1",)),
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class OutwardRule:
    """One `[client.LABEL]`. users: whose connections are taken; None for everybody who reaches the listener.
    connections: at once. place: file and line."""

    label: str
    listen: tuple[Place, ...]
    server: ServerPlace
    protocol: str
    tls: OutwardTls
    users: LocalUsers | None = None
    times: GateTimes = field(default_factory=GateTimes)
    buffer_octets: int = GATE_BUFFER_OCTETS.default
    connections: int = GATE_CONNECTIONS.default
    place: str = ""

    @property
    def open_places(self) -> tuple[TcpPlace, ...]:
        """Where every user of this machine may speak as the credential's name, or every machine that reaches it."""
        return () if self.users is not None else tuple(each for each in self.listen if isinstance(each, TcpPlace))


def read_outward(table: TomlTable) -> OutwardRule:
    """Malformed, with file, line and key."""
    place = table.place
    protocol = table.chosen("protocol", {word: word for word in OUTWARD}, "tcp")
    rule = OutwardRule(
        label=table.name,
        listen=_listen(table),
        server=_server(table),
        protocol=protocol,
        tls=_tls(table, OUTWARD[protocol].alpn),
        users=_users(table),
        times=GateTimes.read(table),
        buffer_octets=table.number("buffer_octets", GATE_BUFFER_OCTETS),
        connections=table.number("connections", GATE_CONNECTIONS),
        place=place,
    )
    table.done()
    if rule.users is not None and any(isinstance(each, TcpPlace) and not each.is_loopback for each in rule.listen):
        raise table.wrong("of other machines' connections nobody can tell whose they are", "users")
    return rule


def _listen(table: TomlTable) -> tuple[Place, ...]:
    danger = table.flag("danger_unsafe_listen")
    mode = table.text("socket_mode", f"{_OWNER_ALONE:04o}")
    if _MODE.fullmatch(mode) is None:
        raise table.wrong('is not a mode such as "0660"', "socket_mode")
    group = table.text("socket_group") if "socket_group" in table else None
    try:
        number = None if group is None else group_of(group)
        found = tuple(place_of(text, mode=int(mode, 8), group=number) for text in table.texts("listen"))
    except Malformed as error:
        raise table.wrong(error.what, "listen") from None
    if not found:
        raise table.wrong("is missing", "listen")
    for each in found:
        if isinstance(each, TcpPlace) and not each.is_loopback and not danger:
            raise table.wrong(
                f"{each} is reached by other machines, whose programs would all be this name: unix:PATH or a loopback "
                "address, or danger_unsafe_listen",
                "listen",
            )
    if not any(isinstance(each, UnixPlace) for each in found) and ("socket_mode" in table or group is not None):
        raise table.wrong("socket_mode and socket_group are for listen = unix:...")
    return found


def _server(table: TomlTable) -> ServerPlace:
    name = table.text("server_name") if "server_name" in table else None
    try:
        return ServerPlace.parse(table.text("target"), name=name)
    except Malformed as error:
        raise table.wrong(error.what, "target") from None


def _users(table: TomlTable) -> LocalUsers | None:
    if "users" not in table:
        return None
    try:
        found = frozenset(map(user_of, table.texts("users")))
    except Malformed as error:
        raise table.wrong(error.what, "users") from None
    if not found:
        raise table.wrong("names nobody: nobody could use this", "users")
    return LocalUsers(users=found)


def _tls(table: TomlTable, alpn: tuple[str, ...]) -> OutwardTls:
    credential = table.text("credential")
    auth = table.chosen("server_auth", _AUTHS, ServerAuth.TLSA)
    settings = OutwardTls(
        credential=credential if credential.startswith(SCHEME) else table.beside(credential),
        certificate=table.path("certificate") if "certificate" in table else None,
        name=table.text("name") if "name" in table else None,
        raw=table.flag("raw_public_key") if "raw_public_key" in table else None,
        server_auth=auth,
        cacert=table.path("cacert") if "cacert" in table else None,
        alpn=table.texts("alpn", alpn),
        key_exchange=table.chosen("key_exchange", _EXCHANGES, KeyExchange.DEFAULT),
    )
    if settings.cacert is not None and auth is ServerAuth.TLSA:
        raise table.wrong('is for server_auth = "ca": by TLSA records no authority is trusted', "cacert")
    return settings
