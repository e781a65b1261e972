"""The MQTT control packets that the gate reads or writes: CONNECT, CONNACK, SUBSCRIBE, SUBACK and short answers.

Versions 3.1 (level 3), 3.1.1 (4) and 5.0. A `Connect` is written as it was read but for what was changed. Octets of
strangers cause nothing but Malformed. Framing is `dnsbound.protocols.mqtt_stream`; what a gate makes of packets is
`dnsbound.protocols.gate_mqtt`.

Sections: MQTT 5.0 sections 1.5.4, 2.2.2, 3.1 to 3.4, 3.8, 3.9, 3.14; MQTT 3.1.1 sections 3.1, 3.2, 3.8 and 3.9.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum
from typing import Final, Self

from dnsbound.errors import Malformed
from dnsbound.protocols.mqtt_stream import MQTT_5, PacketType, packet, read_variable_integer, variable_integer
from dnsbound.protocols.mqtt_topics import topic_text
from dnsbound.wire import Reader, prefixed

NAMES: Final = {3: b"MQIsdp", 4: b"MQTT", 5: b"MQTT"}
"""Section 3.1.2.1, and of 3.1 its section 3.1: protocol level to protocol name."""


class ReasonCode(IntEnum):
    """MQTT 5.0 section 2.4: those the gate gives."""

    SUCCESS = 0x00
    MALFORMED_PACKET = 0x81
    PROTOCOL_ERROR = 0x82
    UNSUPPORTED_PROTOCOL_VERSION = 0x84
    CLIENT_IDENTIFIER_NOT_VALID = 0x85
    NOT_AUTHORIZED = 0x87
    SERVER_UNAVAILABLE = 0x88
    BAD_AUTHENTICATION_METHOD = 0x8C
    PACKET_TOO_LARGE = 0x95


OLD_RETURN_CODE: Final = {
    ReasonCode.UNSUPPORTED_PROTOCOL_VERSION: 1,
    ReasonCode.CLIENT_IDENTIFIER_NOT_VALID: 2,
    ReasonCode.SERVER_UNAVAILABLE: 3,
    ReasonCode.NOT_AUTHORIZED: 5,
}
"""MQTT 3.1.1 section 3.2.2.3: how CONNACK says the same; for other reasons a server closes without a word."""
SUBSCRIPTION_FAILED: Final = 0x80
"""MQTT 3.1.1 section 3.9.3; MQTT 3.1 has no such answer, and a broker that refuses a filter there says QoS 0."""


class Property(IntEnum):
    """Section 2.2.2.2: those the gate looks at."""

    ASSIGNED_CLIENT_IDENTIFIER = 0x12
    AUTHENTICATION_METHOD = 0x15
    AUTHENTICATION_DATA = 0x16
    TOPIC_ALIAS_MAXIMUM = 0x22
    TOPIC_ALIAS = 0x23
    SUBSCRIPTION_IDENTIFIER = 0x0B


_FIXED: Final = {
    **dict.fromkeys((0x01, 0x17, 0x19, 0x24, 0x25, 0x28, 0x29, 0x2A), 1),
    **dict.fromkeys((0x13, 0x21, 0x22, 0x23), 2),
    **dict.fromkeys((0x02, 0x11, 0x18, 0x27), 4),
}
_TEXTS: Final = frozenset({0x03, 0x08, 0x09, 0x12, 0x15, 0x16, 0x1A, 0x1C, 0x1F})
_PAIR: Final = 0x26


def read_properties(octets: bytes) -> Iterator[tuple[int, bytes]]:
    """Identifier and value of each property, the value as it is on the wire; Malformed for an unknown one.

    User properties may come several times, and so may subscription identifiers; anything else that does is Malformed.
    """
    reader = Reader(octets, "MQTT properties")
    seen: set[int] = set()
    while reader.remaining:
        identifier = reader.uint(1)
        if identifier in seen and identifier not in (_PAIR, Property.SUBSCRIPTION_IDENTIFIER):
            raise Malformed(f"MQTT property {identifier:#04x} twice", reader.offset)
        seen.add(identifier)
        start = reader.offset
        if identifier in _FIXED:
            reader.octets(_FIXED[identifier])
        elif identifier in _TEXTS:
            reader.prefixed(2)
        elif identifier == _PAIR:
            reader.prefixed(2)
            reader.prefixed(2)
        elif identifier == Property.SUBSCRIPTION_IDENTIFIER:
            reader.octets(len(variable_integer(_variable(octets, start))))
        else:
            raise Malformed(f"MQTT property {identifier:#04x} is unknown", start - 1)
        yield identifier, octets[start : reader.offset]


def _variable(octets: bytes, at: int) -> int:
    read = read_variable_integer(octets, at)
    if read is None:
        raise Malformed("MQTT properties is cut short", at)
    return read[0]


def _properties(reader: Reader, octets: bytes) -> bytes:
    """The properties at the reader's place, without their length."""
    length = _variable(octets, reader.offset)
    reader.octets(len(variable_integer(length)))
    return reader.octets(length)


@dataclass(frozen=True, slots=True, kw_only=True)
class Will:
    """The message a broker sends for a client that is lost. properties: empty before version 5."""

    topic: str
    payload: bytes
    qos: int
    retain: bool
    properties: bytes = b""


@dataclass(frozen=True, slots=True, kw_only=True)
class Connect:
    """A CONNECT. version: protocol level. properties: as they came, empty before version 5. user_name, password: None
    where the flag is not set."""

    version: int
    clean: bool
    keep_alive: int
    client_id: str
    properties: bytes = b""
    will: Will | None = None
    user_name: str | None = None
    password: bytes | None = None

    @classmethod
    def from_wire(cls, body: bytes) -> Self:
        """A CONNECT's body; Malformed. `UnsupportedVersion` where only the protocol is one that is not spoken."""
        reader = Reader(body, "CONNECT")
        name, version = reader.prefixed(2), reader.uint(1)
        if NAMES.get(version) != name:
            raise UnsupportedVersion(f"MQTT protocol {name[:16]!r} level {version}", 0)
        flags, keep_alive = reader.uint(1), reader.uint(2)
        will_qos = flags >> 3 & 3
        if flags & 1 or will_qos == 3 or (not flags & 4 and flags & 0x38):
            raise Malformed("CONNECT has flags that cannot be")
        if flags & 0x40 and not flags & 0x80 and version < MQTT_5:
            raise Malformed("CONNECT has a password and no user name")
        properties = _properties(reader, body) if version >= MQTT_5 else b""
        client_id = _text(reader.prefixed(2), "the client identifier")
        will = _will(reader, body, version, flags) if flags & 4 else None
        user_name = _text(reader.prefixed(2), "the user name") if flags & 0x80 else None
        password = reader.prefixed(2) if flags & 0x40 else None
        reader.finish()
        return cls(
            version=version,
            clean=bool(flags & 2),
            keep_alive=keep_alive,
            client_id=client_id,
            properties=properties,
            will=will,
            user_name=user_name,
            password=password,
        )

    def to_wire(self) -> bytes:
        """The whole packet."""
        flags = (2 if self.clean else 0) | (0x80 if self.user_name is not None else 0)
        flags |= 0x40 if self.password is not None else 0
        five = self.version >= MQTT_5
        payload = prefixed(self.client_id.encode(), 2)
        if (will := self.will) is not None:
            flags |= 4 | will.qos << 3 | (0x20 if will.retain else 0)
            payload += variable_integer(len(will.properties)) + will.properties if five else b""
            payload += prefixed(will.topic.encode(), 2) + prefixed(will.payload, 2)
        if self.user_name is not None:
            payload += prefixed(self.user_name.encode(), 2)
        if self.password is not None:
            payload += prefixed(self.password, 2)
        head = prefixed(NAMES[self.version], 2) + bytes((self.version, flags)) + self.keep_alive.to_bytes(2, "big")
        head += variable_integer(len(self.properties)) + self.properties if five else b""
        return packet(PacketType.CONNECT, head + payload)


class UnsupportedVersion(Malformed):
    """A CONNECT of a protocol that is not spoken."""


def _will(reader: Reader, body: bytes, version: int, flags: int) -> Will:
    properties = _properties(reader, body) if version >= MQTT_5 else b""
    topic = topic_text(reader.prefixed(2), "the will topic")
    payload = reader.prefixed(2)
    return Will(topic=topic, payload=payload, qos=flags >> 3 & 3, retain=bool(flags & 0x20), properties=properties)


def _text(octets: bytes, what: str) -> str:
    """Section 1.5.4. An empty one may be."""
    return topic_text(octets, what) if octets else ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectAnswer:
    """A CONNACK. code: a reason code in version 5, a return code before. properties: None before version 5."""

    session_present: bool
    code: int
    properties: tuple[tuple[int, bytes], ...] | None = None

    @classmethod
    def from_wire(cls, body: bytes, *, version: int) -> Self:
        reader = Reader(body, "CONNACK")
        flags, code = reader.uint(1), reader.uint(1)
        if flags & 0xFE:
            raise Malformed("CONNACK has reserved flags")
        properties = tuple(read_properties(_properties(reader, body))) if version >= MQTT_5 else None
        reader.finish()
        return cls(session_present=bool(flags), code=code, properties=properties)

    def to_wire(self) -> bytes:
        """The whole packet."""
        body = bytes((self.session_present, self.code))
        if self.properties is not None:
            octets = b"".join(bytes((identifier,)) + value for identifier, value in self.properties)
            body += variable_integer(len(octets)) + octets
        return packet(PacketType.CONNACK, body)


@dataclass(frozen=True, slots=True, kw_only=True)
class Subscribe:
    """A SUBSCRIBE. properties: as they came, None before version 5. filters: text and options of each."""

    identifier: int
    properties: bytes | None
    filters: tuple[tuple[str, int], ...]

    @classmethod
    def from_wire(cls, body: bytes, *, version: int) -> Self:
        reader = Reader(body, "SUBSCRIBE")
        identifier = reader.uint(2)
        properties = _properties(reader, body) if version >= MQTT_5 else None
        filters = []
        while reader.remaining:
            text = topic_text(reader.prefixed(2), "a topic filter")
            filters.append((text, reader.uint(1)))
        if not filters or not identifier:
            raise Malformed("SUBSCRIBE has no topic filter or no packet identifier")
        return cls(identifier=identifier, properties=properties, filters=tuple(filters))

    def to_wire(self) -> bytes:
        """The whole packet."""
        body = self.identifier.to_bytes(2, "big")
        if self.properties is not None:
            body += variable_integer(len(self.properties)) + self.properties
        for text, options in self.filters:
            body += prefixed(text.encode(), 2) + bytes((options,))
        return packet(PacketType.SUBSCRIBE, body)


@dataclass(frozen=True, slots=True, kw_only=True)
class SubscribeAnswer:
    """A SUBACK. codes: one for each filter of the SUBSCRIBE, in its order. properties: None before version 5."""

    identifier: int
    codes: bytes
    properties: bytes | None = None

    @classmethod
    def from_wire(cls, body: bytes, *, version: int) -> Self:
        reader = Reader(body, "SUBACK")
        identifier = reader.uint(2)
        properties = _properties(reader, body) if version >= MQTT_5 else None
        return cls(identifier=identifier, codes=reader.rest(), properties=properties)

    def to_wire(self) -> bytes:
        """The whole packet."""
        body = self.identifier.to_bytes(2, "big")
        if self.properties is not None:
            body += variable_integer(len(self.properties)) + self.properties
        return packet(PacketType.SUBACK, body + self.codes)


def acknowledgement(kind: PacketType, identifier: int, code: ReasonCode = ReasonCode.SUCCESS) -> bytes:
    """PUBACK, PUBREC or PUBCOMP, whole. code: of version 5; success is said by leaving it out, as before."""
    body = identifier.to_bytes(2, "big")
    return packet(kind, body + bytes((code,)) if code else body)


def disconnect(code: ReasonCode) -> bytes:
    """A server's DISCONNECT of version 5."""
    return packet(PacketType.DISCONNECT, bytes((code,)))
