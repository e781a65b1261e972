"""What a session ticket of ours carries: the claim, so that a resumed session is judged again like a full handshake.

A TLS 1.3 resumption has neither CertificateRequest nor Certificate (RFC 9846 section 4.4.2). OpenSSL keeps the leaf
certificate or the raw key in the ticket, and nothing else of what was shown. So the door, the name and where it came
from, digests of the key and the certificate, the record that matched and the end of the certificates travel inside,
sealed with the door's ticket key. Nothing here is a verdict: the engine looks the name up again. What it can match then
is in `dnsbound.credential.presented.EarlierMatch`.

A resumption proves that its client holds the ticket, not the private key, so the moment after which the key must be
shown to be held goes along from ticket to ticket; without it, whoever stole one would be in for as long as the record
stands (RFC 9846 section 4.7.1).

    octet version (3); door<0..2^16-1>; octet name source; name<1..255>;
    POSIX seconds (8 octets): the full handshake is due; POSIX seconds (8 octets): the certificates end, 0 for never;
    octet kind (0 X.509, 2 raw key); SHA-256 of the key (32 octets); for X.509, SHA-256 of the certificate (32 octets);
    TLSA record in wire form, to the end
"""

import hashlib
from dataclasses import dataclass
from typing import Final, Self

from dnsbound.credential.keys import public_key_from_spki, spki_der
from dnsbound.credential.presented import EarlierMatch, Presented
from dnsbound.errors import Malformed
from dnsbound.iana import CertificateType
from dnsbound.names import ClientName
from dnsbound.records.tlsa import TLSA
from dnsbound.times import Moment
from dnsbound.verify.claim import NameSource
from dnsbound.wire import Reader, prefixed

MAX_TICKET_OCTETS: Final = 16384
"""The leaf and what is sealed beside it: OpenSSL breaks the connection over a ticket of 64 KiB, and the client has to
send it in its first flight. Above this there is none."""

_VERSION: Final = 3
_DIGEST: Final = 32
_SOURCE_CODES: Final = {NameSource.EXTENSION: 0, NameSource.SAN: 1}
_SOURCES: Final = {code: source for source, code in _SOURCE_CODES.items()}


@dataclass(frozen=True, slots=True, kw_only=True)
class TicketClaim:
    """What is said again when the session resumes."""

    door: str
    name: ClientName
    name_source: NameSource
    ends: int
    """POSIX seconds: a full handshake is due."""
    key_digest: bytes
    certificate_digest: bytes | None
    """None for a raw public key."""
    record: TLSA
    """The record that matched."""
    chain_expires: int | None
    """POSIX seconds: the certificates end; None where they do not count."""

    @classmethod
    def of(
        cls,
        presented: Presented,
        *,
        door: str,
        name: ClientName,
        name_source: NameSource,
        ends: int,
        record: TLSA,
        chain_expires: Moment | None,
    ) -> Self:
        """For a client that was admitted. Malformed when its key cannot be found, or is a raw key in a form of its own,
        such as a compressed point: OpenSSL keeps the key, not the octets that the record matched."""
        raw = presented.raw_public_key
        if raw is not None and spki_der(public_key_from_spki(raw)) != raw:
            raise Malformed("a raw public key in another form than OpenSSL's", 0)
        leaf = presented.chain[0] if presented.chain else None
        return cls(
            door=door,
            name=name,
            name_source=name_source,
            ends=ends,
            key_digest=_digest(presented.spki),
            certificate_digest=None if leaf is None else _digest(leaf),
            record=record,
            chain_expires=None if chain_expires is None else int(chain_expires),
        )

    def to_wire(self) -> bytes:
        kind = CertificateType.RAW_PUBLIC_KEY if self.certificate_digest is None else CertificateType.X509
        return (
            bytes((_VERSION,))
            + prefixed(self.door.encode(), 2)
            + bytes((_SOURCE_CODES[self.name_source],))
            + prefixed(self.name.to_wire(), 1)
            + self.ends.to_bytes(8, "big")
            + (self.chain_expires or 0).to_bytes(8, "big")
            + bytes((kind,))
            + self.key_digest
            + (self.certificate_digest or b"")
            + self.record.to_wire()
        )

    @classmethod
    def from_wire(cls, octets: bytes) -> Self:
        """What `to_wire` made; Malformed for anything else."""
        reader = Reader(octets, "ticket")
        if reader.uint(1) != _VERSION:
            raise Malformed("ticket of another version", 0)
        door = _text(reader.prefixed(2))
        source = reader.uint(1)
        name = ClientName.from_wire(reader.prefixed(1))
        ends, chain_expires = reader.uint(8), reader.uint(8)
        kind = reader.uint(1)
        if source not in _SOURCES or kind not in (CertificateType.X509, CertificateType.RAW_PUBLIC_KEY):
            raise Malformed("ticket of another kind", reader.offset)
        return cls(
            door=door,
            name=name,
            name_source=_SOURCES[source],
            ends=ends,
            key_digest=reader.octets(_DIGEST),
            certificate_digest=reader.octets(_DIGEST) if kind == CertificateType.X509 else None,
            record=TLSA.from_wire(reader.rest()),
            chain_expires=chain_expires or None,
        )

    def presented(self, *, leaf: bytes | None, raw_public_key: bytes | None) -> Presented:
        """The credential, from what the engine kept of it in the same ticket; Malformed when that is another one."""
        earlier = EarlierMatch(record=self.record, chain_expires=self.chain_expires)
        if self.certificate_digest is None and raw_public_key is not None:
            kept = Presented(raw_public_key=raw_public_key, earlier=earlier)
        elif leaf is not None and _digest(leaf) == self.certificate_digest:
            kept = Presented(chain=(leaf,), earlier=earlier)
        else:
            raise Malformed("ticket of another credential", 0)
        if _digest(kept.spki) != self.key_digest:
            raise Malformed("ticket of another key", 0)
        return kept


def _digest(octets: bytes) -> bytes:
    return hashlib.sha256(octets).digest()


def _text(octets: bytes) -> str:
    try:
        return octets.decode()
    except UnicodeDecodeError as error:
        raise Malformed("the door's name is not UTF-8", error.start) from None
