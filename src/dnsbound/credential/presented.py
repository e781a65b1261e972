"""What a client showed to prove who it is: certificates or a raw public key, or what is left of them where a server
hands on digests alone. Octets only; nothing is judged here."""

from dataclasses import dataclass
from hashlib import sha256, sha512
from hmac import compare_digest
from typing import Final

from dnsbound.credential.certificate_facts import spki_of
from dnsbound.errors import Malformed
from dnsbound.iana import MatchingType, Selector
from dnsbound.records.tlsa import TLSA
from dnsbound.times import Moment


@dataclass(frozen=True, slots=True, kw_only=True)
class EarlierMatch:
    """What a full handshake came to, for a session that is resumed without its issuers' certificates.

    Usage 3 needs none of them and is matched anew, with any record. Usages 0 to 2 would need the whole path: they hold
    for the very record that matched then, while it stands and the path's certificates last.
    """

    record: TLSA
    """The record that matched."""
    chain_expires: Moment | None
    """When the first certificate of its path ends; None for usage 3, which ignores dates (RFC 7671 section 5.1)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LeafDigests:
    """Digests of a leaf that was shown to somebody else, who does not hand on the leaf itself (Postfix, Exim).

    They are as good as the leaf for usage 3, whose association data are such digests or can be made into them, and for
    nothing else: no name, no path. Malformed unless at least one is there, each of its algorithm's length.
    """

    spki_sha256: bytes | None = None
    """Of the DER SubjectPublicKeyInfo: the association data of `3 1 1`."""
    certificate_sha256: bytes | None = None
    """Of the DER certificate: `3 0 1`."""
    spki_sha512: bytes | None = None
    certificate_sha512: bytes | None = None

    def __post_init__(self) -> None:
        wanted = (
            (self.spki_sha256, _SHA256_OCTETS),
            (self.certificate_sha256, _SHA256_OCTETS),
            (self.spki_sha512, _SHA512_OCTETS),
            (self.certificate_sha512, _SHA512_OCTETS),
        )
        given = [(digest, octets) for digest, octets in wanted if digest is not None]
        if not given:
            raise Malformed("no digest of the leaf is there")
        if any(len(digest) != octets for digest, octets in given):
            raise Malformed("a digest of the leaf has the length of another algorithm")

    def are_of(self, record: TLSA) -> bool:
        """Whether any of them can be compared with the record's data."""
        return bool(self._pairs(record))

    def are_named_by(self, record: TLSA) -> bool:
        """Whether the record's data are the leaf's, as far as can be compared; False where nothing can be."""
        pairs = self._pairs(record)
        return bool(pairs) and all(compare_digest(known, data) for known, data in pairs)

    def _pairs(self, record: TLSA) -> list[tuple[bytes, bytes]]:
        """A digest that is known, and what the record has to compare with it. Full data are as good as what they
        digest to."""
        of_key = record.selector == Selector.SPKI
        full = record.matching_type == MatchingType.FULL
        pairs: list[tuple[bytes, bytes]] = []
        known = self.spki_sha256 if of_key else self.certificate_sha256
        if known is not None and record.matching_type in (MatchingType.FULL, MatchingType.SHA2_256):
            pairs.append((known, sha256(record.data).digest() if full else record.data))
        known = self.spki_sha512 if of_key else self.certificate_sha512
        if known is not None and record.matching_type in (MatchingType.FULL, MatchingType.SHA2_512):
            pairs.append((known, sha512(record.data).digest() if full else record.data))
        return pairs


_SHA256_OCTETS: Final = 32
_SHA512_OCTETS: Final = 64


@dataclass(frozen=True, slots=True)
class Presented:
    """What the client showed: certificates, leaf first, or a raw public key, or digests of its leaf; one of them."""

    chain: tuple[bytes, ...] = ()
    """DER certificates."""
    raw_public_key: bytes | None = None
    """DER SubjectPublicKeyInfo (RFC 7250)."""
    earlier: EarlierMatch | None = None
    """Set when a session was resumed; `chain` is then the leaf alone."""
    digests: LeafDigests | None = None
    """All that a front handed on of the leaf."""

    def __post_init__(self) -> None:
        if bool(self.chain) + (self.raw_public_key is not None) + (self.digests is not None) > 1:
            raise Malformed("a peer presents certificates, or a raw public key, or digests of its leaf, not several")

    @property
    def is_empty(self) -> bool:
        return not self.chain and self.raw_public_key is None and self.digests is None

    @property
    def spki(self) -> bytes:
        """DER SubjectPublicKeyInfo of the leaf or of the raw key; Malformed when none can be found."""
        if self.raw_public_key is not None:
            return self.raw_public_key
        if not self.chain:
            raise Malformed("the peer presented nothing" if self.digests is None else "the key's digest alone is known")
        return spki_of(self.chain[0])
