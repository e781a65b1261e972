"""Keys that others encrypt to: which kinds can be, and the private half with the name it is published at.

A key of the credential serves where it can agree on secrets or unwrap them: elliptic curve and RSA. Ed25519 and ML-DSA
sign and do nothing else, so such a client has a second key, X25519, published as a `3 1 0` record at the same name: no
TLS handshake can match it, and no key is used in two ways. Sections: RFC 7748 (X25519), RFC 8410 (its SPKI and PKCS#8),
RFC 7671 section 5.1 (3 1 0), RFC 5280 section 4.2.1.3 (keyUsage).
"""

from dataclasses import dataclass, field
from enum import IntEnum
from typing import Final, Self, TypeAlias

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa, x25519
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_der_public_key,
    load_pem_private_key,
)

from dnsbound.credential.credential import Credential, stated_name
from dnsbound.credential.keys import MAXIMUM_RSA_BITS, MINIMUM_RSA_BITS
from dnsbound.credential.mldsa_keys import MLDSAPublicKey
from dnsbound.errors import Malformed, Misuse
from dnsbound.iana import MatchingType, Selector, Usage
from dnsbound.names import ClientName
from dnsbound.records.tlsa import TLSA

EncryptionKey: TypeAlias = ec.EllipticCurvePublicKey | x25519.X25519PublicKey | rsa.RSAPublicKey
"""What is encrypted to."""
OpeningKey: TypeAlias = ec.EllipticCurvePrivateKey | x25519.X25519PrivateKey | rsa.RSAPrivateKey
"""The private half of one."""

_NAME_LINE: Final = b"Client name: "


class EncryptionKind(IntEnum):
    """Kinds of key that are encrypted to; the least is taken first where a name has several."""

    X25519 = 1
    P256 = 2
    P384 = 3
    P521 = 4
    RSA = 5

    @property
    def agrees(self) -> bool:
        """Whether both sides come to a shared secret; otherwise a fresh key is encrypted to it."""
        return self is not EncryptionKind.RSA


_CURVES: Final = {
    "secp256r1": EncryptionKind.P256,
    "secp384r1": EncryptionKind.P384,
    "secp521r1": EncryptionKind.P521,
}


class SignsOnly(Misuse):
    """The key is sound, and of a kind that nothing can be encrypted to."""


def encryption_key_from_spki(spki: bytes) -> EncryptionKey:
    """The key of a DER SubjectPublicKeyInfo. Malformed when it is none, or too weak; SignsOnly for a kind that nothing
    is encrypted to."""
    try:
        key = load_der_public_key(spki)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise Malformed("public key does not parse") from None
    if isinstance(key, ed25519.Ed25519PublicKey | MLDSAPublicKey):
        raise SignsOnly(f"nothing can be encrypted to an {_shown(key)} key: it signs alone")
    if not isinstance(key, EncryptionKey):
        raise Malformed(f"public key is a {type(key).__name__}: nothing is encrypted to such a key here")
    kind_of(key)
    return key


def kind_of(key: EncryptionKey) -> EncryptionKind:
    """Malformed for an odd curve, and for RSA keys that are too small to be safe or too large to be meant."""
    if isinstance(key, x25519.X25519PublicKey):
        return EncryptionKind.X25519
    if isinstance(key, ec.EllipticCurvePublicKey):
        kind = _CURVES.get(key.curve.name)
        if kind is None:
            raise Malformed(f"elliptic curve {key.curve.name} is not P-256, P-384 or P-521")
        return kind
    if not MINIMUM_RSA_BITS <= key.key_size <= MAXIMUM_RSA_BITS:
        raise Malformed(f"RSA key of {key.key_size} bits: {MINIMUM_RSA_BITS} to {MAXIMUM_RSA_BITS} are used")
    return EncryptionKind.RSA


@dataclass(frozen=True, slots=True, kw_only=True)
class DecryptionKey:
    """The private key that opens what was encrypted to a name."""

    name: ClientName
    private_key: OpeningKey = field(repr=False, compare=False)
    spki: bytes = field(init=False, repr=False)
    """DER SubjectPublicKeyInfo of the public half."""
    kind: EncryptionKind = field(init=False)

    def __post_init__(self) -> None:
        public = self.private_key.public_key()
        object.__setattr__(self, "kind", kind_of(public))
        object.__setattr__(self, "spki", public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo))

    @classmethod
    def generate(cls, name: ClientName | str) -> Self:
        """A fresh X25519 key; entropy is the library's."""
        if isinstance(name, str):
            name = ClientName.parse(name)
        return cls(name=name, private_key=x25519.X25519PrivateKey.generate())

    @classmethod
    def of(cls, credential: Credential) -> Self:
        """The credential's own key. Misuse when it has no name or its key is elsewhere, SignsOnly when the key cannot
        open anything."""
        if credential.name is None:
            raise Misuse("the credential has no name, so it cannot be said whether a message is for it")
        key = credential.private_key
        if key is None:
            raise Misuse("the private key is not in this process: it signs, and opens nothing here")
        if not isinstance(key, OpeningKey):
            raise SignsOnly(f"nothing can be encrypted to an {_shown(key.public_key())} key: it signs alone")
        return cls(name=credential.name, private_key=key)

    @classmethod
    def from_pem(cls, pem: bytes, *, name: ClientName | str | None = None) -> Self:
        """Read what `to_pem` writes, or any key of a credential. Without `name`, the text's own name line counts, then
        a certificate's single dNSName. Malformed, Misuse."""
        key = _private_key(pem)
        if not isinstance(key, x25519.X25519PrivateKey):
            return cls.of(Credential.from_pem(pem, name=name))
        if isinstance(name, str):
            name = ClientName.parse(name)
        found = name or stated_name(pem, ())
        if found is None:
            raise Misuse("the encryption key's file does not say at which name the key is published")
        return cls(name=found, private_key=key)

    def to_pem(self) -> bytes:
        """PKCS#8, not encrypted, below a line with the name (RFC 7468 section 2)."""
        block = self.private_key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        return _NAME_LINE + self.name.to_wire() + b"\n" + block

    @property
    def record(self) -> TLSA:
        """What is published at the name, so that everybody can encrypt to it: `3 1 0`, the whole key. A digest would
        not do, since nobody can encrypt to a digest."""
        return TLSA(Usage.DANE_EE, Selector.SPKI, MatchingType.FULL, self.spki)


def publishes_encryption_key(record: TLSA) -> bool:
    """Whether the record publishes a key that is encrypted to and does nothing else, so that no client logs in by it:
    `3 1 0` of an X25519 key."""
    parameters = (record.usage, record.selector, record.matching_type)
    form = (Usage.DANE_EE, Selector.SPKI, MatchingType.FULL)
    return parameters == form and len(record.data) == _X25519_OCTETS and record.data.startswith(_X25519_PREFIX)


_X25519_PREFIX: Final = bytes.fromhex("302a300506032b656e032100")
"""RFC 8410 section 4: everything of the SubjectPublicKeyInfo but the key."""
_X25519_OCTETS: Final = len(_X25519_PREFIX) + 32


def _private_key(pem: bytes) -> object:
    try:
        return load_pem_private_key(pem, None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        return None


def is_encryption_key(pem: bytes) -> bool:
    """Whether the text holds a private key that is for this alone: X25519."""
    return isinstance(_private_key(pem), x25519.X25519PrivateKey)


def _shown(key: object) -> str:
    return type(key).__name__.removesuffix("PublicKey").replace("MLDSA", "ML-DSA-")
