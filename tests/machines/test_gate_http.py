"""The HTTP filter of the gate: what a back end reads, what a client is answered, and what ends a connection."""

import json

import h11
import pytest

from dnsbound.errors import LimitExceeded, Misuse, PeerError
from dnsbound.protocols.gate_http import HttpGate, HttpRules
from dnsbound.protocols.gated import BackendError, GateStranger, Step
from dnsbound.protocols.http_fields import Forwarded
from gated_clients import CAR54, admitted

GET = b"GET / HTTP/1.1\r\nHost: api.cars.example\r\n\r\n"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"
BAD = b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
SOCKET = (
    b"GET /lns HTTP/1.1\r\nHost: api\r\nUpgrade: websocket\r\nConnection: keep-alive, Upgrade\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)
SWITCH = (
    b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: x\r\n\r\n"
)


def gate(rules: HttpRules | None = None, **more: object) -> HttpGate:
    made = HttpGate(admitted(**more), rules or HttpRules())  # type: ignore[arg-type]
    assert made.begin() == Step()
    return made


def said(octets: bytes) -> tuple[h11.Request, bytes, dict[bytes, bytes]]:
    """One request as a back end reads it: the request, its content, its fields (each once)."""
    reader = h11.Connection(h11.SERVER)
    reader.receive_data(octets)
    request = reader.next_event()
    assert isinstance(request, h11.Request)
    names = [name for name, _ in request.headers]
    assert len(names) == len(set(names)), names
    content = b""
    while isinstance(event := reader.next_event(), h11.Data):
        content += event.data
    assert isinstance(event, h11.EndOfMessage)
    assert reader.trailing_data == (b"", False)
    return request, content, dict(request.headers)


def request(*lines: bytes, start: bytes = b"GET / HTTP/1.1", host: bytes = b"Host: api", content: bytes = b"") -> bytes:
    return b"\r\n".join((start, host, *lines, b"", content))


def passed(*lines: bytes, rules: HttpRules | None = None, **more: bytes) -> dict[bytes, bytes]:
    """The fields a back end gets for a request with these lines."""
    step = gate(rules).client_said(request(*lines, **more))
    assert step.end is None
    return said(step.to_backend)[2]


def refused(octets: bytes, status: bytes = b"400") -> None:
    """Nothing of it reaches a back end, whole or octet by octet."""
    for parts in ([octets], [octets[at : at + 1] for at in range(len(octets))]):
        at, last = gate(), Step()
        for part in parts:
            last = at.client_said(part)
            if last.end is not None:
                break
        assert isinstance(last.end, PeerError), octets
        assert last.to_backend == b""
        assert last.to_client.startswith(b"HTTP/1.1 " + status), last.to_client
        assert b"\r\nConnection: close\r\n\r\n" in last.to_client


# --- who the client is


def test_hg_01_a_back_end_learns_who_asks() -> None:
    step = gate(grants={"role": "reader"}).client_said(GET)
    asked, content, fields = said(step.to_backend)
    assert (asked.method, asked.target, content, fields[b"host"]) == (b"GET", b"/", b"", b"api.cars.example")
    assert fields[b"dnsbound-name"] == CAR54.encode()
    assert fields[b"dnsbound-door"] == b"report.gov.example"
    assert json.loads(fields[b"dnsbound-grants"]) == {"role": "reader"}
    assert fields[b"dnsbound-valid-until"].endswith(b"Z")
    assert fields[b"x-forwarded-for"] == b"192.0.2.7"
    assert fields[b"x-forwarded-proto"] == b"https"
    assert b"client-cert" not in fields


def test_the_certificate_where_it_is_asked_for() -> None:
    assert passed(rules=HttpRules(client_cert=True))[b"client-cert"] == b":MANsZWFm:"
    raw_key = HttpGate(admitted(certificate=None), HttpRules(client_cert=True))
    assert raw_key.begin() == Step()
    assert b"client-cert" not in said(raw_key.client_said(GET).to_backend)[2]


@pytest.mark.parametrize("name", ["Dnsbound-Name", "Dnsbound-Grants", "Dnsbound-Door", "Dnsbound-New", "Client-Cert"])
@pytest.mark.parametrize("mark", ["-", "_", ".", "--"])
@pytest.mark.parametrize("case", [str, str.upper, str.lower])
def test_hg_02_what_a_client_says_of_itself_is_removed(name: str, mark: str, case: type[str]) -> None:
    forged = case(name.replace("-", mark)).encode()
    fields = passed(forged + b": admin.example", b"Connection: " + forged)
    assert fields[b"dnsbound-name"] == CAR54.encode()
    assert b"admin.example" not in fields.values()


def test_hg_02_no_option_of_connection_removes_what_the_gate_says() -> None:
    options = b"Connection: Dnsbound-Name, X-Forwarded-For, Host, Content-Length, Authorization, close"
    fields = passed(options, b"Authorization: Basic x")
    assert {fields[name] for name in (b"dnsbound-name", b"host", b"authorization")} == {
        CAR54.encode(),
        b"api",
        b"Basic x",
    }


def test_a_stranger_has_no_identity_and_cannot_say_one() -> None:
    stranger = GateStranger(door="api", tls_version="TLSv1.3", client=("2001:db8::1", 1), server=("::1", 443))
    made = HttpGate(stranger, HttpRules())
    assert made.begin() == Step()
    fields = said(made.client_said(request(b"Dnsbound-Name: admin.example", b"Client_Cert: :x:")).to_backend)[2]
    assert not {name for name in fields if name.startswith((b"dnsbound", b"client"))}
    assert fields[b"x-forwarded-for"] == b"2001:db8::1"


@pytest.mark.parametrize("grants", [{"x": "y" * 5000}])
def test_an_identity_that_cannot_be_told_is_not_left_out(grants: dict[str, str]) -> None:
    made = HttpGate(admitted(grants=grants), HttpRules())
    step = made.begin()
    assert isinstance(step.end, LimitExceeded | Misuse)
    assert step.to_client.startswith(b"HTTP/1.1 500 ")
    assert made.client_said(GET) == Step()


CAME = [b"X-Forwarded-For: 203.0.113.9", b"x_forwarded_for: 9.9.9.9", b"Forwarded: for=9.9.9.9", b"X-Real-IP: 9.9.9.9"]


def test_hg_03_a_clients_word_about_its_way_is_replaced() -> None:
    fields = passed(*CAME, b"X-Forwarded-Host: admin.example", b"X-Forwarded-Proto: http")
    assert fields[b"x-forwarded-for"] == b"192.0.2.7"
    assert fields[b"x-forwarded-proto"] == b"https"
    assert not {b"forwarded", b"x-real-ip", b"x_forwarded_for", b"x-forwarded-host"} & set(fields)


def test_hg_03_or_kept_with_its_address_behind() -> None:
    fields = passed(CAME[0], CAME[2], b"X-Forwarded-Proto: http", rules=HttpRules(forwarded=Forwarded.APPEND))
    assert fields[b"x-forwarded-for"] == b"203.0.113.9, 192.0.2.7"
    assert fields[b"forwarded"] == b"for=9.9.9.9"
    assert fields[b"x-forwarded-proto"] == b"https"


def test_hg_04_fields_of_one_connection_are_removed() -> None:
    fields = passed(
        b"Connection: keep-alive, X-Mine",
        b"X-Mine: 1",
        b"Keep-Alive: timeout=5",
        b"Proxy-Connection: keep-alive",
        b"Proxy-Authorization: Basic x",
        b"TE: trailers",
        b"Trailer: X-Sum",
        b"Upgrade: example/1",
        b"Keep_Alive: 1",
        b"X-Kept: yes",
    )
    ours = {b"dnsbound-name", b"dnsbound-door", b"dnsbound-grants", b"dnsbound-valid-until"}
    assert set(fields) - ours == {b"host", b"x-kept", b"x-forwarded-for", b"x-forwarded-proto"}


@pytest.mark.parametrize("name", [b"Content_Length", b"Transfer.Encoding", b"transfer_encoding", b"Host_"])
def test_other_spellings_of_framing_are_removed(name: bytes) -> None:
    assert name.lower() not in passed(name + b": 5")


# --- one reading of a request


@pytest.mark.parametrize(
    "octets",
    [
        request(
            b"Content-Length: 5", b"Transfer-Encoding: chunked", start=b"POST / HTTP/1.1", content=b"0\r\n\r\nGET "
        ),
        request(b"Content-Length: 1", b"Content-Length: 2", start=b"POST / HTTP/1.1", content=b"xx"),
        request(b"Content-Length: 1", b"Content-Length: 1", start=b"POST / HTTP/1.1", content=b"x"),
        request(b"Content-Length: 1, 1", start=b"POST / HTTP/1.1", content=b"x"),
        request(b"Content-Length: +1", start=b"POST / HTTP/1.1", content=b"x"),
        request(b"Content-Length: 0x1", start=b"POST / HTTP/1.1", content=b"x"),
        request(b"Content-Length: ", start=b"POST / HTTP/1.1", content=b"x"),
        request(b"Content-Length: 1" + b"0" * 30, start=b"POST / HTTP/1.1"),
        request(b"Transfer-Encoding: chunked", start=b"POST / HTTP/1.0", content=b"0\r\n\r\n"),
        request(b"Content-Length : 5", start=b"POST / HTTP/1.1", content=b"hello"),
        request(b" Content-Length: 5", start=b"POST / HTTP/1.1", content=b"hello"),
        request(b"X: a", b" Transfer-Encoding: chunked"),
        request(b"X: a", b"\tfolded: yes"),
        request(b"X: a\nTransfer-Encoding: chunked"),
        request(b"X: a\rTransfer-Encoding: chunked"),
        request(b"X: a\x00b"),
        request(b"X: a\x0bb"),
        request(b"X: a\x7fb"),
        request(b"X\x01: a"),
        request(b": a"),
        request(b"no colon"),
        request(b"X\xff: a"),
        b"GET / HTTP/1.1\nHost: api\n\n",
        b"\r\n\r\n" + GET,
        request(host=b"X: no host"),
        request(b"Host: other"),
        request(host=b"Host: api/x"),
        request(host=b"Host: api, other"),
        request(host=b"Host: user@api"),
        request(start=b"GET  / HTTP/1.1"),
        request(start=b"GET /a b HTTP/1.1"),
        request(start=b"GET api/ HTTP/1.1"),
        request(start=b"GET /x#y HTTP/1.1"),
        request(start=b"GET * HTTP/1.1"),
        request(start=b"GET http://other.example/ HTTP/1.1"),
        request(start=b"GET ftp://api/ HTTP/1.1"),
        request(start=b"GET http://user@api/ HTTP/1.1", host=b"Host: user@api"),
        request(start=b"GET / HTTP/1.1 "),
        request(start=b"GET / http/1.1"),
        request(start=b"GET /"),
        request(start=b"G@T / HTTP/1.1"),
        request(b"Upgrade: h2c", b"Connection: Upgrade, HTTP2-Settings", b"HTTP2-Settings: AAMAAABkAAQAAP__"),
        request(b"Upgrade: websocket, h2c", b"Connection: Upgrade"),
        request(b"HTTP2-Settings: x"),
        request(b"Upgrade: websocket", b"Connection: upgrade", start=b"POST / HTTP/1.1"),
        request(b"Upgrade: websocket", b"Connection: upgrade", b"Content-Length: 3", content=b"xxx"),
    ],
)
def test_hg_05_what_can_be_read_in_two_ways_is_refused(octets: bytes) -> None:
    refused(octets)


@pytest.mark.parametrize(
    ("octets", "status"),
    [
        (request(b"Transfer-Encoding: gzip, chunked", start=b"POST / HTTP/1.1"), b"501"),
        (request(b"Transfer-Encoding: chunked", b"Transfer-Encoding: chunked", start=b"POST / HTTP/1.1"), b"501"),
        (request(b"Transfer-Encoding: xchunked", start=b"POST / HTTP/1.1"), b"501"),
        (request(start=b"CONNECT api:443 HTTP/1.1"), b"501"),
        (request(start=b"GET / HTTP/1.2"), b"505"),
        (request(start=b"GET / HTTP/3.0"), b"505"),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", b"505"),
        (request(b"X: " + b"a" * 40_000), b"431"),
        (request(*[b"X: a"] * 200), b"431"),
    ],
)
def test_hg_06_what_is_not_spoken_is_told_so(octets: bytes, status: bytes) -> None:
    refused(octets, status)


def test_an_absolute_target_becomes_the_path_and_its_host() -> None:
    asked, _, fields = said(gate().client_said(request(start=b"GET http://API?x HTTP/1.1")).to_backend)
    assert (asked.target, fields[b"host"]) == (b"/?x", b"API")
    old = gate().client_said(b"GET http://api/x HTTP/1.0\r\n\r\n")
    assert said(old.to_backend)[0].target == b"/x"


def test_an_empty_line_before_a_request_is_let_go() -> None:
    for cut in range(1, 4):
        octets = b"\r\n" + GET
        made = gate()
        first = made.client_said(octets[:cut])
        assert first == Step()
        assert said(made.client_said(octets[cut:]).to_backend)[0].target == b"/"


def test_content_by_length_and_in_chunks_streams_both_ways() -> None:
    for line in (b"Content-Length: 200000", b"Transfer-Encoding: Chunked"):
        made = gate()
        met = made.client_said(request(line, start=b"PUT /x HTTP/1.1")).to_backend
        piece = b"x" * 100_000
        wire = piece if line.startswith(b"Content") else b"186a0;ext=1\r\n" + piece + b"\r\n"
        first = made.client_said(wire)
        assert len(first.to_backend) >= len(piece), "the content was held"
        met += first.to_backend + made.client_said(wire + (b"" if piece is wire else b"0\r\n\r\n")).to_backend
        asked, content, _ = said(met)
        assert (asked.target, len(content)) == (b"/x", 200_000)
        answer = made.backend_said(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n").to_client
        answer += made.backend_said(b"0\r\nX-Sum: 5\r\n\r\n").to_client
        assert answer.endswith(b"\r\n2\r\nhi\r\n0\r\nX-Sum: 5\r\n\r\n")


def test_trailers_of_a_request_are_not_passed_on() -> None:
    met = gate().client_said(
        request(b"Transfer-Encoding: chunked", start=b"POST / HTTP/1.1", content=b"0\r\nDnsbound-Name: admin\r\n\r\n")
    )
    assert b"admin" not in met.to_backend
    assert met.to_backend.endswith(b"\r\n0\r\n\r\n")


@pytest.mark.parametrize("content", [b"x\r\n", b"5\r\nhelloX", b"-1\r\n", b"0\r\n: x\r\n\r\n", b"5\nhello\r\n"])
def test_content_that_breaks_off_its_framing_ends(content: bytes) -> None:
    step = gate().client_said(request(b"Transfer-Encoding: chunked", start=b"POST / HTTP/1.1", content=content))
    assert isinstance(step.end, PeerError)
    assert step.to_client == BAD
    assert not step.to_backend.endswith(b"0\r\n\r\n")


def test_a_client_that_ends_within_a_request() -> None:
    made = gate()
    made.client_said(request(b"Content-Length: 5", start=b"POST / HTTP/1.1", content=b"he"))
    assert isinstance(made.client_ended().end, PeerError)
    half = gate()
    half.client_said(b"GET / HT")
    assert isinstance(half.client_ended().end, PeerError)
    whole = gate()
    whole.client_said(GET)
    assert whole.client_ended() == Step()
    assert whole.backend_said(OK).to_client == OK


# --- answers


def test_hg_07_answers_keep_the_order_of_their_requests() -> None:
    made = gate()
    step = made.client_said(GET.replace(b"/ ", b"/1 ") + GET.replace(b"GET /", b"HEAD /2") + GET.replace(b"/ ", b"/3 "))
    assert [line for line in step.to_backend.split(b"\r\n") if line.endswith(b"HTTP/1.1")] == [
        b"GET /1 HTTP/1.1",
        b"HEAD /2 HTTP/1.1",
        b"GET /3 HTTP/1.1",
    ]
    answers = OK + b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n" + OK
    told = b"".join(made.backend_said(answers[at : at + 7]).to_client for at in range(0, len(answers), 7))
    assert told == answers


def test_hg_07_requests_without_answers_are_limited() -> None:
    step = gate().client_said(GET * 17)
    assert isinstance(step.end, LimitExceeded)


def test_what_comes_behind_the_last_request_is_not_read() -> None:
    made = gate()
    last = GET.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")
    step = made.client_said(last + GET)
    assert said(step.to_backend)[2][b"connection"] == b"close"
    assert made.client_said(GET) == Step()
    told = made.backend_said(OK).to_client
    assert b"connection: close" in told.lower()
    assert made.backend_ended() == Step()


@pytest.mark.parametrize(
    "head",
    [b"HTTP/1.1 204 No Content\r\n\r\n", b"HTTP/1.1 304 Not Modified\r\nContent-Length: 70\r\nETag: x\r\n\r\n"],
)
def test_hg_08_answers_without_content(head: bytes) -> None:
    made = gate()
    made.client_said(GET)
    assert made.backend_said(head).to_client == head.replace(b"ETag", b"ETag")
    made.client_said(GET)
    assert made.backend_said(OK).to_client == OK


def test_hg_08_an_answer_to_head_has_no_content() -> None:
    made = gate()
    made.client_said(GET.replace(b"GET", b"HEAD"))
    head = b"HTTP/1.1 200 OK\r\nContent-Length: 5000\r\n\r\n"
    assert made.backend_said(head).to_client == head
    made.client_said(GET)
    assert made.backend_said(OK).to_client == OK


def test_hg_09_continue_is_passed_both_ways() -> None:
    made = gate()
    step = made.client_said(request(b"Expect: 100-continue", b"Content-Length: 2", start=b"PUT / HTTP/1.1"))
    assert b"\r\nExpect: 100-continue\r\n" in step.to_backend
    assert made.backend_said(b"HTTP/1.1 100 Continue\r\n\r\n").to_client == b"HTTP/1.1 100 Continue\r\n\r\n"
    assert made.client_said(b"hi").to_backend == b"hi"
    assert made.backend_said(OK).to_client == OK


def test_an_answer_may_come_before_the_request_is_complete() -> None:
    made = gate()
    made.client_said(request(b"Content-Length: 4", start=b"PUT / HTTP/1.1", content=b"ab"))
    assert made.backend_said(OK).to_client == OK
    assert made.client_said(b"cd" + GET).to_backend.startswith(b"cdGET / HTTP/1.1")
    assert made.backend_said(OK).to_client == OK


def test_an_answer_that_ends_with_its_connection() -> None:
    made = gate()
    made.client_said(GET)
    told = made.backend_said(b"HTTP/1.0 200 OK\r\n\r\nhello").to_client
    assert told.lower().count(b"connection: close") == 1
    assert told.endswith(b"5\r\nhello\r\n")
    assert made.backend_ended() == Step(to_client=b"0\r\n\r\n")


def test_a_client_of_http_1_0() -> None:
    made = gate()
    step = made.client_said(b"GET / HTTP/1.0\r\n\r\n")
    assert said(step.to_backend)[2][b"connection"] == b"close"
    told = made.backend_said(
        b"HTTP/1.1 103 Early Hints\r\n\r\n"
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\nX: y\r\n\r\n"
    ).to_client
    assert told.startswith(b"HTTP/1.1 200 OK\r\n")
    assert told.endswith(b"\r\n\r\nhi")


def test_fields_of_one_connection_are_removed_from_answers() -> None:
    made = gate()
    made.client_said(GET)
    answer = b"HTTP/1.1 200 OK\r\nConnection: X-Hop\r\nX-Hop: 1\r\nKeep-Alive: x\r\nSet-Cookie: a\r\nSet-Cookie: b\r\n"
    told = made.backend_said(answer + b"Content-Length: 9\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n").to_client
    assert told == b"HTTP/1.1 200 OK\r\nSet-Cookie: a\r\nSet-Cookie: b\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"


@pytest.mark.parametrize(
    "garbage",
    [
        b"SSH-2.0-OpenSSH_9.2\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n",
        b"\x15\x03\x01\x00\x02\x02",
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 20_000,
    ],
)
def test_hg_10_a_back_end_that_speaks_no_http_is_a_bad_gateway(garbage: bytes) -> None:
    made = gate()
    made.client_said(GET)
    step = made.backend_said(garbage)
    assert isinstance(step.end, BackendError)
    assert step.to_client.startswith(b"HTTP/1.1 502 ")
    assert made.client_said(GET) == Step()


def test_hg_10_a_back_end_that_breaks_off() -> None:
    before, within, idle = gate(), gate(), gate()
    before.client_said(GET)
    step = before.backend_ended()
    assert isinstance(step.end, BackendError)
    assert step.to_client.startswith(b"HTTP/1.1 502 ")
    within.client_said(GET)
    within.backend_said(OK[:-1])
    step = within.backend_ended()
    assert isinstance(step.end, BackendError)
    assert step.to_client == b""
    assert idle.backend_ended() == Step()


def test_hg_10_a_back_end_that_is_down() -> None:
    made = HttpGate(admitted(), HttpRules())
    assert made.unreachable(BackendError("down")) == Step()
    step = made.client_said(GET)
    assert isinstance(step.end, BackendError)
    assert (step.to_backend, step.to_client[:12]) == (b"", b"HTTP/1.1 502")


@pytest.mark.parametrize("told", [OK, OK + OK])
def test_an_answer_nobody_asked_for(told: bytes) -> None:
    made = gate()
    if told != OK:
        made.client_said(GET)
    assert isinstance(made.backend_said(told).end, BackendError)


# --- WebSocket


def test_ws_01_a_websocket_is_opened_with_the_identity_and_then_passes() -> None:
    made = gate()
    asked, _, fields = said(made.client_said(SOCKET.replace(b"\r\n\r\n", b"\r\nDnsbound_Name: x\r\n\r\n")).to_backend)
    assert asked.target == b"/lns"
    assert fields[b"dnsbound-name"] == CAR54.encode()
    assert (fields[b"upgrade"], fields[b"connection"]) == (b"websocket", b"Upgrade")
    assert fields[b"sec-websocket-version"] == b"13"
    told = made.backend_said(SWITCH + b"\x81\x02hi").to_client
    assert b"\r\nupgrade: websocket\r\n" in told.lower()
    assert told.endswith(b"\r\n\r\n\x81\x02hi")
    assert made.client_said(b"\x88\x80abcd") == Step(to_backend=b"\x88\x80abcd")
    assert made.backend_said(b"GET") == Step(to_client=b"GET")
    assert made.client_ended() == made.backend_ended() == Step()


def test_ws_02_nothing_is_said_before_the_answer() -> None:
    for octets in (SOCKET + GET, SOCKET + b"\x81\x02hi"):
        step = gate().client_said(octets)
        assert isinstance(step.end, PeerError)
        assert step.to_backend.count(b"HTTP/1.1") == 1
    made = gate()
    made.client_said(SOCKET)
    step = made.client_said(GET)
    assert isinstance(step.end, PeerError)
    assert step.to_backend == b""


def test_ws_03_a_back_end_that_does_not_switch_speaks_on_as_before() -> None:
    made = gate()
    made.client_said(SOCKET)
    assert made.backend_said(OK.replace(b"200 OK", b"426 Upgrade Required")).end is None
    assert said(made.client_said(GET).to_backend)[2][b"dnsbound-name"] == CAR54.encode()


def test_ws_04_other_upgrades_are_not_passed_on() -> None:
    for lines in ((b"Upgrade: tls/1.2", b"Connection: Upgrade"), (b"Upgrade: websocket",)):
        assert not {b"upgrade", b"connection"} & set(passed(*lines))


def test_no_front_ends_word_about_the_client_stays_beside_the_addresses_of_the_way() -> None:
    rules = HttpRules(forwarded=Forwarded.APPEND)
    fields = passed(b"X-Forwarded-Tls-Client-Cert: x", b"X-Forwarded-For: 198.51.100.9", rules=rules)
    assert b"x-forwarded-tls-client-cert" not in fields
    assert fields[b"x-forwarded-for"].startswith(b"198.51.100.9, ")
