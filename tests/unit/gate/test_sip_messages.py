"""SIP over a stream is cut where Content-Length says, and read in one way."""

import pytest

from dnsbound.budget import Limit
from dnsbound.door_limits import SIP_BODY_OCTETS, SIP_HEADER_OCTETS, SIP_HEADERS
from dnsbound.errors import LimitExceeded, Malformed
from dnsbound.protocols.sip_messages import SipHead, SipStream

REQUEST = (
    b"OPTIONS sip:isp.example SIP/2.0\r\nVia: SIP/2.0/TLS 192.0.2.54;branch=z9hG4bK1\r\nf: <sip:a@b>;tag=1\r\n"
    b"To :\t<sip:a@b>\r\nCall-ID: 1\r\nCSeq: 1 OPTIONS\r\nSubject: one\r\n two\r\n\tthree\r\nl: 4\r\n\r\nbody"
)


def cut(octets: bytes, size: int) -> tuple[list[SipHead], bytes]:
    """Heads, and everything else as it would pass."""
    stream, heads, rest = SipStream(), [], b""
    for start in range(0, len(octets), size):
        stream.receive(octets[start : start + size])
        while (heard := stream.next()) is not None:
            if isinstance(heard, SipHead):
                heads.append(heard)
            else:
                rest += heard
    return heads, rest


@pytest.mark.parametrize("size", [1, 7, 1000])
def test_sip_01_messages_end_where_content_length_says(size: int) -> None:
    heads, rest = cut(b"\r\n\r\n" + REQUEST + REQUEST, size)
    assert [head.method for head in heads] == [b"OPTIONS", b"OPTIONS"]
    assert rest == b"\r\n\r\nbodybody"


def test_sip_03_compact_names_and_folded_fields_are_read_as_what_they_mean() -> None:
    head = cut(REQUEST, 1000)[0][0]
    assert head.only(b"from") == b"<sip:a@b>;tag=1"
    assert head.only(b"to") == b"<sip:a@b>"
    assert head.only(b"subject") == b"one two three"
    assert b"Subject: one two three\r\n" in head.to_wire()
    assert SipHead.from_wire(head.to_wire()) == head


@pytest.mark.parametrize(
    "lengths",
    [b"", b"l: 1\r\nContent-Length: 1\r\n", b"l: 0\r\nl: 0\r\n", b"l: -1\r\n", b"l: +1\r\n", b"l: 1 2\r\n", b"l:\r\n"],
)
def test_sip_01_without_one_length_nothing_is_a_message(lengths: bytes) -> None:
    with pytest.raises(Malformed):
        cut(b"SIP/2.0 200 OK\r\n" + lengths + b"\r\n", 1000)


@pytest.mark.parametrize(
    "octets",
    [
        b"GET / HTTP/1.1\r\nl: 0\r\n\r\n",
        b"SIP/2.0 700 x\r\nl: 0\r\n\r\n",
        b"SIP/2.0 200 x\r\nl: 0\r\nno field\r\n\r\n",
        b"SIP/2.0 200 x\r\nl: 0\r\n : y\r\n\r\n",
        b"SIP/2.0 200 x\r\nA: x\nB: y\r\nl: 0\r\n\r\n",
        b"SIP/2.0 200 x\r\nA: x\rB: y\r\nl: 0\r\n\r\n",
        b"SIP/2.0 200 x\r\nA: \x00\r\nl: 0\r\n\r\n",
        b" OPTIONS a SIP/2.0\r\nl: 0\r\n\r\n",
        b"OPTIONS a b SIP/2.0\r\nl: 0\r\n\r\n",
    ],
)
def test_sip_02_what_could_be_read_in_two_ways_is_no_message(octets: bytes) -> None:
    with pytest.raises(Malformed):
        cut(octets, 1000)


@pytest.mark.parametrize(
    ("octets", "limit"),
    [
        (b"OPTIONS a SIP/2.0\r\nA: " + b"x" * 20_000, SIP_HEADER_OCTETS),
        (b"OPTIONS a SIP/2.0\r\n" + b"A: x\r\n" * 200 + b"l: 0\r\n\r\n", SIP_HEADERS),
        (b"OPTIONS a SIP/2.0\r\nl: 9999999999\r\n\r\n", SIP_BODY_OCTETS),
    ],
)
def test_sip_04_messages_have_limits(octets: bytes, limit: Limit) -> None:
    with pytest.raises(LimitExceeded) as caught:
        cut(octets, 512)
    assert caught.value.limit == limit.name
