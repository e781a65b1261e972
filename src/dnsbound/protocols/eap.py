"""EAP packets: what an authenticator and a peer say to each other before there is a network (RFC 3748).

Codec and words alone. The conversation is in `dnsbound.protocols.eap_server` and `eap_peer`, which speak one method,
EAP-TLS. Malformed packets are the receiver's to drop without an answer (RFC 3748 section 4.1).

Sections: RFC 3748 4, 5.
"""

import struct
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final, Self

from dnsbound.errors import Malformed, Misuse
from dnsbound.hot_value import hot_value
from dnsbound.iana import EapCode, EapType
from dnsbound.wire import Reader

HEADER_OCTETS: Final = 4
MAX_OCTETS: Final = 0xFFFF
IETF: Final = 0
"""Vendor-Id of the types the IETF assigned (RFC 3748 section 5.7)."""

_HEADER: Final = struct.Struct("!BBH")
_CODES: Final = MappingProxyType({int(code): code for code in EapCode})
_WITH_TYPE: Final = frozenset({EapCode.REQUEST, EapCode.RESPONSE})


@hot_value
class EapPacket:
    """One packet. type: a number, since peers ask for methods that have no name here; None for Success and Failure."""

    code: EapCode
    identifier: int
    type: int | None = None
    data: bytes = b""

    def __post_init__(self) -> None:
        if not 0 <= self.identifier <= 0xFF:
            raise Misuse(f"an EAP identifier has one octet, not {self.identifier}")
        if (self.type is None) == (self.code in _WITH_TYPE) or (self.type is None and self.data):
            raise Misuse(f"EAP {self.code.name} with type {self.type} and {len(self.data)} octets")

    @classmethod
    def from_wire(cls, octets: bytes) -> Self:
        """The packet at the front; octets behind its length are padding of the link. Malformed for anything else,
        codes that are not assigned included."""
        if len(octets) < HEADER_OCTETS:
            raise Malformed("EAP packet is cut short", len(octets))
        number, identifier, length = _HEADER.unpack_from(octets)
        code = _CODES.get(number)
        if code is None:
            raise Malformed(f"EAP code {number}", 0)
        if length < HEADER_OCTETS:
            raise Malformed("EAP length shorter than the header", 2)
        if length > len(octets):
            raise Malformed("EAP packet is cut short", len(octets))
        body = octets[HEADER_OCTETS:length]
        if code not in _WITH_TYPE:
            if body:
                raise Malformed(f"EAP {code.name} with data", HEADER_OCTETS)
            return cls(code=code, identifier=identifier)
        if not body:
            raise Malformed(f"EAP {code.name} without a type", HEADER_OCTETS)
        return cls(code=code, identifier=identifier, type=body[0], data=body[1:])

    def to_wire(self) -> bytes:
        body = b"" if self.type is None else bytes((self.type,)) + self.data
        length = HEADER_OCTETS + len(body)
        if length > MAX_OCTETS:
            raise Misuse(f"an EAP packet has {MAX_OCTETS} octets at most, not {length}")
        return _HEADER.pack(self.code, self.identifier, length) + body

    @classmethod
    def request(cls, identifier: int, kind: int, data: bytes = b"") -> Self:
        return cls(code=EapCode.REQUEST, identifier=identifier, type=kind, data=data)

    @classmethod
    def response(cls, identifier: int, kind: int, data: bytes = b"") -> Self:
        return cls(code=EapCode.RESPONSE, identifier=identifier, type=kind, data=data)


@dataclass(frozen=True, slots=True)
class Method:
    """What is asked for: a vendor's method, or with vendor IETF one of the registry."""

    vendor: int
    number: int

    def __str__(self) -> str:
        return str(self.number) if self.vendor == IETF else f"{self.vendor}/{self.number}"


def is_nak(packet: EapPacket) -> bool:
    """A legacy Nak (RFC 3748 section 5.3.1) or an expanded one (5.3.2), of whatever contents."""
    expanded = Method(IETF, EapType.NAK)
    return packet.type == EapType.NAK or (packet.type == EapType.EXPANDED and _front(packet.data) == expanded)


def desired_methods(nak: EapPacket) -> tuple[Method, ...]:
    """What the sender of a Nak would speak instead, number 0 for nothing; Malformed where it does not say."""
    if nak.type == EapType.NAK:
        methods = tuple(Method(IETF, number) for number in nak.data)
    else:
        reader = Reader(nak.data, "Expanded Nak")
        _read_method(reader)
        methods = tuple(_read_desired(reader) for _ in range(0, reader.remaining, _EXPANDED_OCTETS))
    if not methods:
        raise Malformed("a Nak that names no method", HEADER_OCTETS + 1)
    return methods


def nak_for(request: EapPacket, method: EapType) -> EapPacket:
    """The answer to a request of another method: only `method` is spoken here. In the form the request had."""
    if request.type != EapType.EXPANDED:
        return EapPacket.response(request.identifier, EapType.NAK, bytes((method,)))
    asked = bytes((EapType.EXPANDED,)) + _expanded(Method(IETF, method))
    return EapPacket.response(request.identifier, EapType.EXPANDED, _expanded(Method(IETF, EapType.NAK)) + asked)


_EXPANDED_OCTETS: Final = 8


def _expanded(method: Method) -> bytes:
    return method.vendor.to_bytes(3, "big") + method.number.to_bytes(4, "big")


def _read_method(reader: Reader) -> Method:
    return Method(reader.uint(3), reader.uint(4))


def _read_desired(reader: Reader) -> Method:
    if reader.uint(1) != EapType.EXPANDED:
        raise Malformed("an Expanded Nak lists expanded types", reader.offset - 1)
    return _read_method(reader)


def _front(data: bytes) -> Method | None:
    return _read_method(Reader(data, "Expanded Type")) if len(data) >= _EXPANDED_OCTETS - 1 else None
