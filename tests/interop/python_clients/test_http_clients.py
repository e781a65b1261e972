"""HTTP libraries given our Context as their ssl context, unchanged: what works, and each way it must fail."""

import asyncio
import http.client
import ssl
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from typing import Any

import aiohttp
import httpx
import pytest
import requests
import requests.adapters
import urllib3
import uvloop

from dnsbound.edge.context import Context
from dnsbound.errors import DnsboundError, Reason
from dnsbound.tls.errors import TLSAlertReceived, TLSCertificateRefused, TLSUndecided

Fetch = Callable[[Context, str], bytes]
LARGE = 3_000_000


def httpx_sync(context: Context, url: str) -> bytes:
    with httpx.Client(verify=context) as client:
        return client.get(url).content


def httpx_sync_http2(context: Context, url: str) -> bytes:
    with httpx.Client(verify=context, http2=True) as client:
        response = client.get(url)
        assert response.http_version == "HTTP/2"
        return response.content


def httpx_async(context: Context, url: str) -> bytes:
    async def work() -> bytes:
        async with httpx.AsyncClient(verify=context) as client:
            return (await client.get(url)).content

    return asyncio.run(work())


def httpx_async_http2(context: Context, url: str) -> bytes:
    async def work() -> bytes:
        async with httpx.AsyncClient(verify=context, http2=True) as client:
            response = await client.get(url)
            assert response.http_version == "HTTP/2"
            return response.content

    return asyncio.run(work())


def urllib3_pool(context: Context, url: str) -> bytes:
    with urllib3.PoolManager(ssl_context=context, retries=False) as pool:
        return pool.request("GET", url).data


def requests_adapter(context: Context, url: str) -> bytes:
    class Adapter(requests.adapters.HTTPAdapter):
        def init_poolmanager(self, *arguments: Any, **options: Any) -> None:
            super().init_poolmanager(*arguments, ssl_context=context, **options)

    with requests.Session() as session:
        session.mount("https://", Adapter())
        return session.get(url, timeout=20).content


async def aiohttp_get(context: Context, url: str) -> bytes:
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=context)) as session, session.get(url) as reply:
        return await reply.read()


def aiohttp_asyncio(context: Context, url: str) -> bytes:
    return asyncio.run(aiohttp_get(context, url))


def aiohttp_uvloop(context: Context, url: str) -> bytes:
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(aiohttp_get(context, url))


def http_client(context: Context, url: str) -> bytes:
    parts = urllib.parse.urlsplit(url)
    connection = http.client.HTTPSConnection(parts.hostname or "", parts.port, context=context, timeout=20)
    try:
        connection.request("GET", parts.path)
        return connection.getresponse().read()
    finally:
        connection.close()


def urllib_request(context: Context, url: str) -> bytes:
    with urllib.request.urlopen(url, context=context, timeout=20) as response:
        body: bytes = response.read()
        return body


async def streams(context: Context, url: str) -> bytes:
    parts = urllib.parse.urlsplit(url)
    reader, writer = await asyncio.open_connection(parts.hostname, parts.port, ssl=context)
    try:
        writer.write(f"GET {parts.path} HTTP/1.1\r\nHost: {parts.netloc}\r\nConnection: close\r\n\r\n".encode())
        answer = await reader.read()
        return _body(answer)
    finally:
        writer.close()


def _body(answer: bytes) -> bytes:
    head, _, body = answer.partition(b"\r\n\r\n")
    if b"chunked" not in head.lower():
        return body
    whole = b""
    while body:
        size, _, rest = body.partition(b"\r\n")
        whole += rest[: int(size, 16)]
        body = rest[int(size, 16) + 2 :]
    return whole


def streams_asyncio(context: Context, url: str) -> bytes:
    return asyncio.run(streams(context, url))


def streams_uvloop(context: Context, url: str) -> bytes:
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(streams(context, url))


CLIENTS: dict[str, Fetch] = {
    fetch.__name__: fetch
    for fetch in (
        httpx_sync,
        httpx_sync_http2,
        httpx_async,
        httpx_async_http2,
        urllib3_pool,
        requests_adapter,
        aiohttp_asyncio,
        aiohttp_uvloop,
        http_client,
        urllib_request,
        streams_asyncio,
        streams_uvloop,
    )
}


@pytest.fixture(params=sorted(CLIENTS))
def fetch(request: pytest.FixtureRequest) -> Fetch:
    return CLIENTS[request.param]


def causes(error: BaseException) -> Iterator[BaseException]:
    """The error and everything it was made of, as far as the library kept it."""
    seen: list[BaseException] = []
    todo: list[object] = [error]
    while todo:
        one = todo.pop()
        if isinstance(one, BaseException) and one not in seen:
            seen.append(one)
            yield one
            todo += [one.__cause__, one.__context__, getattr(one, "reason", None), *one.args]
            todo += getattr(one, "exceptions", ())


def failure(fetch: Fetch, context: Context, url: str, kind: type[BaseException]) -> Any:
    """The error of ours under whatever the library raised."""
    with pytest.raises(Exception) as caught:  # noqa: PT011 (each library has its own)
        fetch(context, url)
    found = [error for error in causes(caught.value) if isinstance(error, kind)]
    assert found, repr(caught.value)
    assert isinstance(found[0], ssl.SSLError)
    assert isinstance(found[0], DnsboundError)
    return found[0]


def test_fetches(fetch: Fetch, context: Context, servers: Callable[[str], str]) -> None:
    """The server takes this client's certificate alone, so it was shown."""
    url = servers("good")
    assert fetch(context, f"{url}/hello") == b"/hello"
    assert fetch(context, f"{url}/again") == b"/again", "a Context serves many connections"


def test_fetches_much(fetch: Fetch, context: Context, servers: Callable[[str], str]) -> None:
    assert len(fetch(context, f"{servers('good')}/large/{LARGE}")) == LARGE


@pytest.mark.parametrize(("case", "code"), [("unknown authority", 18), ("wrong name", 62), ("expired", 10)])
def test_server_that_is_not_authentic(
    fetch: Fetch, context: Context, servers: Callable[[str], str], case: str, code: int
) -> None:
    assert failure(fetch, context, f"{servers(case)}/", TLSCertificateRefused).verify_code == code


def test_refusal_is_seen_on_the_first_read(fetch: Fetch, context: Context, servers: Callable[[str], str]) -> None:
    error = failure(fetch, context, f"{servers('refuses the client')}/", TLSAlertReceived)
    assert error.reason == "TLSV1_ALERT_UNKNOWN_CA"


class Unasked:
    """A resolver that nobody may ask during a handshake."""

    def lookup(self, *_question: Any, **_options: Any) -> Any:
        raise AssertionError

    lookup_blocking = lookup


@pytest.mark.parametrize("name", sorted(CLIENTS.keys() - {"aiohttp_uvloop"}))
def test_server_tlsa_must_be_prepared(name: str, own: Any, servers: Callable[[str], str]) -> None:
    """Not aiohttp on uvloop: the same error, but uvloop leaves the socket object it was given open when a handshake
    fails before its first octet (`streams_uvloop` has no such object)."""
    context = Context.client(own, resolver=Unasked(), server_tlsa="require")
    error = failure(CLIENTS[name], context, f"{servers('good')}/", TLSUndecided)
    assert error.reason is Reason.INDETERMINATE


def test_posts_much(context: Context, servers: Callable[[str], str]) -> None:
    body = b"y" * LARGE
    with httpx.Client(verify=context, timeout=20) as client:
        assert client.post(f"{servers('good')}/", content=body).content == body
    with urllib3.PoolManager(ssl_context=context) as pool:
        assert pool.request("POST", f"{servers('good')}/", body=body).data == body


def test_connections_are_reused(context: Context, servers: Callable[[str], str]) -> None:
    """Liveness checks of pools (select on the socket) must not take a quiet connection for a dead one."""
    url = servers("good")
    with urllib3.PoolManager(ssl_context=context) as pool:
        for number in range(5):
            assert pool.request("GET", f"{url}/{number}").data == b"/%d" % number
        [(_, connections)] = [(key, pool.pools[key]) for key in list(pool.pools.keys())]
        assert connections.num_connections == 1
        assert connections.num_requests == 5


def test_many_at_once(context: Context, servers: Callable[[str], str]) -> None:
    """One Context, concurrent connections: anyio makes its TLS objects in worker threads."""
    url = servers("good")

    async def work() -> list[bytes]:
        async with httpx.AsyncClient(verify=context, limits=httpx.Limits(max_connections=10)) as client:
            replies = await asyncio.gather(*(client.get(f"{url}/{number}") for number in range(30)))
            return [reply.content for reply in replies]

    assert asyncio.run(work()) == [b"/%d" % number for number in range(30)]


def test_urllib3_pins_and_own_host_names(servers: Callable[[str], str], own: Any) -> None:
    """urllib3 checks a pinned fingerprint, or another host name, itself: it switches our check off, so it must be
    allowed to, and then reads the certificate."""
    from machines.native_pairs import authority

    context = Context.client(own, danger_unverified_server=True)
    context.load_verify_locations(cadata=authority().chain[0])
    with (
        urllib3.PoolManager(ssl_context=context, assert_hostname="elsewhere.example", retries=False) as pool,
        pytest.raises(urllib3.exceptions.SSLError, match="elsewhere"),
    ):
        pool.request("GET", f"{servers('good')}/")
    with urllib3.PoolManager(ssl_context=context, assert_hostname="other.example", retries=False) as pool:
        assert pool.request("GET", f"{servers('wrong name')}/x").data == b"/x"
