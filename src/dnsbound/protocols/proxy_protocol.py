"""The PROXY protocol, version 2 written and read, version 1 read: whose connection a proxy passes on.

A header goes before the first octet of a connection. It says where the client is, and in its TLVs who it is: the gate
writes the verified DNS name (VERIFIED_NAME, and where back ends look for an identity: SSL_CN, UNIQUE_ID). Whoever reads
one has to know from elsewhere that a trusted proxy wrote it; nothing here guesses whether there is a header at all.

Reading is strict: an unknown version, command, family or transport, a length that does not add up, a checksum that is
another, or a line without its CRLF is Malformed. Nothing here opens sockets.

Document: HAProxy's doc/proxy-protocol.txt, sections 2.1, 2.2, 2.2.1 to 2.2.8. PP-01 to PP-12.
"""

import ipaddress
import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum, IntFlag
from typing import Final, Self, TypeAlias

from dnsbound.door_limits import PROXY_HEADER_OCTETS
from dnsbound.errors import LimitExceeded, Malformed
from dnsbound.protocols.gated import Address

SIGNATURE: Final = b"\r\n\r\n\x00\r\nQUIT\n"
V1_PREFIX: Final = b"PROXY "
V1_OCTETS: Final = 107
"""Section 2.1: the longest line, with its CRLF."""
MAX_UNIQUE_ID: Final = 128
"""Section 2.2.5."""

_FIXED: Final = 16
_VERSION: Final = 2


class Command(IntEnum):
    """Section 2.2: the lowest four bits of the 13th octet."""

    LOCAL = 0
    """The proxy's own connection, such as a health check: there is nobody behind it."""
    PROXY = 1


class Family(IntEnum):
    """Section 2.2: the 14th octet, address family and transport."""

    UNSPEC = 0x00
    TCP4 = 0x11
    UDP4 = 0x12
    TCP6 = 0x21
    UDP6 = 0x22
    UNIX_STREAM = 0x31
    UNIX_DATAGRAM = 0x32


class TlvType(IntEnum):
    """Sections 2.2.1 to 2.2.8. SSL_*: inside of SSL. SSL_CLIENT_CERT is of newer versions of the document."""

    ALPN = 0x01
    AUTHORITY = 0x02
    CRC32C = 0x03
    NOOP = 0x04
    UNIQUE_ID = 0x05
    SSL = 0x20
    SSL_VERSION = 0x21
    SSL_CN = 0x22
    SSL_CIPHER = 0x23
    SSL_SIG_ALG = 0x24
    SSL_KEY_ALG = 0x25
    SSL_GROUP = 0x26
    SSL_SIG_SCHEME = 0x27
    SSL_CLIENT_CERT = 0x28
    NETNS = 0x30
    VERIFIED_NAME = 0xE0
    """Ours, of the range for applications: the verified DNS name, in lower case."""


class SslClient(IntFlag):
    """Section 2.2.6: what the client did."""

    SSL = 0x01
    CERT_CONN = 0x02
    CERT_SESS = 0x04


Tlv: TypeAlias = tuple[int, bytes]
"""Type and value."""

_ADDRESS_OCTETS: Final = {
    Family.UNSPEC: 0,
    Family.TCP4: 4,
    Family.UDP4: 4,
    Family.TCP6: 16,
    Family.UDP6: 16,
    Family.UNIX_STREAM: 108,
    Family.UNIX_DATAGRAM: 108,
}
_OF_TCP: Final = frozenset({Family.TCP4, Family.TCP6})


@dataclass(frozen=True, slots=True, kw_only=True)
class SslTlv:
    """Section 2.2.6. verify: 0 where the client's certificate was verified. entries: SSL_VERSION and its likes."""

    client: SslClient
    verify: int
    entries: tuple[Tlv, ...] = ()

    @classmethod
    def from_wire(cls, value: bytes) -> Self:
        """Malformed."""
        if len(value) < 5:
            raise Malformed("a PROXY TLV of TLS is too short")
        return cls(
            client=SslClient(value[0]),
            verify=int.from_bytes(value[1:5], "big"),
            entries=tuple(_tlvs(value[5:])),
        )

    def to_wire(self) -> bytes:
        return bytes([self.client]) + self.verify.to_bytes(4, "big") + _written(self.entries)


@dataclass(frozen=True, slots=True, kw_only=True)
class ProxyHeader:
    """One header. source, destination: the ends of the client's connection, None where the header does not say, or not
    for TCP. tlvs: without CRC32C and NOOP, which `from_wire` has dealt with."""

    command: Command = Command.PROXY
    source: Address | None = None
    destination: Address | None = None
    tlvs: tuple[Tlv, ...] = ()

    def first(self, kind: TlvType) -> bytes | None:
        """The value of the first TLV of a type."""
        return next((value for found, value in self.tlvs if found == kind), None)

    def to_wire(self, *, checksum: bool = False) -> bytes:
        """Version 2. An IPv4 end beside an IPv6 one is written as an IPv4-mapped address. checksum: with CRC32C.
        LimitExceeded for a header longer than its length can say."""
        family, addresses = self._addresses()
        body = addresses + _written(self.tlvs)
        if checksum:
            body += _written(((TlvType.CRC32C, bytes(4)),))
        if len(body) > 0xFFFF:
            raise LimitExceeded(PROXY_HEADER_OCTETS.name, f"{len(body)} octets in a PROXY header")
        octets = SIGNATURE + bytes([_VERSION << 4 | self.command, family]) + len(body).to_bytes(2, "big") + body
        return octets[:-4] + crc32c(octets).to_bytes(4, "big") if checksum else octets

    def _addresses(self) -> tuple[Family, bytes]:
        if self.command is Command.LOCAL or self.source is None or self.destination is None:
            return Family.UNSPEC, b""
        ends = [ipaddress.ip_address(host.partition("%")[0]) for host, _ in (self.source, self.destination)]
        if all(end.version == 4 for end in ends):
            family, packed = Family.TCP4, [end.packed for end in ends]
        else:
            family = Family.TCP6
            packed = [_mapped(end).packed for end in ends]
        ports = [port.to_bytes(2, "big") for _, port in (self.source, self.destination)]
        return family, b"".join((*packed, *ports))

    @classmethod
    def from_wire(cls, octets: bytes) -> tuple[Self, int] | None:
        """The header at the beginning of a connection, of either version, and its length; None while octets are
        missing. Malformed for anything else; LimitExceeded for a longer one than PROXY_HEADER_OCTETS."""
        if octets[: len(V1_PREFIX)] == V1_PREFIX:
            return cls._from_line(octets)
        if octets[: len(SIGNATURE)] == SIGNATURE:
            return cls._from_binary(octets)
        if V1_PREFIX.startswith(octets) or SIGNATURE.startswith(octets):
            return None
        raise Malformed("no PROXY header", 0)

    # --- version 2

    @classmethod
    def _from_binary(cls, octets: bytes) -> tuple[Self, int] | None:
        if len(octets) < _FIXED:
            return None
        version, command = octets[12] >> 4, octets[12] & 0x0F
        length = _FIXED + int.from_bytes(octets[14:16], "big")
        if version != _VERSION or command not in list(Command):
            raise Malformed("a PROXY header of unknown version or command", 12)
        if octets[13] not in list(Family):
            raise Malformed("a PROXY header of unknown family or transport", 13)
        if length > PROXY_HEADER_OCTETS.default:
            raise LimitExceeded(PROXY_HEADER_OCTETS.name, f"a header of {length} octets")
        if len(octets) < length:
            return None
        return cls._whole(Command(command), Family(octets[13]), octets[:length]), length

    @classmethod
    def _whole(cls, command: Command, family: Family, header: bytes) -> Self:
        body = header[_FIXED:]
        if command is Command.LOCAL:
            # Section 2.2: the block is discarded, "including the family which is ignored".
            return cls(command=command)
        size = _ADDRESS_OCTETS[family]
        has_ports = family not in {Family.UNSPEC, Family.UNIX_STREAM, Family.UNIX_DATAGRAM}
        taken = 2 * size + 4 * has_ports
        if len(body) < taken:
            raise Malformed("a PROXY header is too short for its addresses", 14)
        # An unspecified family may be followed by anything: there is no telling addresses from TLVs.
        tlvs = () if family is Family.UNSPEC else _checked(header, _FIXED + taken)
        if family not in _OF_TCP:
            return cls(command=command, tlvs=tlvs)
        hosts = [str(ipaddress.ip_address(body[at : at + size])) for at in (0, size)]
        ports = [int.from_bytes(body[at : at + 2], "big") for at in (2 * size, 2 * size + 2)]
        return cls(command=command, source=(hosts[0], ports[0]), destination=(hosts[1], ports[1]), tlvs=tlvs)

    # --- version 1

    @classmethod
    def _from_line(cls, octets: bytes) -> tuple[Self, int] | None:
        end = octets[:V1_OCTETS].find(b"\r\n")
        if end < 0:
            if len(octets) >= V1_OCTETS or b"\n" in octets or b"\r" in octets[:-1]:
                raise Malformed("a PROXY line without its CRLF", len(octets))
            return None
        line = octets[:end]
        if line == b"PROXY UNKNOWN" or line.startswith(b"PROXY UNKNOWN "):
            return cls(), end + 2
        found = _LINE.fullmatch(line)
        if found is None:
            raise Malformed("a PROXY line that is none")
        version = 4 if found[1] == b"4" else 6
        source, destination = (_host(found[at], version) for at in (2, 3))
        return cls(source=(source, _port(found[4])), destination=(destination, _port(found[5]))), end + 2


_LINE: Final = re.compile(
    rb"PROXY TCP([46]) ([0-9A-Fa-f.:]{2,39}) ([0-9A-Fa-f.:]{2,39}) (0|[1-9][0-9]{0,4}) (0|[1-9][0-9]{0,4})"
)


def _host(text: bytes, version: int) -> str:
    try:
        host = ipaddress.ip_address(text.decode())
    except ValueError:
        host = None
    if host is None or host.version != version:
        raise Malformed("an address of a PROXY line is none of its family")
    return str(host)


def _port(text: bytes) -> int:
    if int(text) > 0xFFFF:
        raise Malformed("a port of a PROXY line is above 65535")
    return int(text)


# --- TLVs


def tls_tlv(*, name: str, version: str, cipher: str | None, resumed: bool, certificate: bytes | None = None) -> Tlv:
    """Section 2.2.6 for a verified client. name: the verified DNS name, which stands as the common name whatever the
    certificate says, since back ends take that for who the client is. resumed: it proved its key in a connection
    before. certificate: DER to hand on, None to hand on none."""
    client = SslClient.SSL | SslClient.CERT_SESS
    if not resumed:
        client |= SslClient.CERT_CONN
    entries = [(int(TlvType.SSL_VERSION), version.encode()), (int(TlvType.SSL_CN), name.encode())]
    if cipher is not None:
        entries.append((int(TlvType.SSL_CIPHER), cipher.encode()))
    if certificate is not None:
        entries.append((int(TlvType.SSL_CLIENT_CERT), certificate))
    return int(TlvType.SSL), SslTlv(client=client, verify=0, entries=tuple(entries)).to_wire()


def _tlvs(octets: bytes) -> Iterator[Tlv]:
    at = 0
    while at < len(octets):
        if at + 3 > len(octets):
            raise Malformed("a PROXY TLV is cut off", at)
        end = at + 3 + int.from_bytes(octets[at + 1 : at + 3], "big")
        if end > len(octets):
            raise Malformed("a PROXY TLV is longer than its header", at)
        yield octets[at], octets[at + 3 : end]
        at = end


def _checked(header: bytes, begin: int) -> tuple[Tlv, ...]:
    """The TLVs that mean something, their checksum verified where there is one."""
    kept: list[Tlv] = []
    at = begin
    sums = 0
    for kind, value in _tlvs(header[begin:]):
        at += 3
        if kind == TlvType.CRC32C:
            sums += 1
            zeroed = header[:at] + bytes(4) + header[at + 4 :]
            if sums > 1 or len(value) != 4 or crc32c(zeroed) != int.from_bytes(value, "big"):
                raise Malformed("the checksum of a PROXY header is wrong", at)
        elif kind == TlvType.UNIQUE_ID and len(value) > MAX_UNIQUE_ID:
            raise Malformed("the unique id of a PROXY header is too long", at)
        elif kind != TlvType.NOOP:
            kept.append((kind, value))
        at += len(value)
    return tuple(kept)


def _written(tlvs: tuple[Tlv, ...]) -> bytes:
    for _, value in tlvs:
        if len(value) > 0xFFFF:
            raise LimitExceeded(PROXY_HEADER_OCTETS.name, f"{len(value)} octets in a PROXY TLV")
    return b"".join(bytes([kind]) + len(value).to_bytes(2, "big") + value for kind, value in tlvs)


def _mapped(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> ipaddress.IPv6Address:
    if isinstance(address, ipaddress.IPv6Address):
        return address
    return ipaddress.IPv6Address(b"\x00" * 10 + b"\xff\xff" + address.packed)


# --- CRC-32C (RFC 4960 appendix B)

_POLYNOMIAL: Final = 0x82F63B78
"""Castagnoli's, reflected."""


def _row(index: int) -> int:
    for _ in range(8):
        index = index >> 1 ^ (_POLYNOMIAL if index & 1 else 0)
    return index


_CRC: Final = tuple(_row(index) for index in range(256))


def crc32c(octets: bytes) -> int:
    """The checksum of section 2.2.3."""
    value = 0xFFFFFFFF
    for octet in octets:
        value = value >> 8 ^ _CRC[(value ^ octet) & 0xFF]
    return value ^ 0xFFFFFFFF
