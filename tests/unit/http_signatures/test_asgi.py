"""Signed requests through ASGI, httpx as the client and the application in one process; no TLS anywhere."""

import asyncio
import json
from typing import Any

import httpx
import pytest

from dnsbound import AccessList, Reason, Refused
from dnsbound.adapters.asgi import require
from dnsbound.adapters.client_cert_field import ClientCertField
from dnsbound.adapters.http_signatures_asgi import SignedRequestsMiddleware
from dnsbound.adapters.http_signatures_httpx import SignedByName
from dnsbound.edge.nonces import NoncesHere
from dnsbound.edge.object_verifier import ObjectVerifier
from dnsbound.edge.request_signing import RequestSigner
from dnsbound.edge.signed_requests import SignedRequests
from dnsbound.errors import LimitExceeded, Misuse
from dnsbound.objects.http_signatures.message import HttpRequest
from dnsbound.protocols.identity_headers import byte_sequence
from dnsbound.testing import World
from dnsbound.testing.faults import Fault

ORIGIN = "https://api.gov.example"
SERVER = "api.gov.example"


class Estate:
    """A world with a car that may come in, one that may not, and a server with a name of its own."""

    def __init__(self, world: World) -> None:
        self.world = world
        cars = world.organisation("cars.example")
        self.car = cars.device("car54")
        self.raw = cars.device("car55", kind="raw")
        self.stranger = cars.device("car99")
        self.server = world.organisation("gov.example").identity("api")
        self.resolver = world.resolver()
        entries = ", ".join(
            f'{{ names = ["{device.name}"], grants = {{ role = "{role}" }} }}'
            for device, role in ((self.car, "fleet"), (self.raw, "guest"))
        )
        self.access = AccessList.from_toml(f"[door.api]\nallow = [{entries}]\n")

    def requests(self, **options: Any) -> SignedRequests:
        verifier = ObjectVerifier(self.access, self.resolver, door="api")
        return SignedRequests(verifier, origin=ORIGIN, nonces=NoncesHere(), **options)

    def answers(self, *names: str) -> ObjectVerifier:
        return ObjectVerifier.expecting(names or (SERVER,), self.resolver)


@pytest.fixture(scope="module")
def estate() -> Any:
    with World() as world:
        yield Estate(world)


async def echo(scope: Any, receive: Any, send: Any) -> None:
    """Says who came, and with what."""
    told, body = scope["extensions"]["dnsbound"], b""
    more = True
    while more:
        message = await receive()
        body += message["body"]
        more = message["more_body"]
    said = {"name": told["name"], "grants": dict(told["grants"]), "octets": len(body), "method": scope["method"]}
    assert scope["state"]["verified_peer"] is told["verified_peer"]
    content = json.dumps(said).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(content)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    half = len(content) // 2
    await send({"type": "http.response.body", "body": content[:half], "more_body": True})
    await send({"type": "http.response.body", "body": content[half:]})


def ask(app: Any, auth: Any, method: str = "POST", path: str = "/a%2Fb?x=1", **options: Any) -> httpx.Response:
    async def once() -> httpx.Response:
        transport = httpx.ASGITransport(app=app, client=options.pop("client", ("192.0.2.7", 1)))
        async with httpx.AsyncClient(transport=transport, base_url=ORIGIN, auth=auth) as client:
            return await client.request(method, path, **options)

    return asyncio.run(once())


@pytest.mark.parametrize("method", ["GET", "POST", "DELETE"])
def test_a_signed_request_comes_in_by_name(estate: Estate, method: str) -> None:
    app = SignedRequestsMiddleware(echo, estate.requests())
    content = b"42 km" if method == "POST" else b""
    response = ask(app, SignedByName(estate.car.credential), method, content=content)
    assert response.status_code == 200
    assert response.json() == {
        "name": estate.car.name.text,
        "grants": {"role": "fleet"},
        "octets": len(content),
        "method": method,
    }


def test_grants_are_required_by_the_same_gate(estate: Estate) -> None:
    app = SignedRequestsMiddleware(require(echo, role="fleet"), estate.requests())
    assert ask(app, SignedByName(estate.car.credential)).status_code == 200
    assert ask(app, SignedByName(estate.raw.credential)).status_code == 403


def test_who_is_not_known_is_told_what_to_sign_and_not_why(estate: Estate) -> None:
    app = SignedRequestsMiddleware(echo, estate.requests())
    impostor = estate.stranger.credential
    answers = [ask(app, auth) for auth in (None, SignedByName(impostor))]
    for response in answers:
        assert response.status_code == 401
        assert response.headers["accept-signature"].startswith('dnsbound=("@method" "@target-uri"')
        assert "www-authenticate" in response.headers
    assert answers[0].content == answers[1].content


def test_the_application_gets_what_was_signed_and_once(estate: Estate) -> None:
    app = SignedRequestsMiddleware(echo, estate.requests())
    auth = Kept(estate.car.credential)
    assert ask(app, auth, content=b"42 km").status_code == 200
    sent = auth.sent
    assert sent is not None
    headers = sent.headers.raw
    for content, status in ((b"42 km", 401), (b"43 km", 401)):
        assert ask(app, None, headers=headers, content=content).status_code == status
    assert ask(app, None, path="/other", headers=headers, content=b"42 km").status_code == 401


class Kept(SignedByName):
    """Keeps the request it signed last."""

    sent: httpx.Request | None = None

    def _sign(self, request: httpx.Request) -> Any:
        signed = super()._sign(request)
        self.sent = request
        return signed


def test_a_name_whose_records_are_gone_is_refused_and_silence_is_503(estate: Estate) -> None:
    gone = estate.world.organisation("gone.example").device("car1")
    access = AccessList.allowing("api", [gone.name.text])
    requests = SignedRequests(
        ObjectVerifier(access, estate.world.resolver(), door="api"), origin=ORIGIN, nonces=NoncesHere()
    )
    app = SignedRequestsMiddleware(echo, requests)
    estate.world.fault("gone.example", Fault.SERVFAIL, whole_zone=True)
    response = ask(app, SignedByName(gone.credential))
    assert response.status_code == 503
    assert response.headers["retry-after"]
    estate.world.heal()
    gone.revoke()
    assert ask(app, SignedByName(gone.credential)).status_code == 401


def test_too_much_content_is_413_and_never_held(estate: Estate) -> None:
    app = SignedRequestsMiddleware(echo, estate.requests(content_octets=10))
    assert ask(app, SignedByName(estate.car.credential), content=b"0123456789").status_code == 200
    assert ask(app, SignedByName(estate.car.credential), content=b"0123456789.").status_code == 413


def test_agreed_fields_are_signed(estate: Estate) -> None:
    app = SignedRequestsMiddleware(echo, estate.requests(cover=["x-tenant"]))
    covering = SignedByName(estate.car.credential, cover=["X-Tenant"])
    assert ask(app, covering, headers={"X-Tenant": "cars"}).status_code == 200
    assert ask(app, SignedByName(estate.car.credential), headers={"X-Tenant": "cars"}).status_code == 401
    assert ask(app, SignedByName(estate.car.credential)).status_code == 200


def test_optional_lets_nobody_in_and_still_refuses_what_does_not_hold(estate: Estate) -> None:
    app = SignedRequestsMiddleware(echo, estate.requests(), optional=True)
    assert ask(app, None).json()["name"] is None
    assert ask(app, SignedByName(estate.stranger.credential)).status_code == 401
    assert ask(app, None, headers={"Signature": "dnsbound=:AAAA:"}).status_code == 401
    assert ask(app, SignedByName(estate.car.credential)).json()["name"] == estate.car.name.text


@pytest.mark.parametrize(("fronts", "status"), [(["192.0.2.7"], 200), (["192.0.2.8"], 401), ([], 401)])
def test_hs_09_a_front_may_show_the_certificate(estate: Estate, fronts: list[str], status: int) -> None:
    app = SignedRequestsMiddleware(echo, estate.requests(), shown=ClientCertField(fronts=fronts))
    auth = SignedByName(estate.car.credential, key_in_band=False)
    shown = byte_sequence(estate.car.credential.chain[0])
    assert ask(app, auth, headers={"Client-Cert": shown}).status_code == status
    assert ask(app, auth).status_code == 401
    assert ask(app, auth, headers=[("Client-Cert", shown), ("Client-Cert", shown)]).status_code == 401
    assert ask(app, auth, headers={"Client-Cert": "nonsense"}).status_code == 401


def test_fronts_are_addresses() -> None:
    with pytest.raises(Misuse):
        ClientCertField(fronts=["front.example"])
    assert ClientCertField(fronts=["192.0.2.7"])("nonsense", []) is None


def test_hs_13_answers_are_signed_and_verified(estate: Estate) -> None:
    app = SignedRequestsMiddleware(echo, estate.requests(), answers=estate.server.credential)
    auth = SignedByName(estate.raw.credential, answers=estate.answers())
    for method in ("POST", "GET", "HEAD"):
        response = ask(app, auth, method)
        assert response.extensions["dnsbound"].name == estate.server.name
        assert response.status_code == 200
    with pytest.raises(Refused) as refused:
        ask(app, SignedByName(estate.raw.credential, answers=estate.answers("other.gov.example")))
    assert refused.value.reason is Reason.NOT_PERMITTED


def test_hs_13_an_answer_that_nobody_signed_is_refused(estate: Estate) -> None:
    app = SignedRequestsMiddleware(echo, estate.requests())
    with pytest.raises(Refused) as refused:
        ask(app, SignedByName(estate.raw.credential, answers=estate.answers()))
    assert refused.value.reason is Reason.NO_CREDENTIAL


def test_hs_13_an_encoded_answer_is_refused(estate: Estate) -> None:
    async def encoding(scope: Any, receive: Any, send: Any) -> None:
        assert dict(scope["headers"])[b"accept-encoding"] == b"identity"
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-encoding", b"gzip")]})
        await send({"type": "http.response.body", "body": b""})

    app = SignedRequestsMiddleware(encoding, estate.requests(), answers=estate.server.credential)
    with pytest.raises(Refused):
        ask(app, SignedByName(estate.raw.credential, answers=estate.answers()))


def test_hs_13_what_is_too_long_to_be_held_is_not_signed(estate: Estate) -> None:
    requests = estate.requests(content_octets=20)
    app = SignedRequestsMiddleware(echo, requests, answers=estate.server.credential)
    with pytest.raises(LimitExceeded):
        ask(app, SignedByName(estate.raw.credential))


def test_synchronous_clients_sign_too(estate: Estate) -> None:
    requests = estate.requests()
    seen: list[str] = []

    def answer(request: httpx.Request) -> httpx.Response:
        read = HttpRequest.of(request.method, str(request.url), request.headers.raw)
        verified, _ = requests.verify_blocking(read, lambda: request.content)
        seen.append(verified.name.text)
        return httpx.Response(204)

    with httpx.Client(transport=httpx.MockTransport(answer), auth=SignedByName(estate.car.credential)) as client:
        assert client.put(f"{ORIGIN}/x", content=b"y").status_code == 204
    assert seen == [estate.car.name.text]


def scoped(kind: str, headers: list[tuple[bytes, bytes]] | None = None) -> dict[str, Any]:
    return {"type": kind, "method": "GET", "path": "/", "headers": headers or [], "query_string": b""}


def run(app: Any, scope: dict[str, Any], *messages: dict[str, Any]) -> list[dict[str, Any]]:
    sent: list[dict[str, Any]] = []
    waiting = list(messages)

    async def receive() -> dict[str, Any]:
        return waiting.pop(0)

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    asyncio.run(app(scope, receive, send))
    return sent


def test_websockets_are_refused_or_nobodys(estate: Estate) -> None:
    async def sockets(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "seen", "name": scope["extensions"]["dnsbound"]["name"]})

    closed = run(
        SignedRequestsMiddleware(sockets, estate.requests()), scoped("websocket"), {"type": "websocket.connect"}
    )
    assert closed == [{"type": "websocket.close", "code": 1008}]
    seen = run(SignedRequestsMiddleware(sockets, estate.requests(), optional=True), scoped("websocket"))
    assert seen == [{"type": "seen", "name": None}]


def test_lifespan_passes_and_a_client_that_went_away_gets_nothing(estate: Estate) -> None:
    async def other(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": scope["type"]})

    assert run(SignedRequestsMiddleware(other, estate.requests()), {"type": "lifespan"}) == [{"type": "lifespan"}]
    made = estate_request(estate.car.credential, "https://api.gov.example/")
    scope = scoped("http", [(n.encode(), v.encode()) for n, v in made.fields])
    gone = run(SignedRequestsMiddleware(other, estate.requests()), scope, {"type": "http.disconnect"})
    assert gone == []


def estate_request(credential: Any, url: str) -> HttpRequest:
    return RequestSigner(credential).sign("GET", url, []).message


def test_ways_around_the_response_messages_are_not_offered(estate: Estate) -> None:
    offered: list[set[str]] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        offered.append(set(scope["extensions"]))
        await send({"type": "http.response.start", "status": 204, "headers": []})
        await send({"type": "http.response.body"})

    made = estate_request(estate.car.credential, "https://api.gov.example/")
    scope = scoped("http", [(n.encode(), v.encode()) for n, v in made.fields])
    scope["extensions"] = {"http.response.pathsend": {}, "tls": {}}
    wrapped: Any = SignedRequestsMiddleware(app, estate.requests(), answers=estate.server.credential)
    sent = run(wrapped, scope, {"type": "http.request", "body": b"", "more_body": False})
    assert offered == [{"tls", "dnsbound"}]
    assert b"signature" in dict(sent[0]["headers"])
