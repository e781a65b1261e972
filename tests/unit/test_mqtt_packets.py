"""MQTT packets: those of the specifications, and what is none."""

from collections.abc import Callable

import pytest

from dnsbound.errors import LimitExceeded, Malformed
from dnsbound.protocols.mqtt_packets import (
    Connect,
    ConnectAnswer,
    Property,
    Subscribe,
    SubscribeAnswer,
    UnsupportedVersion,
    Will,
    read_properties,
)
from dnsbound.protocols.mqtt_stream import (
    Packet,
    PacketSizes,
    PacketStream,
    PacketType,
    Payload,
    PublishHead,
    read_variable_integer,
    variable_integer,
)
from dnsbound.protocols.mqtt_topics import filter_levels, topic_levels, topic_text

SIZES = PacketSizes(packet=4096, message=100_000)
CONNECT_311 = bytes.fromhex("101000044d5154540402003c000461626364")
CONNECT_5 = bytes.fromhex("101400044d5154540502003c0321000a000461626364")


def pieces(octets: bytes, *, version: int = 4, sizes: PacketSizes = SIZES) -> list[object]:
    return list(PacketStream(sizes, version=version).receive(octets))


def body(octets: bytes) -> bytes:
    (packet,) = pieces(octets)
    assert isinstance(packet, Packet)
    return packet.body


@pytest.mark.parametrize(
    ("value", "octets"),
    [(0, "00"), (127, "7f"), (128, "8001"), (16_383, "ff7f"), (16_384, "808001"), (268_435_455, "ffffff7f")],
)
def test_mq_02_lengths_of_the_specification(value: int, octets: str) -> None:
    wire = bytes.fromhex(octets)
    assert variable_integer(value) == wire
    assert read_variable_integer(wire + b"rest", 0) == (value, len(wire))
    assert read_variable_integer(wire[:-1], 0) is None


@pytest.mark.parametrize("octets", ["8000", "808000", "ff8000", "80808080", "ffffffff7f"])
def test_mq_02_lengths_that_are_none(octets: str) -> None:
    with pytest.raises(Malformed):
        read_variable_integer(bytes.fromhex(octets) + b"\0", 0)


@pytest.mark.parametrize("first", [*range(0x10), 0x11, 0x2F, 0x60, 0x80, 0x83, 0xA0, 0xC1, 0xE4, 0xF1])
def test_mq_03_reserved_flags_and_types(first: int) -> None:
    with pytest.raises(Malformed):
        pieces(bytes((first, 2, 0, 1)))


def test_mq_03_qos_3_is_none() -> None:
    with pytest.raises(Malformed):
        pieces(bytes.fromhex("3605000161000100"))


@pytest.mark.parametrize("octets", [b"\xff", b"\xed\xa0\x80", b"a\x00b", b""])
def test_mq_04_texts_that_are_none(octets: bytes) -> None:
    with pytest.raises(Malformed):
        topic_text(octets, "a topic name")


def test_a_connect_of_each_version_is_read_and_written() -> None:
    old = Connect.from_wire(body(CONNECT_311))
    assert (old.version, old.clean, old.keep_alive, old.client_id, old.user_name) == (4, True, 60, "abcd", None)
    assert old.to_wire() == CONNECT_311
    new = Connect.from_wire(body(CONNECT_5))
    assert (new.version, new.properties) == (5, bytes.fromhex("21000a"))
    assert new.to_wire() == CONNECT_5
    full = Connect(
        version=3,
        clean=False,
        keep_alive=7,
        client_id="x",
        will=Will(topic="a/b", payload=b"\0gone", qos=2, retain=True),
        user_name="",
        password=b"\xff",
    )
    assert Connect.from_wire(body(full.to_wire())) == full
    assert full.to_wire()[2:11] == b"\x00\x06MQIsdp\x03"


@pytest.mark.parametrize(
    "change",
    [
        lambda octets: octets[:9] + b"\x03" + octets[10:],
        lambda octets: octets[:9] + b"\x1e" + octets[10:],
        lambda octets: octets[:9] + b"\x22" + octets[10:],
        lambda octets: octets[:9] + b"\x42" + octets[10:],
        lambda octets: octets[:9] + b"\x82" + octets[10:],
        lambda octets: octets[:-1] + b"\xff",
    ],
    ids=["reserved flag", "will qos 3", "retain without will", "password alone", "no user name", "not UTF-8"],
)
def test_connects_that_are_none(change: Callable[[bytes], bytes]) -> None:
    with pytest.raises(Malformed) as caught:
        Connect.from_wire(body(change(CONNECT_311)))
    assert not isinstance(caught.value, UnsupportedVersion)


@pytest.mark.parametrize("level", [0, 3, 6, 0x84])
def test_versions_that_are_not_spoken(level: int) -> None:
    with pytest.raises(UnsupportedVersion):
        Connect.from_wire(body(CONNECT_311[:8] + bytes((level,)) + CONNECT_311[9:]))


def test_octets_behind_a_connect_are_malformed() -> None:
    with pytest.raises(Malformed):
        Connect.from_wire(body(CONNECT_311) + b"\0")


def test_properties_of_every_form() -> None:
    octets = bytes.fromhex("010121000a11000000050bff7f150001412600016100016226000161000162")
    read = list(read_properties(octets))
    assert [identifier for identifier, _ in read] == [0x01, 0x21, 0x11, 0x0B, 0x15, 0x26, 0x26]
    assert read[3] == (Property.SUBSCRIPTION_IDENTIFIER, b"\xff\x7f")
    assert b"".join(bytes((identifier,)) + value for identifier, value in read) == octets


@pytest.mark.parametrize("octets", ["0400", "2100", "2100012100 02".replace(" ", ""), "0bffffffff", "150005", "ff"])
def test_properties_that_are_none(octets: str) -> None:
    with pytest.raises(Malformed):
        list(read_properties(bytes.fromhex(octets)))


def test_answers_and_subscriptions_are_exact_inverses() -> None:
    for packet, version in (
        (ConnectAnswer(session_present=True, code=0), 4),
        (ConnectAnswer(session_present=False, code=0x87, properties=((0x22, b"\0\5"),)), 5),
    ):
        assert ConnectAnswer.from_wire(body(packet.to_wire()), version=version) == packet
    asked = Subscribe(identifier=10, properties=None, filters=(("a/b", 1), ("c/d", 2)))
    assert asked.to_wire() == bytes.fromhex("820e000a0003612f62010003632f6402")
    assert Subscribe.from_wire(body(asked.to_wire()), version=4) == asked
    answer = SubscribeAnswer(identifier=10, codes=b"\0\2\x80")
    assert answer.to_wire() == bytes.fromhex("9005000a000280")
    assert SubscribeAnswer.from_wire(body(answer.to_wire()), version=4) == answer


@pytest.mark.parametrize("octets", ["0000000161 00".replace(" ", ""), "000a", "000a0001", "000a000161"])
def test_subscriptions_that_are_none(octets: str) -> None:
    with pytest.raises(Malformed):
        Subscribe.from_wire(bytes.fromhex(octets), version=4)


def test_a_message_passes_without_being_held() -> None:
    stream = PacketStream(SIZES)
    wire = bytes((0x32,)) + variable_integer(50_005) + b"\0\1a\0\7"
    (head,) = stream.receive(wire)
    assert isinstance(head, PublishHead)
    assert (head.topic, head.qos, head.identifier, head.remaining, head.octets) == (b"a", 1, 7, 50_000, wire)
    assert list(stream.receive(b"x" * 20_000)) == [Payload(octets=b"x" * 20_000, last=False)]
    assert list(stream.receive(b"y" * 30_000)) == [Payload(octets=b"y" * 30_000, last=True)]
    assert list(stream.receive(b"\xc0\0")) == [Packet(kind=PacketType.PINGREQ, body=b"", octets=b"\xc0\0")]


@pytest.mark.parametrize("octets", ["3001 00", "3002 0001", "3003 0005 61", "3204 0001 6100", "3203 0001 61"])
def test_a_message_shorter_than_its_head(octets: str) -> None:
    with pytest.raises(Malformed):
        pieces(bytes.fromhex(octets) + b"\xc0\x00" * 20)


def test_properties_of_a_message_do_not_reach_beyond_it() -> None:
    with pytest.raises(Malformed):
        pieces(bytes.fromhex("3004 0001 61 05") + b"\0" * 20, version=5)


@pytest.mark.parametrize(
    "octets",
    [
        b"\x10" + variable_integer(4097),
        b"\x30" + variable_integer(100_001),
        b"\x30" + variable_integer(99_000) + b"\xff\xff" + b"a" * 5000,
    ],
    ids=["packet", "message", "head of a message"],
)
def test_mq_18_what_is_too_long_ends_before_it_is_there(octets: bytes) -> None:
    with pytest.raises(LimitExceeded):
        pieces(octets)


@pytest.mark.parametrize(
    "text", ["a/#/b", "a+", "+a/b", "a#", "##", "$share/g", "$share//a", "$share/+/a", "$share/g/"]
)
def test_filters_that_are_none(text: str) -> None:
    with pytest.raises(Malformed):
        filter_levels(text)


def test_a_topic_name_has_no_wildcard() -> None:
    assert topic_levels("/a//b/") == ("", "a", "", "b", "")
    for text in ("a/+", "#", "a/b#"):
        with pytest.raises(Malformed):
            topic_levels(text)
