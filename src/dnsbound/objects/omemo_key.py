"""Identity keys of OMEMO: Ed25519 public keys that are used for X25519 too, through the birational map (XEP-0384).

Two forms of one key. Version 2 publishes it as Ed25519; the older version, and every fingerprint that people compare,
have its Curve25519 form, which has lost the sign of one coordinate. Keys are the same when their Curve25519 forms are:
the other sign is the same private key, negated, and nobody else's. Sections: RFC 7748 section 4.1.
"""

from dataclasses import dataclass
from hashlib import sha256
from typing import Final

from dnsbound.errors import Malformed

KEY_OCTETS: Final = 32
HIGHEST_DEVICE: Final = 2**31 - 1
"""XEP-0384: a device has a number from 1 to this."""
_PRIME: Final = 2**255 - 19
_SIGN: Final = 0x80
_SPKI_PREFIX: Final = bytes.fromhex("302a300506032b6570032100")
"""RFC 8410: what stands before the 32 octets in the SubjectPublicKeyInfo of an Ed25519 key."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OmemoKey:
    """One device of an address. Malformed for a number or a key that cannot be one."""

    device: int
    identity_key: bytes
    """32 octets, Ed25519."""

    def __post_init__(self) -> None:
        if not 1 <= self.device <= HIGHEST_DEVICE:
            raise Malformed(f"OMEMO device number outside 1 to {HIGHEST_DEVICE}")
        curve25519_form(self.identity_key)

    @property
    def fingerprint(self) -> str:
        """The 64 digits that clients show."""
        return curve25519_form(self.identity_key).hex()

    def is_key_of(self, spki_sha256: bytes) -> bool:
        """Whether the SubjectPublicKeyInfo with this digest holds the very same key, of either sign."""
        key = bytearray(self.identity_key)
        digests = []
        for _ in range(2):
            digests.append(sha256(_SPKI_PREFIX + key).digest())
            key[-1] ^= _SIGN
        return spki_sha256 in digests


def curve25519_form(identity_key: bytes) -> bytes:
    """The u coordinate, 32 octets (RFC 7748 section 4.1: u = (1 + y) / (1 - y)). Malformed for octets that are no key,
    and for the neutral element, which has no such form."""
    if len(identity_key) != KEY_OCTETS:
        raise Malformed(f"an OMEMO identity key has {KEY_OCTETS} octets, not {len(identity_key)}")
    y = int.from_bytes(identity_key, "little") & ((1 << 255) - 1)
    if y >= _PRIME or y == 1:
        raise Malformed("an OMEMO identity key that is no public key")
    return ((1 + y) * pow(1 - y, -1, _PRIME) % _PRIME).to_bytes(KEY_OCTETS, "little")
