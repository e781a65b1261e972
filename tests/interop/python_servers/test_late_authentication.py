"""A web application that authenticates its client after the handshake: unmodified uvicorn and hypercorn, httpx."""

import asyncio
import http.client
import json
import re
import socket
import ssl
import threading
from pathlib import Path
from typing import Any

import httpx
import pytest
import websockets

from dnsbound import AccessList, Authenticator, verified_peer
from dnsbound.adapters.asgi import VerifiedPeerMiddleware
from dnsbound.adapters.asgi_late import LateAuthenticationMiddleware
from dnsbound.adapters.http_authentication import Answer, Reference, challenge_in
from dnsbound.adapters.httpx_late import AsyncLateAuthenticationTransport, LateAuthenticationTransport
from dnsbound.credential.keys import KeyAlgorithm
from dnsbound.edge.connection_of import shim_of
from dnsbound.edge.exported_authentication import answer_request, decline_request
from dnsbound.errors import Reason
from dnsbound.testing import World
from dnsbound.tls.errors import TLSMisuse
from interop.python_servers.running import hypercorn_server, uvicorn_server
from machines.doors import LOOPS, PATIENCE, SERVER, Door, car, door

SERVERS = {"uvicorn": uvicorn_server, "hypercorn": hypercorn_server}


async def application(scope: Any, receive: Any, send: Any) -> None:
    """Says who asks; at /private it asks who that is; what it was sent it repeats."""
    body = b""
    while (message := await receive())["type"] == "http.request":
        body += message.get("body", b"")
        if not message.get("more_body"):
            break
    late = scope["extensions"]["dnsbound"].get("late", False)
    peer = verified_peer()
    assert peer is scope["extensions"]["dnsbound"]["verified_peer"]
    answer = json.dumps(
        {"name": peer and str(peer.name), "late": late, "version": scope["http_version"], "body": body.decode()}
    ).encode()
    status = 401 if scope["path"] == "/private" and not late else 200
    fields = [(b"content-type", b"application/json"), (b"content-length", str(len(answer)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": fields})
    await send({"type": "http.response.body", "body": answer})


app = VerifiedPeerMiddleware(LateAuthenticationMiddleware(application))


def late_client(at: Door, device: Any, *, handshake: Any = None, **options: Any) -> httpx.Client:
    transport = LateAuthenticationTransport(device.credential, at.client(handshake), **options)
    return httpx.Client(transport=transport, timeout=PATIENCE)


def fields(response: httpx.Response) -> dict[str, str]:
    return {name: value for name, value in response.headers.items() if name in {"www-authenticate", "cache-control"}}


@pytest.mark.parametrize("kind", LOOPS)
@pytest.mark.parametrize("server", SERVERS)
def test_a_client_says_who_it_is_where_it_is_asked(kind: str, server: str, world: World) -> None:
    device, at = car(world), door(world, policy="optional")
    with SERVERS[server](kind, app, at.context) as port, late_client(at, device) as client:
        url = f"https://{SERVER}:{port}"
        assert client.get(f"{url}/").json() == {"name": None, "late": False, "version": "1.1", "body": ""}
        seen = client.post(f"{url}/private", content="much ado").json()
        assert seen == {"name": str(device.name), "late": True, "version": "1.1", "body": "much ado"}
        for _ in range(3):
            assert client.get(f"{url}/private").json()["name"] == str(device.name)
    assert at.reasons == ["admitted"], "the later requests refer to it"


@pytest.mark.parametrize("kind", LOOPS)
def test_http2_with_many_requests_at_once(kind: str, world: World) -> None:
    """All on one connection, one of them answers the challenge, and each is covered for itself."""
    device, at = car(world), door(world, policy="optional")

    async def main(port: int) -> list[Any]:
        transport = AsyncLateAuthenticationTransport(device.credential, at.client(None), http2=True)
        async with httpx.AsyncClient(transport=transport, timeout=PATIENCE) as client:
            url = f"https://{SERVER}:{port}"
            private = await asyncio.gather(*(client.get(f"{url}/private") for _ in range(10)))
            stream = private[0].extensions["network_stream"].get_extra_info("ssl_object")
            assert all(one.extensions["network_stream"].get_extra_info("ssl_object") is stream for one in private)
            return [one.json() for one in private]

    with hypercorn_server(kind, app, at.context) as port:
        answers = asyncio.run(main(port))
    assert {(one["version"], one["name"]) for one in answers} == {("2", str(device.name))}
    assert at.reasons == ["admitted"]


@pytest.mark.parametrize("server", SERVERS)
def test_over_tls_1_2(server: str, world: World) -> None:
    """A door that allows TLS 1.2, and a client that speaks nothing newer: in its handshake it says no name."""
    device, at = car(world), door(world, policy="optional", profiles=["ca13", "cid07"])
    old = at.client(None)
    old.maximum_version = ssl.TLSVersion.TLSv1_2
    transport = LateAuthenticationTransport(device.credential, old)
    with (
        SERVERS[server]("asyncio", app, at.context) as port,
        httpx.Client(transport=transport, timeout=PATIENCE) as client,
    ):
        response = client.get(f"https://{SERVER}:{port}/private")
        assert response.json()["name"] == str(device.name)
        assert shim_of(response.extensions["network_stream"]).version() == "TLSv1.2"
        assert client.get(f"https://{SERVER}:{port}/private").json()["name"] == str(device.name)
    assert at.reasons == ["admitted"]
    assert at.decisions[0].protocol == "TLSv1.2"


def test_a_post_quantum_key_fits_a_field(world: World) -> None:
    device, at = car(world, algorithm=KeyAlgorithm.MLDSA65), door(world, policy="optional")
    with uvicorn_server("asyncio", app, at.context) as port, late_client(at, device) as client:
        assert client.get(f"https://{SERVER}:{port}/private").json()["name"] == str(device.name)


def test_the_identity_covers_the_requests_that_refer_to_it_and_no_others(world: World) -> None:
    device, at = car(world), door(world, policy="optional")
    with (
        uvicorn_server("asyncio", app, at.context) as port,
        httpx.Client(verify=at.client(None), timeout=PATIENCE, base_url=f"https://{SERVER}:{port}") as client,
    ):
        challenged = client.get("/private")
        assert challenged.status_code == 401
        assert challenged.headers["cache-control"] == "no-store"
        request = challenge_in(challenged.headers.get_list("www-authenticate"))
        assert request is not None
        stream = challenged.extensions["network_stream"].get_extra_info("ssl_object")
        answer = answer_request(stream, request, device.credential)
        answered = client.get("/private", headers={"Authorization": Answer(answer).to_text()})
        assert answered.json()["name"] == str(device.name)
        context = request[5 : 5 + request[4]]
        assert client.get("/", headers={"Authorization": Reference(context).to_text()}).json()["late"] is True
        assert client.get("/").json() == {"name": None, "late": False, "version": "1.1", "body": ""}
        assert client.get("/private").status_code == 401
        again = client.get("/private", headers={"Authorization": Answer(answer).to_text()})
        assert (again.status_code, again.content) == (403, b""), "an answer is taken once"
        unknown = client.get("/private", headers={"Authorization": Reference(b"x" * 32).to_text()})
        assert unknown.status_code == 401
        for broken in ("", " context=!", " authenticator=AAAA"):
            refused = client.get("/", headers={"Authorization": "Exported-Authenticator" + broken})
            assert (refused.status_code, refused.content) == (403, b"")
        other = client.get("/", headers={"Authorization": "Bearer abc"})
        assert other.json()["late"] is False
        assert shim_of(stream) is shim_of(other.extensions["network_stream"]), "all that was one connection"
    assert at.reasons == ["admitted", Reason.NO_POSSESSION]


@pytest.mark.parametrize("server", SERVERS)
def test_an_identity_does_not_cover_the_requests_that_were_pipelined_behind_it(server: str, world: World) -> None:
    """uvicorn begins the next request while it sends the last of an answer."""
    device, at = car(world), door(world, policy="optional")
    with (
        SERVERS[server]("asyncio", app, at.context) as port,
        socket.create_connection(("127.0.0.1", port), PATIENCE) as plain,
        at.client(None).wrap_socket(plain, server_hostname=SERVER) as connection,
    ):
        connection.sendall(b"GET /private HTTP/1.1\r\nhost: localhost\r\n\r\n")
        asked = http.client.HTTPResponse(connection)
        asked.begin()
        asked.read()
        request = challenge_in([asked.headers["www-authenticate"]])
        assert request is not None
        answer = Answer(answer_request(connection, request, device.credential)).to_text()
        bare = "GET / HTTP/1.1\r\nhost: localhost\r\n\r\n"
        named = f"GET /private HTTP/1.1\r\nhost: localhost\r\nauthorization: {answer}\r\n\r\n"
        connection.sendall((named + bare + bare).encode())
        octets = b""
        while octets.count(b'"body"') < 3:
            octets += connection.recv(65536)
    assert re.findall(rb'"name": ([^,]*)', octets) == [f'"{device.name}"'.encode(), b"null", b"null"]


def test_one_challenge_waits_at_a_time(world: World) -> None:
    at = door(world, policy="optional")
    with (
        uvicorn_server("asyncio", app, at.context) as port,
        httpx.Client(verify=at.client(None), timeout=PATIENCE, base_url=f"https://{SERVER}:{port}") as client,
    ):
        challenges = {client.get("/private").headers["www-authenticate"] for _ in range(5)}
        assert len(challenges) == 1
        [text] = challenges
        stream = client.get("/").extensions["network_stream"].get_extra_info("ssl_object")
        declined = decline_request(stream, challenge_in([text]) or b"")
        response = client.get("/private", headers={"Authorization": Answer(declined).to_text()})
        assert response.status_code == 401, "who declines is nobody, and the application says what that means"
        assert response.headers["www-authenticate"] not in challenges
    assert at.reasons == [Reason.NO_CREDENTIAL]


def test_after_so_many_challenges_a_connection_gets_no_more(world: World) -> None:
    from dnsbound.limits import AUTHENTICATOR_CONTEXTS

    at = door(world, policy="optional")
    with (
        uvicorn_server("asyncio", app, at.context) as port,
        httpx.Client(verify=at.client(None), timeout=PATIENCE, base_url=f"https://{SERVER}:{port}") as client,
    ):
        for _ in range(AUTHENTICATOR_CONTEXTS.default):
            response = client.get("/private")
            stream = response.extensions["network_stream"].get_extra_info("ssl_object")
            declined = decline_request(stream, challenge_in([response.headers["www-authenticate"]]) or b"")
            response = client.get("/", headers={"Authorization": Answer(declined).to_text()})
            assert response.status_code == 200
        assert client.get("/private").status_code == 403
        assert client.get("/").status_code == 200


@pytest.mark.parametrize("what", ["revoked", "stranger"])
def test_who_is_refused_gets_403_and_no_reason(what: str, world: World) -> None:
    at = door(world, policy="optional")
    device = car(world) if what == "revoked" else world.organisation("strangers.example").device("x")
    device.revoke()
    with uvicorn_server("asyncio", app, at.context) as port, late_client(at, device) as client:
        response = client.get(f"https://{SERVER}:{port}/private")
        assert (response.status_code, response.content, fields(response)) == (403, b"", {"cache-control": "no-store"})
        assert client.get(f"https://{SERVER}:{port}/").json()["name"] is None, "the connection goes on"
    assert at.reasons == [Reason.NO_TLSA if what == "revoked" else Reason.NOT_PERMITTED]


def test_a_step_up_to_another_door(world: World) -> None:
    """The car came in by its handshake; what its driver may do is another list's to say."""
    device, driver, at = car(world), car(world, "driver"), door(world, "car54._device.cars.example")
    drivers = AccessList.from_toml('[door.drivers]\nallow = ["driver._device.cars.example"]\n')
    authenticator = Authenticator(drivers, at.resolver, door="drivers")
    stepped = VerifiedPeerMiddleware(
        LateAuthenticationMiddleware(
            application, authenticator=authenticator, required=lambda scope: scope["path"].startswith("/drive")
        )
    )
    with (
        uvicorn_server("asyncio", stepped, at.context) as port,
        late_client(at, driver, handshake=device) as client,
        late_client(at, device, handshake=device) as without,
    ):
        url = f"https://{SERVER}:{port}"
        assert client.get(f"{url}/").json()["name"] == str(device.name)
        assert client.get(f"{url}/drive").json()["name"] == str(driver.name)
        assert without.get(f"{url}/drive").status_code == 403, "a car is no driver"
        assert without.get(f"{url}/").json()["name"] == str(device.name)
        assert sorted(str(session.peer.name) for session in authenticator.sessions) == [str(driver.name)]


@pytest.mark.parametrize("http2", [False, True])
def test_a_removed_record_ends_identity_and_connection_and_the_next_is_refused(http2: bool, world: World) -> None:
    device, at = car(world), door(world, policy="optional")

    async def main(port: int) -> None:
        transport = AsyncLateAuthenticationTransport(device.credential, at.client(None), http2=http2)
        async with httpx.AsyncClient(transport=transport, timeout=PATIENCE) as client:
            url = f"https://{SERVER}:{port}/private"
            assert (await client.get(url)).json()["name"] == str(device.name)
            assert device.revoke()
            async with asyncio.timeout(PATIENCE):
                while True:
                    await asyncio.sleep(0.1)
                    try:
                        if (await client.get(url)).status_code == 403:
                            return
                    except (httpx.TransportError, ssl.SSLError):
                        continue

    with hypercorn_server("asyncio", app, at.context) as port:
        asyncio.run(main(port))
    assert at.decisions[-1].reason is Reason.NO_TLSA
    assert len(at.authenticator.sessions) == 0


def test_a_new_connection_is_authenticated_again(world: World) -> None:
    """The server ends every connection after a few requests."""
    device, at = car(world), door(world, policy="optional")

    async def closing(scope: Any, receive: Any, send: Any) -> None:
        async def sending(message: Any) -> None:
            if message["type"] == "http.response.start":
                message = {**message, "headers": [*message["headers"], (b"connection", b"close")]}
            await send(message)

        await app(scope, receive, sending if scope["path"] == "/close" else send)

    with uvicorn_server("asyncio", closing, at.context) as port, late_client(at, device) as client:
        url = f"https://{SERVER}:{port}"
        for _ in range(3):
            assert client.get(f"{url}/private").json()["name"] == str(device.name)
            assert client.get(f"{url}/close").status_code == 200
    assert at.reasons == ["admitted"] * 3


def test_a_server_that_never_keeps_a_connection_is_given_up(world: World) -> None:
    device, at = car(world), door(world, policy="optional")

    async def closing(scope: Any, receive: Any, send: Any) -> None:
        async def sending(message: Any) -> None:
            if message["type"] == "http.response.start":
                message = {**message, "headers": [*message["headers"], (b"connection", b"close")]}
            await send(message)

        await app(scope, receive, sending)

    with uvicorn_server("asyncio", closing, at.context) as port, late_client(at, device) as client:
        assert client.get(f"https://{SERVER}:{port}/private").status_code == 403
    assert set(at.reasons) == {Reason.NO_POSSESSION}


def test_threads_share_a_client(world: World) -> None:
    device, at = car(world), door(world, policy="optional")
    seen: list[Any] = []
    with uvicorn_server("asyncio", app, at.context) as port, late_client(at, device) as client:

        def ask() -> None:
            seen.extend(client.get(f"https://{SERVER}:{port}/private").json()["name"] for _ in range(5))

        threads = [threading.Thread(target=ask) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(PATIENCE)
    assert seen == [str(device.name)] * 20
    assert at.reasons == ["admitted"]


def test_http_1_1_with_many_requests_at_once(world: World) -> None:
    device, at = car(world), door(world, policy="optional")

    async def main(port: int) -> list[Any]:
        transport = AsyncLateAuthenticationTransport(device.credential, at.client(None))
        async with httpx.AsyncClient(transport=transport, timeout=PATIENCE) as client:
            return await asyncio.gather(*(client.get(f"https://{SERVER}:{port}/private") for _ in range(10)))

    with uvicorn_server("asyncio", app, at.context) as port:
        answers = asyncio.run(main(port))
    assert {one.json()["name"] for one in answers} == {str(device.name)}
    assert at.reasons == ["admitted"]


def test_an_unread_response_keeps_its_connection(world: World) -> None:
    device, at = car(world), door(world, policy="optional")
    with uvicorn_server("asyncio", app, at.context) as port, late_client(at, device) as client:
        url = f"https://{SERVER}:{port}/private"
        with client.stream("GET", url) as response, pytest.raises(httpx.PoolTimeout):
            client.get(url, timeout=httpx.Timeout(PATIENCE, pool=0.2))
        assert response.status_code == 200
        assert client.get(url).json()["name"] == str(device.name)


def test_websockets_are_covered_by_their_handshake(world: World) -> None:
    """A websocket that requires a late identity and brings none is not accepted."""
    at = door(world, policy="optional")
    guarded = LateAuthenticationMiddleware(application, required=lambda scope: scope["type"] == "websocket")

    async def main(port: int) -> None:
        with pytest.raises(websockets.InvalidStatus) as caught:
            await websockets.connect(f"wss://{SERVER}:{port}/", ssl=at.client(None))
        assert caught.value.response.status_code == 403

    with uvicorn_server("asyncio", guarded, at.context) as port:
        asyncio.run(main(port))


def test_a_raw_key_and_a_second_word_on_tls_are_refused(world: World, tmp_path: Path) -> None:
    device, at = car(world), door(world, policy="optional")
    with pytest.raises(TLSMisuse):
        LateAuthenticationTransport(device.credential.as_raw_key(), at.client(None))
    with pytest.raises(TLSMisuse):
        LateAuthenticationTransport(device.credential, at.client(None), verify=False)
    at.resolver.close()


@pytest.mark.parametrize("challenge", ["AAAA", "%%%", "DQAAAA"])
def test_a_challenge_that_is_none_is_the_servers_fault(challenge: str, world: World) -> None:
    device, at = car(world), door(world, policy="optional")

    async def odd(scope: Any, receive: Any, send: Any) -> None:
        text = f'Exported-Authenticator request="{challenge}"'.encode()
        fields = [(b"content-length", b"0"), (b"www-authenticate", text)]
        await send({"type": "http.response.start", "status": 401, "headers": fields})
        await send({"type": "http.response.body", "body": b""})

    with uvicorn_server("asyncio", odd, at.context) as port, late_client(at, device) as client:
        if challenge == "%%%":
            assert client.get(f"https://{SERVER}:{port}/").status_code == 401
            return
        with pytest.raises(httpx.RemoteProtocolError):
            client.get(f"https://{SERVER}:{port}/")
