"""XMPP until SASL: streams are cut to the octet, and forbidden XML is never read."""

import pytest

from dnsbound.door_limits import XMPP_NEGOTIATION_DEPTH, XMPP_NEGOTIATION_OCTETS
from dnsbound.errors import LimitExceeded, Malformed
from dnsbound.protocols.xmpp_stream import STREAMS, Element, StreamEnd, StreamHead, XmppStream

HEAD = b"<?xml version='1.0'?>\n<stream:stream to='a>b' xmlns='jabber:client' xmlns:stream='" + STREAMS.encode() + b"'>"


def read(octets: bytes, size: int = 1000) -> list[object]:
    stream, found = XmppStream(), []
    for start in range(0, len(octets), size):
        stream.receive(octets[start : start + size])
        while (heard := stream.next()) is not None:
            found.append(heard)
    return found


@pytest.mark.parametrize("size", [1, 2, 5, 1000])
def test_xm_01_a_stream_is_its_head_its_elements_and_its_end(size: int) -> None:
    found = read(HEAD + b"  <a xmlns='u' x=\"'>\">t&lt;\xc3\xa4<b/>u</a>\n<stream:c/></stream:stream>", size)
    head, first, second, end = found
    assert isinstance(head, StreamHead)
    assert (head.name, head.attributes, head.namespace) == (f"{STREAMS} stream", {"to": "a>b"}, "jabber:client")
    assert isinstance(first, Element)
    assert (first.name, first.attributes, first.text) == ("u a", {"x": "'>"}, "t<\xe4u")
    assert [child.name for child in first.children] == ["u b"]
    assert isinstance(second, Element)
    assert second.name == f"{STREAMS} c"
    assert isinstance(end, StreamEnd)


def test_xm_01_what_follows_an_element_is_left_to_the_octet() -> None:
    stream = XmppStream()
    stream.receive(HEAD + b"<a/>\x16\x03<")
    assert isinstance(stream.next(), StreamHead)
    assert isinstance(stream.next(), Element)
    assert stream.finish() == b"\x16\x03<"


@pytest.mark.parametrize(
    "octets",
    [
        b"<!DOCTYPE a [<!ENTITY b 'c'>]>" + HEAD,
        HEAD + b"<!-- x -->",
        HEAD + b"<![CDATA[x]]>",
        HEAD + b"<?php x?>",
        b"<a/><?xml version='1.0'?>",
        HEAD + b"<?xml version='1.0'?>",
        HEAD + b"<a>&b;</a>",
        HEAD + b"text",
        b"text" + HEAD,
        HEAD + b"<a></b>",
        HEAD + b"<a x='1' x='2'/>",
        HEAD + b"<u:a/>",
        HEAD + b"<a>\xff</a>",
        HEAD + b"<a>\x00</a>",
        b"\xef\xbb\xbf" + HEAD,
        b"\x16\x03\x01",
    ],
)
def test_xm_02_xml_that_xmpp_forbids_or_that_is_none(octets: bytes) -> None:
    with pytest.raises(Malformed):
        read(octets)


@pytest.mark.parametrize(
    ("octets", "limit"),
    [
        (HEAD + b"<a x='" + b"x" * 20_000, XMPP_NEGOTIATION_OCTETS.name),
        (HEAD + b"<a/>" * 5000, XMPP_NEGOTIATION_OCTETS.name),
        (HEAD + b" " * 20_000, XMPP_NEGOTIATION_OCTETS.name),
        (HEAD + b"<a>" + b"x" * 20_000, XMPP_NEGOTIATION_OCTETS.name),
        (HEAD + b"<a>" * 100, XMPP_NEGOTIATION_DEPTH.name),
    ],
)
def test_xm_03_a_negotiation_has_limits(octets: bytes, limit: str) -> None:
    with pytest.raises(LimitExceeded) as caught:
        read(octets, 512)
    assert caught.value.limit == limit
