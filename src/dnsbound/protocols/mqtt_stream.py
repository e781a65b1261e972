"""The octets of one direction of an MQTT connection as control packets, without holding what need not be held.

A control packet comes out whole, except PUBLISH: its head (topic, identifier, properties) comes out when it is
complete, and its payload in pieces as they arrive, so that a message of any length passes through. `PacketSizes` says
how long a packet may be. What packets mean is `dnsbound.protocols.mqtt_packets`.

Sections: MQTT 5.0 sections 1.5.5, 2.1.1 to 2.1.4 and 3.3.2; MQTT 3.1.1 sections 2.1 to 2.3 and 3.3.2.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum
from typing import Final, TypeAlias

from dnsbound.door_limits import MQTT_MESSAGE_OCTETS, MQTT_PACKET_OCTETS
from dnsbound.errors import LimitExceeded, Malformed

MQTT_5: Final = 5


class PacketType(IntEnum):
    """Section 2.1.2."""

    CONNECT = 1
    CONNACK = 2
    PUBLISH = 3
    PUBACK = 4
    PUBREC = 5
    PUBREL = 6
    PUBCOMP = 7
    SUBSCRIBE = 8
    SUBACK = 9
    UNSUBSCRIBE = 10
    UNSUBACK = 11
    PINGREQ = 12
    PINGRESP = 13
    DISCONNECT = 14
    AUTH = 15


_FLAGGED: Final = frozenset({PacketType.PUBREL, PacketType.SUBSCRIBE, PacketType.UNSUBSCRIBE})
"""Section 2.1.3: their reserved flags are 2, and zero of the others but PUBLISH."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Packet:
    """A whole control packet. body: variable header and payload. octets: as it came, fixed header included."""

    kind: PacketType
    body: bytes
    octets: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class PublishHead:
    """A PUBLISH up to its payload. flags: DUP, QoS and RETAIN. topic: as it came, empty where an alias stands for it.
    properties: without their length, empty in MQTT 3.1.1. remaining: octets of payload. octets: as it came."""

    flags: int
    topic: bytes
    identifier: int | None
    properties: bytes
    remaining: int
    octets: bytes

    @property
    def qos(self) -> int:
        return self.flags >> 1 & 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Payload:
    """A piece of the payload of the PUBLISH before it."""

    octets: bytes
    last: bool


Piece: TypeAlias = Packet | PublishHead | Payload


@dataclass(frozen=True, slots=True, kw_only=True)
class PacketSizes:
    """What a side may send. packet: octets of a control packet that is held whole, and of the head of a PUBLISH.
    message: octets of a PUBLISH. Both without the fixed header."""

    packet: int = MQTT_PACKET_OCTETS.default
    message: int = MQTT_MESSAGE_OCTETS.default


class PacketStream:
    """What came so far and is no piece yet. version: protocol level; it may be set once a CONNECT has said it."""

    __slots__ = ("_held", "_payload", "_sizes", "version")

    def __init__(self, sizes: PacketSizes, *, version: int = 4) -> None:
        self._held = b""
        self._payload = 0
        self._sizes = sizes
        self.version = version

    def receive(self, octets: bytes) -> Iterator[Piece]:
        """The pieces that are complete now. Malformed or LimitExceeded, after which nothing more is to be read."""
        held = self._held + octets if self._held else octets
        self._held = b""
        at = 0
        while at < len(held):
            if self._payload:
                piece = held[at : at + self._payload]
                self._payload -= len(piece)
                at += len(piece)
                yield Payload(octets=piece, last=not self._payload)
                continue
            read = self._next(held, at)
            if read is None:
                self._held = held[at:]
                return
            found, at = read
            yield found

    def _next(self, held: bytes, at: int) -> tuple[Packet | PublishHead, int] | None:
        """The packet that begins at an offset, and where it ends; None where more must come first."""
        kind = _kind(held[at])
        length = read_variable_integer(held, at + 1)
        if length is None:
            return None
        remaining, start = length
        if kind is PacketType.PUBLISH:
            return self._publish(held, at, start, remaining)
        if remaining > self._sizes.packet:
            raise LimitExceeded(MQTT_PACKET_OCTETS.name, f"{kind.name} has {remaining} octets")
        end = start + remaining
        if end > len(held):
            return None
        return Packet(kind=kind, body=held[start:end], octets=held[at:end]), end

    def _publish(self, held: bytes, at: int, start: int, remaining: int) -> tuple[PublishHead, int] | None:
        if remaining > self._sizes.message:
            raise LimitExceeded(MQTT_MESSAGE_OCTETS.name, f"PUBLISH has {remaining} octets")
        flags = held[at] & 0x0F
        if flags >> 1 & 3 == 3:
            raise Malformed("PUBLISH has QoS 3", at)
        end = start + remaining
        present = min(end, len(held))
        after = self._head_end(held, start, present, flags)
        if after is None:
            if end == present:
                raise Malformed("PUBLISH is shorter than its head", at)
            if present - start > self._sizes.packet:
                raise LimitExceeded(MQTT_PACKET_OCTETS.name, "the head of a PUBLISH")
            return None
        topic_end, properties, at_payload = after
        self._payload = end - at_payload
        head = PublishHead(
            flags=flags,
            topic=held[start + 2 : topic_end],
            identifier=int.from_bytes(held[topic_end : topic_end + 2], "big") if flags & 6 else None,
            properties=properties,
            remaining=self._payload,
            octets=held[at:at_payload],
        )
        return head, at_payload

    def _head_end(self, held: bytes, start: int, present: int, flags: int) -> tuple[int, bytes, int] | None:
        """Where the topic ends, the properties, and where the payload begins; None where the head is not there yet."""
        if start + 2 > present:
            return None
        topic_end = start + 2 + int.from_bytes(held[start : start + 2], "big")
        at = topic_end + (2 if flags & 6 else 0)
        if at > present:
            return None
        if self.version < MQTT_5:
            return topic_end, b"", at
        length = read_variable_integer(held, at)
        if length is None:
            return None
        octets, at = length
        return (topic_end, held[at : at + octets], at + octets) if at + octets <= present else None


def _kind(first: int) -> PacketType:
    try:
        kind = PacketType(first >> 4)
    except ValueError:
        raise Malformed("control packet type 0") from None
    if kind is not PacketType.PUBLISH and first & 0x0F != _flags(kind):
        raise Malformed(f"{kind.name} has reserved flags")
    return kind


def _flags(kind: PacketType) -> int:
    return 2 if kind in _FLAGGED else 0


def read_variable_integer(octets: bytes, at: int) -> tuple[int, int] | None:
    """Section 1.5.5: the value and where it ends; None where it is not complete; Malformed above four octets."""
    value = 0
    for position in range(4):
        if at + position >= len(octets):
            return None
        octet = octets[at + position]
        value |= (octet & 0x7F) << 7 * position
        if not octet & 0x80:
            if position and not octet:
                raise Malformed("a length is not in its shortest form", at)
            return value, at + position + 1
    raise Malformed("a length of more than four octets", at)


def variable_integer(value: int) -> bytes:
    """What `read_variable_integer` reads."""
    octets = bytearray()
    while True:
        value, low = value >> 7, value & 0x7F
        octets.append(low | (0x80 if value else 0))
        if not value:
            return bytes(octets)


def packet(kind: PacketType, body: bytes) -> bytes:
    """A control packet's octets; not for PUBLISH, whose flags say more."""
    return bytes((kind << 4 | _flags(kind),)) + variable_integer(len(body)) + body
