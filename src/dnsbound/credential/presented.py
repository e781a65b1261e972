"""What a client showed to prove who it is: certificates or a raw public key. Octets only; nothing is judged here."""

from dataclasses import dataclass

from dnsbound.credential.certificate_facts import spki_of
from dnsbound.errors import Malformed


@dataclass(frozen=True, slots=True)
class Presented:
    """What the client showed: certificates, leaf first, or a raw public key; never both."""

    chain: tuple[bytes, ...] = ()
    """DER certificates."""
    raw_public_key: bytes | None = None
    """DER SubjectPublicKeyInfo (RFC 7250)."""

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
