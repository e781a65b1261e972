"""RRSIG record data as the validator uses it (RFC 4034 section 3)."""

import struct
from dataclasses import dataclass
from typing import Final, Self

from dns.rdtypes.ANY.RRSIG import RRSIG

from dnsbound.dns.canonical import Key, key_of, wire_of
from dnsbound.dns.wire_names import key_of_labels, read_name
from dnsbound.errors import Malformed

_FIXED: Final = struct.Struct("!HBBIIIH")
_SPACE: Final = 1 << 32


@dataclass(frozen=True, slots=True)
class Signature:
    """One RRSIG. Times are 32-bit serials. fixed: the eighteen octets before the signer's name, as signed."""

    type_covered: int
    algorithm: int
    labels: int
    original_ttl: int
    expiration: int
    inception: int
    key_tag: int
    signer: Key
    octets: bytes
    fixed: bytes

    @classmethod
    def from_wire(cls, message: bytes, at: int, length: int) -> Self:
        """Read RDATA of this length at an offset of a message."""
        end = at + length
        if length < _FIXED.size or end > len(message):
            raise Malformed("RRSIG record is cut short", at)
        signer, behind = read_name(message, at + _FIXED.size)
        if behind > end:
            raise Malformed("RRSIG record is cut short", behind)
        fixed = message[at : at + _FIXED.size]
        return cls._of(fixed, key_of_labels(signer), message[behind:end])

    @classmethod
    def from_rdata(cls, rdata: RRSIG) -> Self:
        """From dnspython's form."""
        fixed = _FIXED.pack(
            rdata.type_covered,
            rdata.algorithm,
            rdata.labels,
            rdata.original_ttl,
            rdata.expiration % _SPACE,
            rdata.inception % _SPACE,
            rdata.key_tag,
        )
        return cls._of(fixed, key_of(rdata.signer), rdata.signature)

    @classmethod
    def _of(cls, fixed: bytes, signer: Key, octets: bytes) -> Self:
        covered, algorithm, labels, original_ttl, expiration, inception, tag = _FIXED.unpack(fixed)
        return cls(covered, algorithm, labels, original_ttl, expiration, inception, tag, signer, octets, fixed)

    def to_wire(self) -> bytes:
        """RDATA, the signer's name in lower case."""
        return self.signed_prefix() + self.octets

    def signed_prefix(self) -> bytes:
        """RRSIG_RDATA of section 3.1.8.1: without the signature, the signer's name in canonical form."""
        return self.fixed + wire_of(self.signer)
