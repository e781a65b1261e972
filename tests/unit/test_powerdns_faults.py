"""The PowerDNS publisher against an API that fails, lies, dawdles or dies: refused and undecided stay apart."""

import http.server
import json
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from dnsbound.edge.publishers import load_api_key
from dnsbound.errors import Malformed, Misuse
from dnsbound.provision.owner import OwnerName
from dnsbound.provision.publish.http_exchange import HttpClient, HttpOrigin
from dnsbound.provision.publish.powerdns import PowerDnsPublisher, parse_api_key
from dnsbound.provision.publish.publisher import Change, Outcome, OutcomeKind, ServerRefused, ServerUnclear
from dnsbound.provision.publish.targets import PowerDnsTarget
from dnsbound.testing import World

ZONE = "cars.example"
NEW = "3 1 1 " + "ab" * 32
FOREIGN = "3 1 1 " + "fe" * 32
KEY = "secret-of-the-api"

Handle = Callable[["Api", http.server.BaseHTTPRequestHandler], None]


class Api:
    """A PowerDNS of a few lines on loopback. handle: answers a request in another way, when set."""

    def __init__(self) -> None:
        self.rrsets: dict[tuple[str, str], dict[str, Any]] = {}
        self.serial = 1
        self.kind = "Native"
        self.requests: list[str] = []
        self.patched: list[list[dict[str, Any]]] = []
        self.handle: Handle | None = None
        self.origin = ""
        self.lock = threading.Lock()

    def put(self, name: str, content: str, *, ttl: int = 300, disabled: bool = False) -> None:
        entry = self.rrsets.setdefault(
            (name, "TLSA"), {"name": name, "type": "TLSA", "ttl": ttl, "comments": [], "records": []}
        )
        entry["records"].append({"content": content, "disabled": disabled})

    def records(self, name: str) -> list[tuple[str, bool]]:
        entry = self.rrsets.get((name, "TLSA"), {"records": []})
        return [(record["content"], record["disabled"]) for record in entry["records"]]

    def answer(self, request: http.server.BaseHTTPRequestHandler) -> None:
        if request.headers["X-API-Key"] != KEY:
            send(request, 401, b"Unauthorized", "text/plain")
        elif request.command == "GET":
            name = request.path.partition("rrset_name=")[2]
            found = [entry for (owner, _), entry in self.rrsets.items() if owner == name]
            send(request, 200, json.dumps(self.zone(found)).encode())
        else:
            body = json.loads(request.rfile.read(int(request.headers["Content-Length"])))
            self.patched.append(body["rrsets"])
            for rrset in body["rrsets"]:
                place = rrset["name"], rrset["type"]
                if rrset["records"]:
                    self.rrsets[place] = {**rrset, "comments": []}
                else:
                    self.rrsets.pop(place, None)
            self.serial += 1
            send(request, 204, b"")

    def zone(self, rrsets: list[dict[str, Any]]) -> dict[str, Any]:
        return {"kind": self.kind, "edited_serial": self.serial, "rrsets": rrsets}


def send(
    request: http.server.BaseHTTPRequestHandler, status: int, body: bytes, content_type: str = "application/json"
) -> None:
    request.send_response(status)
    request.send_header("Content-Length", str(len(body)))
    if body:
        request.send_header("Content-Type", content_type)
    request.end_headers()
    request.wfile.write(body)


@contextmanager
def api(tls: ssl.SSLContext | None = None, *, version: str = "HTTP/1.0") -> Iterator[Api]:
    made = Api()

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = version

        def do_GET(self) -> None:
            with made.lock:
                made.requests.append(f"{self.command} {self.path}")
                handle = made.handle
            try:
                if handle is None:
                    made.answer(self)
                else:
                    handle(made, self)
            except OSError:
                self.close_connection = True

        do_PATCH = do_GET  # noqa: N815 (http.server finds methods by their names)

        def log_message(self, *_: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        server.handle_error = lambda *_: None  # type: ignore[method-assign]
        if tls is not None:
            server.socket = tls.wrap_socket(server.socket, server_side=True)
        made.origin = f"{'http' if tls is None else 'https'}://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield made
        finally:
            server.shutdown()
            thread.join(10)


@contextmanager
def publishing(origin: str, *, key: str = KEY, seconds: int = 1, **numbers: int) -> Iterator[PowerDnsPublisher]:
    target = PowerDnsTarget(
        zone=OwnerName.parse(ZONE),
        url=HttpOrigin.parse(origin),
        key_file=Path("unused"),
        seconds=seconds,
        **numbers,
    )
    publisher = PowerDnsPublisher(target, key, attempts=3, pause=lambda _: None)
    try:
        yield publisher
    finally:
        publisher.close()


def change(name: str = "car54", after: tuple[str, ...] = (NEW,), before: tuple[str, ...] = ()) -> Change:
    return Change(owner=OwnerName.parse(f"{name}.{ZONE}"), rdtype="TLSA", before=before, after=after, ttl=60)


def outcomes(publisher: PowerDnsPublisher, *changes: Change) -> list[Outcome]:
    found = list(publisher.apply(changes or [change()]))
    assert sorted(outcome.change.owner for outcome in found) == sorted(one.owner for one in changes or [change()])
    return found


def only(publisher: PowerDnsPublisher, *changes: Change) -> OutcomeKind:
    [kind] = {outcome.kind for outcome in outcomes(publisher, *changes)}
    return kind


def answering(status: int, body: bytes = b"{}", content_type: str = "application/json") -> Handle:
    return lambda _, request: send(request, status, body, content_type)


@pytest.mark.parametrize(
    ("handle", "kind", "tries"),
    [
        pytest.param(answering(401, b"Unauthorized", "text/plain"), OutcomeKind.REFUSED, 1, id="401"),
        pytest.param(answering(403), OutcomeKind.REFUSED, 1, id="403"),
        pytest.param(answering(404, b"Not Found", "text/plain"), OutcomeKind.REFUSED, 1, id="404"),
        pytest.param(answering(500, b"database is locked", "text/plain"), OutcomeKind.UNDECIDED, 3, id="500"),
        pytest.param(answering(503), OutcomeKind.UNDECIDED, 3, id="503"),
        pytest.param(answering(302), OutcomeKind.UNDECIDED, 3, id="302"),
        pytest.param(answering(200, b"<html>", "text/html"), OutcomeKind.UNDECIDED, 3, id="a web page"),
        pytest.param(answering(200, b"{", "application/json"), OutcomeKind.UNDECIDED, 3, id="no JSON"),
        pytest.param(answering(200, b"[" * 100_000), OutcomeKind.UNDECIDED, 3, id="deep JSON"),
        pytest.param(answering(200, b"[]"), OutcomeKind.UNDECIDED, 3, id="a list"),
        pytest.param(answering(200, b"{}"), OutcomeKind.UNDECIDED, 3, id="no zone"),
        pytest.param(answering(200, b'{"rrsets":[3]}'), OutcomeKind.UNDECIDED, 3, id="no RRset"),
        pytest.param(answering(200, b'{"rrsets":[{"records":[3]}]}'), OutcomeKind.UNDECIDED, 3, id="no record"),
        pytest.param(answering(200, b'{"rrsets":"x"}'), OutcomeKind.UNDECIDED, 3, id="text for RRsets"),
        pytest.param(answering(200, b" " * 2_000_000), OutcomeKind.UNDECIDED, 3, id="huge"),
    ],
)
def test_answers_to_a_reading(handle: Handle, kind: OutcomeKind, tries: int) -> None:
    with api() as server, publishing(server.origin) as publisher:
        server.handle = handle
        [outcome] = outcomes(publisher)
    assert outcome.kind is kind
    assert server.origin in outcome.line
    assert outcome.line.isprintable()
    assert KEY not in outcome.line
    assert len(server.requests) == tries
    assert not server.patched


def broken_off(_: Api, request: http.server.BaseHTTPRequestHandler) -> None:
    request.send_response(200)
    request.send_header("Content-Type", "application/json")
    request.send_header("Content-Length", "1000")
    request.end_headers()
    request.wfile.write(b'{"rrsets": []}')


def dripping(_: Api, request: http.server.BaseHTTPRequestHandler) -> None:
    request.send_response(200)
    request.send_header("Content-Type", "application/json")
    request.send_header("Content-Length", "100000")
    request.end_headers()
    for _step in range(400):
        request.wfile.write(b" ")
        request.wfile.flush()
        time.sleep(0.02)


def dripping_head(_: Api, request: http.server.BaseHTTPRequestHandler) -> None:
    request.wfile.write(b"HTTP/1.1 200 OK\r\nX: ")
    for _step in range(400):
        request.wfile.write(b"x")
        request.wfile.flush()
        time.sleep(0.02)


def reset(_: Api, request: http.server.BaseHTTPRequestHandler) -> None:
    request.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    request.connection.close()


def no_http(_: Api, request: http.server.BaseHTTPRequestHandler) -> None:
    request.wfile.write(b"SSH-2.0-OpenSSH_9.6\r\n")
    request.close_connection = True


@pytest.mark.parametrize("handle", [broken_off, dripping, dripping_head, reset, no_http])
def test_connections_that_end_badly_are_undecided_in_time(handle: Handle) -> None:
    with api() as server, publishing(server.origin) as publisher:
        server.handle = handle
        began = time.monotonic()
        assert only(publisher) is OutcomeKind.UNDECIDED
        assert time.monotonic() - began < 3 * 1 + 2
    assert not server.patched


def test_a_server_that_is_not_there() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        with publishing(f"http://127.0.0.1:{taken.getsockname()[1]}") as publisher:
            [outcome] = outcomes(publisher)
    assert outcome.kind is OutcomeKind.UNDECIDED
    assert "refused" in outcome.line.lower()


def test_a_server_that_is_down_is_not_tried_again_for_every_batch() -> None:
    with api() as server, publishing(server.origin, batch=1) as publisher:
        server.handle = answering(500)
        assert only(publisher, *[change(f"car{number}") for number in range(5)]) is OutcomeKind.UNDECIDED
        assert len(server.requests) == 3 + 4
        server.handle = None
        assert only(publisher) is OutcomeKind.DONE


class TestDiesInTheMiddle:
    """The server may have carried out what it did not answer: sent again, it does no harm."""

    def test_before_the_change(self) -> None:
        with api() as server, publishing(server.origin, batch=2) as publisher:
            patches = 0

            def dies(self: Api, request: http.server.BaseHTTPRequestHandler) -> None:
                nonlocal patches
                if request.command == "PATCH":
                    patches += 1
                    if patches > 1:
                        reset(self, request)
                        return
                self.answer(request)

            server.handle = dies
            found = outcomes(publisher, *[change(f"car{number}") for number in range(6)])
            assert [outcome.kind for outcome in found] == [OutcomeKind.DONE] * 2 + [OutcomeKind.UNDECIDED] * 4
            server.handle = None
            assert only(publisher, *[change(f"car{number}") for number in range(6)]) is OutcomeKind.DONE
        assert all(server.records(f"car{number}.{ZONE}.") == [(NEW, False)] for number in range(6))

    def test_behind_the_change(self) -> None:
        with api() as server, publishing(server.origin) as publisher:
            server.put(f"car54.{ZONE}.", FOREIGN)

            def dies(self: Api, request: http.server.BaseHTTPRequestHandler) -> None:
                if request.command == "PATCH" and not self.patched:
                    request.wfile.write = lambda _: 0  # type: ignore[method-assign]
                    self.answer(request)
                    reset(self, request)
                else:
                    self.answer(request)

            server.handle = dies
            assert only(publisher) is OutcomeKind.DONE
        assert len(server.patched) == 1, "what stands already is not written again"
        assert server.records(f"car54.{ZONE}.") == [(FOREIGN, False), (NEW, False)]


def test_a_rejected_batch_is_halved_until_the_bad_name_is_found() -> None:
    def rejects(self: Api, request: http.server.BaseHTTPRequestHandler) -> None:
        if request.command == "PATCH":
            body = request.rfile.read(int(request.headers["Content-Length"]))
            if b"car7." in body:
                send(request, 422, json.dumps({"error": "RRset car7: Conflicts\r\nwith \x1b[31m"}).encode())
                return
            for rrset in json.loads(body)["rrsets"]:
                self.rrsets[rrset["name"], rrset["type"]] = rrset
            send(request, 204, b"")
        else:
            self.answer(request)

    with api() as server, publishing(server.origin) as publisher:
        server.handle = rejects
        found = outcomes(publisher, *[change(f"car{number}") for number in range(20)])
    bad = [outcome for outcome in found if outcome.kind is OutcomeKind.REFUSED]
    assert [outcome.change.owner.text for outcome in bad] == [f"car7.{ZONE}"]
    assert "Conflicts" in bad[0].line
    assert bad[0].line.isprintable()
    assert len(server.rrsets) == 19


class TestRecordsOfOthers:
    def test_disabled_ones_stay_disabled_and_what_does_not_parse_stays(self) -> None:
        with api() as server, publishing(server.origin) as publisher:
            server.put(f"car54.{ZONE}.", FOREIGN, disabled=True)
            server.put(f"car54.{ZONE}.", "who knows")
            assert only(publisher) is OutcomeKind.DONE
            assert server.records(f"car54.{ZONE}.") == [(FOREIGN, True), ("who knows", False), (NEW, False)]
            assert only(publisher, change(before=(NEW,), after=())) is OutcomeKind.DONE
        assert server.records(f"car54.{ZONE}.") == [(FOREIGN, True), ("who knows", False)]

    def test_a_disabled_record_of_ours_is_served_again(self) -> None:
        with api() as server, publishing(server.origin) as publisher:
            server.put(f"car54.{ZONE}.", NEW.upper(), disabled=True)
            assert only(publisher) is OutcomeKind.DONE
        assert server.records(f"car54.{ZONE}.") == [(NEW, False)]

    def test_another_spelling_is_the_same_record(self) -> None:
        with api() as server, publishing(server.origin) as publisher:
            server.put(f"car54.{ZONE}.", NEW.upper(), ttl=60)
            assert only(publisher) is OutcomeKind.DONE
        assert not server.patched

    def test_what_others_change_while_we_read_is_read_again(self) -> None:
        with api() as server, publishing(server.origin, in_flight=1) as publisher:

            def meanwhile(self: Api, request: http.server.BaseHTTPRequestHandler) -> None:
                if len(self.requests) == 2:
                    self.serial += 1
                    self.put(f"car1.{ZONE}.", FOREIGN)
                self.answer(request)

            server.handle = meanwhile
            assert only(publisher, change("car1"), change("car2")) is OutcomeKind.DONE
        assert server.records(f"car1.{ZONE}.") == [(FOREIGN, False), (NEW, False)]

    def test_a_zone_that_never_rests(self) -> None:
        """Smaller batches, down to one name, whose reading is of one serial by itself."""
        with api() as server, publishing(server.origin, in_flight=1) as publisher:

            def meanwhile(self: Api, request: http.server.BaseHTTPRequestHandler) -> None:
                self.serial += 1
                self.answer(request)

            server.handle = meanwhile
            assert only(publisher, *[change(f"car{number}") for number in range(4)]) is OutcomeKind.DONE
        assert len(server.rrsets) == 4


def test_a_secondary_zone_is_not_published_to() -> None:
    with api() as server, publishing(server.origin) as publisher:
        server.kind = "Slave"
        assert only(publisher) is OutcomeKind.REFUSED
        with pytest.raises(ServerRefused):
            list(publisher.read([OwnerName.parse(f"car54.{ZONE}")]))


def test_a_server_that_does_not_choose_by_name_is_read_all_the_same() -> None:
    with api() as server, publishing(server.origin) as publisher:
        server.put(f"car1.{ZONE}.", FOREIGN)
        server.handle = lambda self, request: (
            send(request, 200, json.dumps(self.zone(list(self.rrsets.values()))).encode())
            if request.command == "GET"
            else self.answer(request)
        )
        assert only(publisher) is OutcomeKind.DONE
    assert server.records(f"car54.{ZONE}.") == [(NEW, False)]
    assert server.records(f"car1.{ZONE}.") == [(FOREIGN, False)]


def test_errors_of_the_source_reach_the_caller() -> None:
    def broken() -> Iterator[Change]:
        yield change()
        raise ZeroDivisionError

    with api() as server, publishing(server.origin) as publisher, pytest.raises(ZeroDivisionError):
        list(publisher.apply(broken()))


class TestHttp:
    def test_a_connection_is_kept_and_renewed(self) -> None:
        peers = set()

        def noting(self: Api, request: http.server.BaseHTTPRequestHandler) -> None:
            peers.add(request.client_address)
            self.answer(request)

        with api(version="HTTP/1.1") as server:
            server.handle = noting
            with HttpClient(HttpOrigin.parse(server.origin), headers={"X-API-Key": KEY}) as client:
                for _ in range(3):
                    assert client.exchange("GET", "/?rrset_name=x", seconds=5).status == 200
                assert len(peers) == 1

                def closes(self: Api, request: http.server.BaseHTTPRequestHandler) -> None:
                    noting(self, request)
                    request.close_connection = True

                server.handle = closes
                for _ in range(3):
                    assert client.exchange("GET", "/?rrset_name=x", seconds=5).status == 200
        assert len(peers) > 1

    def test_tls_with_an_authority_of_ones_own(self, tmp_path: Path) -> None:
        with World() as world:
            credential = world.web_credential("127.0.0.1")
            certificate, authority = tmp_path / "server.pem", tmp_path / "ca.pem"
            certificate.write_bytes(credential.to_pem())
            authority.write_bytes(world.web_root_pem)
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificate)
            with api(context) as server:
                known = HttpOrigin.parse(server.origin, ca_file=authority)
                with HttpClient(known, headers={"X-API-Key": KEY}) as client:
                    assert client.exchange("GET", "/?rrset_name=x", seconds=5).status == 200
                with (
                    HttpClient(HttpOrigin.parse(server.origin), headers={"X-API-Key": KEY}) as client,
                    pytest.raises(ServerUnclear, match="certificate"),
                ):
                    client.exchange("GET", "/", seconds=5)
                assert len(server.requests) == 1, "no key is sent to a server that is not known"

    def test_no_authorities_in_the_file(self, tmp_path: Path) -> None:
        (tmp_path / "ca.pem").write_text("nothing")
        for name in ("ca.pem", "absent.pem"):
            with pytest.raises(Misuse):
                HttpClient(HttpOrigin.parse("https://192.0.2.1", ca_file=tmp_path / name), headers={})


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("https://dns.example", "https://dns.example:443"),
        ("https://dns.example:8443/pdns/", "https://dns.example:8443/pdns"),
        ("http://127.0.0.1:8081", "http://127.0.0.1:8081"),
        ("http://[::1]:8081/", "http://[::1]:8081"),
        ("http://localhost:8081", "http://localhost:8081"),
    ],
)
def test_origins(text: str, shown: str) -> None:
    origin = HttpOrigin.parse(text)
    assert str(origin) == shown
    assert HttpOrigin.parse(shown) == origin


@pytest.mark.parametrize("text", ["http://192.0.2.1:8081", "http://dns.example", "http://127.0.0.1.evil.example"])
def test_a_key_never_travels_in_clear_text(text: str) -> None:
    with pytest.raises(Misuse):
        HttpOrigin.parse(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "dns.example",
        "ftp://127.0.0.1",
        "https://",
        "https://u:p@dns.example",
        "https://a:b",
        "https://a/?x",
        "https://a b",
    ],
)
def test_what_is_no_origin(text: str) -> None:
    with pytest.raises(Malformed):
        HttpOrigin.parse(text)


def test_api_keys() -> None:
    assert parse_api_key(b"geheim-0815\n") == "geheim-0815"
    for octets in (b"", b"\n", b"two words", b"two\nlines", "schlüssel".encode(), b"nul\0"):
        with pytest.raises(Misuse) as caught:
            parse_api_key(octets)
        assert "two" not in str(caught.value)
        assert "nul" not in str(caught.value)
        assert "schl" not in str(caught.value)


def test_the_file_of_an_api_key_is_for_its_owner_alone(tmp_path: Path) -> None:
    path = tmp_path / "api.key"
    path.write_text(f"{KEY}\n")
    path.chmod(0o640)
    with pytest.raises(Misuse, match="others may read"):
        load_api_key(path)
    path.chmod(0o600)
    assert load_api_key(path) == KEY
    path.write_text(f"{KEY} {KEY}\n")
    with pytest.raises(Misuse) as caught:
        load_api_key(path)
    assert str(path) in str(caught.value)
    assert KEY not in str(caught.value)
