"""What a client showed to prove who it is: certificates or a raw public key. Octets only; nothing is judged here."""

from dataclasses import dataclass

from dnsbound.credential.certificate_facts import spki_of
from dnsbound.errors import Malformed
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


@dataclass(frozen=True, slots=True)
class Presented:
    """What the client showed: certificates, leaf first, or a raw public key; never both."""

    chain: tuple[bytes, ...] = ()
    """DER certificates."""
    raw_public_key: bytes | None = None
    """DER SubjectPublicKeyInfo (RFC 7250)."""
    earlier: EarlierMatch | None = None
    """Set when a session was resumed; `chain` is then the leaf alone."""

    def __post_init__(self) -> None:
        if self.chain and self.raw_public_key is not None:
            raise Malformed("a peer presents certificates or a raw public key, not both")

    @property
    def is_empty(self) -> bool:
        return not self.chain and self.raw_public_key is None

    @property
    def spki(self) -> bytes:
        """DER SubjectPublicKeyInfo of the leaf or of the raw key; Malformed when none can be found."""
        if self.raw_public_key is not None:
            return self.raw_public_key
        if not self.chain:
            raise Malformed("the peer presented nothing")
        return spki_of(self.chain[0])
