"""Signed requests through WSGI, httpx as the client."""

import json
import time
from collections.abc import Iterable
from typing import Any

import httpx
import pytest

from dnsbound.adapters.http_signatures_httpx import SignedByName
from dnsbound.adapters.http_signatures_wsgi import SIGNED_REQUEST, SignedRequestsMiddleware
from dnsbound.adapters.wsgi import require
from dnsbound.edge.signed_requests import SignedRequests
from unit.claims import NAME
from unit.http_signatures.signed_messages import ORIGIN, OTHER, RAW, door, records, tlsa


def echo(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
    body = environ["wsgi.input"].read()
    said = {"user": environ["REMOTE_USER"], "octets": len(body), "front": environ.get("HTTP_DNSBOUND_NAME")}
    assert environ[SIGNED_REQUEST].peer is environ["dnsbound.peer"]
    start_response("200 OK", [("Content-Type", "application/json")])
    return [json.dumps(said).encode()]


class RawTarget(httpx.WSGITransport):
    """Tells the target as it came, as gunicorn does."""

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        inner = self.app

        def app(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
            return inner(environ | {"RAW_URI": request.url.raw_path.decode()}, start_response)

        return httpx.WSGITransport(app=app).handle_request(request)


def ask(application: Any, auth: Any, path: str = "/a?x=1", *, raw: bool = False, **options: Any) -> httpx.Response:
    transport = (RawTarget if raw else httpx.WSGITransport)(app=application)
    with httpx.Client(transport=transport, base_url=ORIGIN, auth=auth) as client:
        return client.request(options.pop("method", "POST"), path, **options)


def requests(**options: Any) -> SignedRequests:
    now = time.time()
    return door(records(tlsa(RAW), validated_at=now, earliest_expiry=None), now=now, **options)


@pytest.mark.parametrize("raw", [True, False])
def test_a_signed_request_comes_in_by_name(*, raw: bool) -> None:
    application = SignedRequestsMiddleware(require(echo), requests())
    response = ask(application, SignedByName(RAW), content=b"42 km", raw=raw, headers={"Dnsbound-Name": "root"})
    assert response.json() == {"user": NAME, "octets": 5, "front": None}
    assert ask(application, SignedByName(RAW), method="GET", raw=raw).json()["octets"] == 0


def test_a_path_with_escapes_needs_a_server_that_tells_it() -> None:
    application = SignedRequestsMiddleware(echo, requests())
    assert ask(application, SignedByName(RAW), "/a%2Fb", raw=True).status_code == 200
    assert ask(application, SignedByName(RAW), "/a%2Fb").status_code == 401


def test_who_is_not_known_is_refused() -> None:
    application = SignedRequestsMiddleware(echo, requests())
    for auth in (None, SignedByName(OTHER)):
        response = ask(application, auth)
        assert response.status_code == 401
        assert "accept-signature" in response.headers


def test_silence_is_503_and_too_much_is_413() -> None:
    silent = door(records(tlsa(RAW), validated_at=time.time() - 7200, earliest_expiry=time.time() - 1), now=time.time())
    assert ask(SignedRequestsMiddleware(echo, silent), SignedByName(RAW)).status_code == 503
    small = SignedRequestsMiddleware(echo, requests(content_octets=4))
    assert ask(small, SignedByName(RAW), content=b"12345").status_code == 413
    assert ask(small, SignedByName(RAW), content=b"1234").status_code == 200


def test_a_content_without_a_length_is_read_where_the_server_ends_it() -> None:
    def unsized(application: Any, **said: Any) -> Any:
        def app(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
            environ.pop("CONTENT_LENGTH", None)
            return application(environ | said, start_response)

        return app

    application = SignedRequestsMiddleware(echo, requests(content_octets=4))
    ended = {"wsgi.input_terminated": True}
    assert ask(unsized(application, **ended), SignedByName(RAW), content=b"1234").status_code == 200
    assert ask(unsized(application, **ended), SignedByName(RAW), content=b"12345").status_code == 413
    assert ask(unsized(application), SignedByName(RAW), content=b"1234").status_code == 401
    assert ask(unsized(application, CONTENT_LENGTH="x"), SignedByName(RAW), content=b"1234").status_code == 401
