"""Handshake messages of TLS 1.3 that are built and read outside of a handshake: codecs, both ways, and nothing else.

    CertificateRequest, ClientCertificateRequest    context<0..255> extensions<2..2^16-1>
    Certificate                                     context<0..255> entries<0..2^24-1>
    CertificateVerify                               scheme signature<0..2^16-1>
    Finished                                        verify_data

Each begins with its type and a length of three octets. What they mean, and who may send which, is decided elsewhere
(`exported_authenticator`). Any octets give a value or Malformed; `to_wire` is the exact inverse of `from_wire`.
Sections: RFC 9846 sections 4, 4.4.2, 4.5; RFC 9261 section 4.
"""

from dataclasses import dataclass
from typing import ClassVar, Final, Self

from dnsbound.errors import Malformed
from dnsbound.iana import HandshakeType
from dnsbound.limits import MESSAGE_EXTENSIONS, PEER_CERTIFICATES, Budget
from dnsbound.wire import Reader, prefixed

_REQUESTS: Final = frozenset({HandshakeType.CERTIFICATE_REQUEST, HandshakeType.CLIENT_CERTIFICATE_REQUEST})


@dataclass(frozen=True, slots=True)
class Extension:
    """One extension. `type` may be a number nobody here knows."""

    type: int
    data: bytes

    def to_wire(self) -> bytes:
        return self.type.to_bytes(2, "big") + prefixed(self.data, 2)


@dataclass(frozen=True, slots=True, kw_only=True)
class CertificateRequest:
    """The question for a certificate: a server's (13), or a client's (17)."""

    kind: HandshakeType
    context: bytes
    extensions: tuple[Extension, ...]

    @classmethod
    def from_wire(cls, octets: bytes) -> Self:
        """Read the whole message, header included."""
        reader = Reader(octets, "certificate request")
        kind = _known_type(reader)
        if kind not in _REQUESTS:
            raise Malformed(f"handshake message {kind} is no certificate request", 0)
        with reader.block(3):
            context = reader.prefixed(1)
            extensions = _read_extensions(reader, Budget(MESSAGE_EXTENSIONS))
        reader.finish()
        return cls(kind=kind, context=context, extensions=extensions)

    def to_wire(self) -> bytes:
        return message(self.kind, prefixed(self.context, 1) + _extension_block(self.extensions))


@dataclass(frozen=True, slots=True)
class CertificateEntry:
    """One entry of a Certificate message: DER octets and the extensions that came with them."""

    data: bytes
    extensions: tuple[Extension, ...] = ()

    def to_wire(self) -> bytes:
        return prefixed(self.data, 3) + _extension_block(self.extensions)


@dataclass(frozen=True, slots=True, kw_only=True)
class Certificate:
    """What an end shows, leaf first; empty when it declines."""

    context: bytes
    entries: tuple[CertificateEntry, ...] = ()
    kind: ClassVar[HandshakeType] = HandshakeType.CERTIFICATE

    @classmethod
    def from_wire(cls, octets: bytes) -> Self:
        reader = _open(octets, cls.kind)
        certificates, extensions = Budget(PEER_CERTIFICATES), Budget(MESSAGE_EXTENSIONS)
        entries = []
        with reader.block(3):
            context = reader.prefixed(1)
            with reader.block(3):
                while reader.remaining:
                    certificates.spend()
                    data = reader.prefixed(3)
                    if not data:
                        raise Malformed("certificate entry without a certificate", reader.offset)
                    entries.append(CertificateEntry(data, _read_extensions(reader, extensions)))
        reader.finish()
        return cls(context=context, entries=tuple(entries))

    def to_wire(self) -> bytes:
        entries = b"".join(entry.to_wire() for entry in self.entries)
        return message(self.kind, prefixed(self.context, 1) + prefixed(entries, 3))


@dataclass(frozen=True, slots=True, kw_only=True)
class CertificateVerify:
    """The proof of possession. scheme: a number nobody here may know."""

    scheme: int
    signature: bytes
    kind: ClassVar[HandshakeType] = HandshakeType.CERTIFICATE_VERIFY

    @classmethod
    def from_wire(cls, octets: bytes) -> Self:
        reader = _open(octets, cls.kind)
        with reader.block(3):
            scheme, signature = reader.uint(2), reader.prefixed(2)
        reader.finish()
        return cls(scheme=scheme, signature=signature)

    def to_wire(self) -> bytes:
        return message(self.kind, self.scheme.to_bytes(2, "big") + prefixed(self.signature, 2))


@dataclass(frozen=True, slots=True)
class Finished:
    """A MAC over what came before."""

    verify_data: bytes
    kind: ClassVar[HandshakeType] = HandshakeType.FINISHED

    @classmethod
    def from_wire(cls, octets: bytes) -> Self:
        reader = _open(octets, cls.kind)
        verify_data = reader.prefixed(3)
        reader.finish()
        return cls(verify_data)

    def to_wire(self) -> bytes:
        return message(self.kind, self.verify_data)


def message(kind: HandshakeType, body: bytes) -> bytes:
    """A handshake message of its body."""
    return bytes((kind,)) + prefixed(body, 3)


def split(octets: bytes, *, most: int) -> list[tuple[int, bytes]]:
    """Messages that follow each other: type, and the whole of each with its header. Malformed for more than `most`."""
    reader = Reader(octets, "handshake messages")
    found: list[tuple[int, bytes]] = []
    while reader.remaining:
        if len(found) == most:
            raise Malformed(f"more than {most} handshake messages", reader.offset)
        start = reader.offset
        kind = reader.uint(1)
        reader.prefixed(3)
        found.append((kind, octets[start : reader.offset]))
    return found


def signature_schemes(extension_data: bytes) -> tuple[int, ...]:
    """The list in a signature_algorithms extension: SignatureScheme<2..2^16-2> (RFC 9846 section 4.3.3)."""
    reader = Reader(extension_data, "signature_algorithms")
    octets = reader.prefixed(2)
    reader.finish()
    if not octets or len(octets) % 2:
        raise Malformed("signature_algorithms is empty, or ends in half a number", 2)
    return tuple(int.from_bytes(octets[at : at + 2], "big") for at in range(0, len(octets), 2))


def signature_algorithms(schemes: tuple[int, ...]) -> bytes:
    """The inverse of `signature_schemes`."""
    return prefixed(b"".join(scheme.to_bytes(2, "big") for scheme in schemes), 2)


def _known_type(reader: Reader) -> HandshakeType:
    number = reader.uint(1)
    try:
        return HandshakeType(number)
    except ValueError:
        raise Malformed(f"handshake message of type {number}", 0) from None


def _open(octets: bytes, kind: HandshakeType) -> Reader:
    reader = Reader(octets, kind.name.lower().replace("_", " "))
    if _known_type(reader) is not kind:
        raise Malformed(f"handshake message {octets[0]} where {kind.value} was expected", 0)
    return reader


def _read_extensions(reader: Reader, budget: Budget) -> tuple[Extension, ...]:
    found: dict[int, Extension] = {}
    with reader.block(2):
        while reader.remaining:
            budget.spend()
            at = reader.offset
            number = reader.uint(2)
            if number in found:
                raise Malformed(f"extension {number} twice in one block", at)
            found[number] = Extension(number, reader.prefixed(2))
    return tuple(found.values())


def _extension_block(extensions: tuple[Extension, ...]) -> bytes:
    return prefixed(b"".join(extension.to_wire() for extension in extensions), 2)
