"""The middlewares of web applications, without any server: what they tell, and whom they believe."""

import asyncio
from typing import Any

import pytest

from dnsbound import Misuse
from dnsbound.adapters.asgi import require as asgi_require
from dnsbound.adapters.behind_front import FRONT_PEER, AsgiBehindFront, BehindFront, FrontPeer
from dnsbound.adapters.required_grants import grants_hold
from dnsbound.adapters.wsgi import VerifiedPeerMiddleware, require

NAME = "car54._device.cars.example"
UNTIL = "2030-01-01T00:00:00Z"
NOW = 1_700_000_000.0
TOLD = {
    "HTTP_DNSBOUND_NAME": NAME,
    "HTTP_DNSBOUND_DOOR": "api",
    "HTTP_DNSBOUND_GRANTS": '{"role":"reader"}',
    "HTTP_DNSBOUND_VALID_UNTIL": UNTIL,
}

FIELDS = [
    (b"dnsbound-name", NAME.encode()),
    (b"dnsbound-valid-until", UNTIL.encode()),
    (b"dnsbound-door", b"api"),
    (b"dnsbound-grants", b"{}"),
]


def told_by_wsgi(environ: dict[str, Any], **options: Any) -> FrontPeer | None:
    seen: list[Any] = []

    def application(environ: dict[str, Any], _start: Any) -> list[bytes]:
        seen.append(environ[FRONT_PEER])
        return []

    BehindFront(application, clock=lambda: NOW, **options)(environ, lambda *_: None)
    return seen[0]


def told_by_asgi(client: Any, fields: list[tuple[bytes, bytes]], **options: Any) -> FrontPeer | None:
    seen: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        seen.append(scope["extensions"]["dnsbound"]["front_peer"])

    scope = {"type": "http", "client": client, "headers": fields, "extensions": {"dnsbound": {"front_peer": "forged"}}}
    asyncio.run(AsgiBehindFront(app, clock=lambda: NOW, **options)(scope, None, None))  # type: ignore[arg-type]
    return seen[0]


def test_a_front_at_a_unix_socket_is_believed() -> None:
    peer = told_by_wsgi({**TOLD, "REMOTE_ADDR": ""})
    assert peer is not None
    assert (peer.name.canonical, peer.door, peer.grants) == (NAME, "api", {"role": "reader"})
    fields = [*FIELDS[:1], (b"Dnsbound-Valid-Until", UNTIL.encode()), *FIELDS[2:]]
    assert told_by_asgi(None, fields) == FrontPeer(name=peer.name, door="api", grants={}, valid_until=peer.valid_until)


@pytest.mark.parametrize("missing", [1, 2, 3])
def test_a_front_says_all_of_its_fields_or_is_not_believed(missing: int) -> None:
    """Some front ends drop whatever field a client names in Connection, the identity's too."""
    fields = [*FIELDS[:missing], *FIELDS[missing + 1 :]]
    assert told_by_asgi(None, FIELDS) is not None
    assert told_by_asgi(None, fields) is None


def test_only_listed_addresses_are_believed() -> None:
    fields = FIELDS
    for fronts, address, believed in (
        (["127.0.0.1"], "127.0.0.1", True),
        (["127.0.0.1"], "127.0.0.2", False),
        (["::1"], "0:0::1", True),
        ([], "127.0.0.1", False),
        (["127.0.0.1"], "nonsense", False),
    ):
        assert (told_by_wsgi({**TOLD, "REMOTE_ADDR": address}, fronts=fronts) is not None) is believed
        assert (told_by_asgi((address, 1), fields, fronts=fronts) is not None) is believed


@pytest.mark.parametrize(
    "changes",
    [
        {"HTTP_DNSBOUND_NAME": ""},
        {"HTTP_DNSBOUND_NAME": "not a name"},
        {"HTTP_DNSBOUND_NAME": f"{NAME}, {NAME}"},
        {"HTTP_DNSBOUND_GRANTS": "[]"},
        {"HTTP_DNSBOUND_GRANTS": "{"},
        {"HTTP_DNSBOUND_VALID_UNTIL": ""},
        {"HTTP_DNSBOUND_VALID_UNTIL": "soon"},
        {"HTTP_DNSBOUND_VALID_UNTIL": "2020-01-01T00:00:00Z"},
    ],
)
def test_what_no_front_of_ours_says_makes_nobody(changes: dict[str, str]) -> None:
    assert told_by_wsgi({**TOLD, **changes, "REMOTE_ADDR": ""}) is None


def test_two_names_are_nobodys() -> None:
    fields = [
        (b"dnsbound-valid-until", UNTIL.encode()),
        (b"dnsbound-name", NAME.encode()),
        (b"dnsbound-name", b"a.b.c"),
    ]
    assert told_by_asgi(None, fields) is None


def test_fronts_are_addresses() -> None:
    with pytest.raises(Misuse):
        BehindFront(lambda _environ, _start: [], fronts=["localhost"])


@pytest.mark.parametrize(
    ("granted", "wanted", "holds"),
    [
        ({}, {}, True),
        ({"role": "admin"}, {"role": "admin"}, True),
        ({"role": ["reader", "admin"]}, {"role": "admin"}, True),
        ({"role": "administrator"}, {"role": "admin"}, False),
        ({}, {"role": "admin"}, False),
        ({}, {"role": None}, False),
        ({"role": "admin"}, {"role": "admin", "site": 1}, False),
        ({"role": "admin", "site": 1}, {"role": "admin", "site": 1}, True),
    ],
)
def test_grants_hold_each_by_itself_or_in_a_list(granted: Any, wanted: Any, holds: bool) -> None:
    assert grants_hold(granted, wanted) is holds


def test_require_turns_away_whoever_has_no_name_or_no_grant() -> None:
    answers: list[str] = []
    guarded = require(lambda _environ, _start: [b"in"], role="admin")

    def start(status: str, _fields: Any) -> None:
        answers.append(status)

    for environ in ({}, {"dnsbound.peer": None, "dnsbound.grants": {"role": "admin"}}):
        assert guarded(environ, start) == [b"forbidden\n"]
    assert guarded({"dnsbound.peer": object(), "dnsbound.grants": {"role": "reader"}}, start) == [b"forbidden\n"]
    assert guarded({"dnsbound.peer": object(), "dnsbound.grants": {"role": "admin"}}, start) == [b"in"]
    assert answers == ["403 Forbidden"] * 3


@pytest.mark.parametrize("kind", ["http", "websocket"])
def test_require_in_asgi(kind: str) -> None:
    said: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        said.append("in")

    async def send(event: Any) -> None:
        said.append(event.get("status", event.get("code", "")))

    async def receive() -> Any:
        return {"type": "websocket.connect"}

    async def main() -> None:
        guarded = asgi_require(app, role="admin")
        for peer, grants in ((None, {"role": "admin"}), (object(), {}), (object(), {"role": "admin"})):
            told = {"verified_peer": peer, "name": None, "grants": grants}
            await guarded({"type": kind, "extensions": {"dnsbound": told}}, receive, send)
        await guarded({"type": kind}, receive, send)
        await guarded({"type": "lifespan"}, receive, send)

    asyncio.run(main())
    refused = [403, ""] if kind == "http" else [1008]
    assert said == [*refused, *refused, "in", *refused, "in"]


def test_outside_of_servers_of_ours_nobody_is_told() -> None:
    with pytest.raises(Misuse):
        VerifiedPeerMiddleware(lambda _environ, _start: [])({}, lambda *_: None)
