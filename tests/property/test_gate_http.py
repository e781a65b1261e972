"""HTTP in the gate: however a request is written and cut, every reader behind it finds one name, the verified one."""

from itertools import pairwise

import h11
from hypothesis import given, settings
from hypothesis import strategies as st

from dnsbound.errors import DnsboundError
from dnsbound.protocols.gate_http import HttpGate, HttpRules
from gated_clients import CAR54, admitted

MARKS = ("-", "_", ".", "--", "- ", " ")
NAMES = st.one_of(
    st.builds(
        lambda first, mark, case: case(f"{first}{mark}Name"),
        st.sampled_from(["Dnsbound", "\rDnsbound"]),
        st.sampled_from(MARKS),
        st.sampled_from([str, str.upper, str.lower]),
    ),
    st.sampled_from(["X", "Transfer-Encoding", "Content-Length", "Connection", "Upgrade", "Host", "Expect", "Trailer"]),
)
VALUES = st.sampled_from(
    [
        "admin.example",
        "chunked",
        "0",
        "5",
        "close",
        "Dnsbound-Name",
        "websocket",
        "a\r\nDnsbound-Name: admin.example",
        "a\nDnsbound-Name: admin.example",
        "\x00",
        "100-continue",
        "",
        " x ",
        "\tchunked",
    ]
)
LINES = st.lists(st.tuples(NAMES, st.sampled_from([": ", ":", " : ", ":\t"]), VALUES), max_size=8)
ENDS = st.sampled_from(["\r\n", "\r\n", "\r\n", "\n", "\r\n ", "\r"])
CONTENT = st.sampled_from(
    [b"", b"hello", b"5\r\nhello\r\n0\r\n\r\n", b"0\r\n\r\nGET /x HTTP/1.1\r\nHost: a\r\n\r\n", b"\r\n"]
)
REQUESTS = st.builds(
    lambda method, lines, ends, content: (
        f"{method} / HTTP/1.1\r\nHost: api\r\n"
        + "".join(f"{name}{colon}{value}{end}" for (name, colon, value), end in zip(lines, ends, strict=False))
        + "\r\n"
    ).encode("latin-1") + content,
    st.sampled_from(["GET", "POST", "PUT"]), LINES, st.lists(ENDS, min_size=8, max_size=8), CONTENT,
)  # fmt: skip

CHUNKED = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"


def met(octets: bytes, cuts: list[int]) -> bytes:
    gate = HttpGate(admitted(), HttpRules())
    gate.begin()
    marks = sorted({0, len(octets), *(cut % (len(octets) + 1) for cut in cuts)})
    passed = b""
    for start, stop in pairwise(marks):
        step = gate.client_said(octets[start:stop])
        passed += step.to_backend
        if step.end is not None:
            assert isinstance(step.end, DnsboundError)
            break
    return passed


def naive(octets: bytes) -> list[str]:
    """What a careless back end takes for the name: any line anywhere, any line end, marks made one, case ignored."""
    lines = octets.replace(b"\r", b"\n").decode("latin-1").split("\n")
    fields = [line.split(":", 1) for line in lines if ":" in line]
    return [
        value.strip() for name, value in fields if "dnsbound-name" in name.lower().replace("_", "-").replace(".", "-")
    ]


def read(octets: bytes) -> list[h11.Request]:
    """Every request that h11 finds, complete or not."""
    found = []
    while octets:
        reader = h11.Connection(h11.SERVER)
        reader.receive_data(octets)
        request = reader.next_event()
        assert isinstance(request, h11.Request)
        found.append(request)
        while isinstance(event := reader.next_event(), h11.Data):
            pass
        if not isinstance(event, h11.EndOfMessage):
            break
        octets = reader.trailing_data[0]
    return found


@given(requests=st.lists(REQUESTS, min_size=1, max_size=3), cuts=st.lists(st.integers(0, 2000), max_size=12))
@settings(max_examples=400)
def test_hg_02_every_reader_finds_one_name_and_it_is_the_verified_one(requests: list[bytes], cuts: list[int]) -> None:
    passed = met(b"".join(requests), cuts)
    asked = read(passed)
    for request in asked:
        names = [value for name, value in request.headers if name.replace(b"_", b"-") == b"dnsbound-name"]
        assert names == [CAR54.encode()]
        assert [name for name, _ in request.headers if name == b"host"] == [b"host"]
    heads = [part for part in passed.split(b"\r\n\r\n") if b" HTTP/1.1\r\n" in part]
    assert [name for part in heads for name in naive(part) if "admin" in name] == []


@given(requests=st.lists(REQUESTS, min_size=1, max_size=3), cuts=st.lists(st.integers(0, 2000), max_size=12))
@settings(max_examples=200)
def test_however_requests_are_cut_the_same_ones_are_met(requests: list[bytes], cuts: list[int]) -> None:
    octets = b"".join(requests)

    def seen(passed: bytes) -> list[tuple[bytes, bytes]]:
        return [(request.method, request.target) for request in read(passed)]

    assert seen(met(octets, cuts)) == seen(met(octets, []))


@given(octets=st.binary(max_size=300), answer=st.binary(max_size=300))
@settings(max_examples=200)
def test_any_octets_give_a_step(octets: bytes, answer: bytes) -> None:
    for first in (
        b"",
        b"GET / HTTP/1.1\r\nHost: a\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n",
    ):
        gate = HttpGate(admitted(), HttpRules())
        gate.begin()
        for step in (
            gate.client_said(first),
            gate.client_said(octets),
            gate.backend_said(answer),
            gate.backend_ended(),
        ):
            assert step.end is None or isinstance(step.end, DnsboundError)
