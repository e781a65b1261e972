"""Key pairs: which kinds a client may have, making them, and reading and writing them as PKCS#8 and SPKI.

A key is held as the value of the `cryptography` package. Sections: RFC 5958 (PKCS#8), RFC 5280 section 4.1.2.7 (SPKI),
RFC 8410 (Ed25519), RFC 9881 (ML-DSA).
"""

import re
from base64 import b64decode
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import Final, Self, TypeAlias

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, mldsa, rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_der_private_key,
    load_der_public_key,
    load_pem_private_key,
)

from dnsbound.credential.mldsa_keys import MLDSAPrivateKey, MLDSAPublicKey, mldsa_name, private_key_of_both_forms
from dnsbound.errors import Malformed, Misuse

PrivateKey: TypeAlias = ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey | rsa.RSAPrivateKey | MLDSAPrivateKey
PublicKey: TypeAlias = ec.EllipticCurvePublicKey | ed25519.Ed25519PublicKey | rsa.RSAPublicKey | MLDSAPublicKey

MINIMUM_RSA_BITS: Final = 2048
"""RFC 9325 section 4.5, NIST SP 800-131A: smaller RSA keys are refused when made, loaded, or part of a path."""
MAXIMUM_RSA_BITS: Final = 8192
"""For the keys a peer can make us verify signatures with, many at a time: the engine's own limit, 16384 bits, costs
fifty times as much for each."""
MAXIMUM_EXPONENT_BITS: Final = 64
"""Of public RSA exponents: 65537 has 17, and the work of whoever verifies grows with them."""

_USED: Final = "only elliptic curve, Ed25519, RSA and ML-DSA keys are used"
_PKCS8_BLOCK: Final = re.compile(rb"-----BEGIN PRIVATE KEY-----([A-Za-z0-9+/=\s]*)-----END PRIVATE KEY-----")
_CURVES: Final = {"secp256r1": "P-256", "secp384r1": "P-384", "secp521r1": "P-521"}


class KeyAlgorithm(StrEnum):
    """Kinds of key this package makes."""

    P256 = "p256"
    ED25519 = "ed25519"
    RSA3072 = "rsa3072"
    RSA2048 = "rsa2048"
    MLDSA44 = "ml-dsa-44"
    MLDSA65 = "ml-dsa-65"
    MLDSA87 = "ml-dsa-87"

    @classmethod
    def parse(cls, text: str) -> Self:
        """Also as people write them: `ML-DSA-65`, `P-256`, `RSA-3072`. Misuse for any other."""
        named = next((algorithm for algorithm in cls if algorithm.is_called(text)), None)
        if named is None:
            raise Misuse(f"algorithm {text!r} is none of {', '.join(cls)}")
        return named

    def is_called(self, text: str) -> bool:
        """Whether the text, such as `KeyFacts.algorithm`, is a way to write this one."""
        return self.value.replace("-", "") == text.lower().replace("-", "")


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyFacts:
    """What a public key is, in words for people and policy."""

    algorithm: str
    """Such as `P-256`, `Ed25519`, `RSA-3072`, `ML-DSA-65`."""
    bits: int
    """Of the public key; they compare keys of one algorithm, not strengths of two."""
    spki: bytes
    weak_because: str | None
    """Why policy refuses the key where a path is checked, or None."""

    @classmethod
    def from_spki(cls, spki: bytes) -> Self:
        """Read a DER SubjectPublicKeyInfo; Malformed when it is no key, or of a kind never used here."""
        return cls.of(public_key_from_spki(spki), spki)

    @classmethod
    def of(cls, key: PublicKey, spki: bytes) -> Self:
        if isinstance(key, ed25519.Ed25519PublicKey):
            return cls(algorithm="Ed25519", bits=256, spki=spki, weak_because=None)
        if isinstance(key, ec.EllipticCurvePublicKey):
            curve = key.curve.name
            known = _CURVES.get(curve)
            weak = None if known else f"elliptic curve {curve} is not P-256, P-384 or P-521"
            return cls(algorithm=known or curve, bits=key.key_size, spki=spki, weak_because=weak)
        if isinstance(key, MLDSAPublicKey):
            return cls(algorithm=mldsa_name(key), bits=8 * len(key.public_bytes_raw()), spki=spki, weak_because=None)
        exponent = key.public_numbers().e.bit_length()
        weak = f"RSA key of {key.key_size} bits" if key.key_size < MINIMUM_RSA_BITS else None
        if exponent > MAXIMUM_EXPONENT_BITS:
            weak = f"RSA exponent of {exponent} bits: each check of a signature would cost as much as making one"
        return cls(algorithm=f"RSA-{key.key_size}", bits=key.key_size, spki=spki, weak_because=weak)


def generate_private_key(algorithm: KeyAlgorithm) -> PrivateKey:
    """A fresh key; entropy is the library's."""
    return _GENERATORS[algorithm]()


_GENERATORS: Final[Mapping[KeyAlgorithm, Callable[[], PrivateKey]]] = MappingProxyType(
    {
        KeyAlgorithm.P256: lambda: ec.generate_private_key(ec.SECP256R1()),
        KeyAlgorithm.ED25519: ed25519.Ed25519PrivateKey.generate,
        KeyAlgorithm.RSA3072: lambda: rsa.generate_private_key(public_exponent=65537, key_size=3072),
        KeyAlgorithm.RSA2048: lambda: rsa.generate_private_key(public_exponent=65537, key_size=2048),
        KeyAlgorithm.MLDSA44: mldsa.MLDSA44PrivateKey.generate,
        KeyAlgorithm.MLDSA65: mldsa.MLDSA65PrivateKey.generate,
        KeyAlgorithm.MLDSA87: mldsa.MLDSA87PrivateKey.generate,
    }
)


def public_key_from_spki(spki: bytes) -> PublicKey:
    """The key of a DER SubjectPublicKeyInfo; Malformed when it is none, or of a kind never used here."""
    try:
        key = load_der_public_key(spki)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise Malformed("public key does not parse") from error
    if not isinstance(key, PublicKey):
        raise Malformed(f"public key is a {type(key).__name__}: {_USED}")
    return key


def private_key_from_pem(pem: bytes, password: bytes | None = None) -> PrivateKey:
    """The first private key of the text. Malformed when there is none; Misuse when the password is missing or wrong."""
    try:
        return _usable(load_pem_private_key(pem, password))
    except TypeError as error:
        raise Misuse(
            "the private key is encrypted: give its password"
            if password is None
            else "a password was given and the private key is not encrypted"
        ) from error
    except (ValueError, UnsupportedAlgorithm) as error:
        if password is not None:
            raise Misuse("the private key does not open: wrong password, or damaged") from error
        if (key := private_key_of_both_forms(_pkcs8_of(pem))) is not None:
            return key
        raise Malformed("private key does not parse as PEM") from error


def private_key_from_der(der: bytes) -> PrivateKey:
    """The key of an unencrypted PKCS#8 structure (traditional RSA and EC forms are read too)."""
    try:
        return _usable(load_der_private_key(der, None))
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        if (key := private_key_of_both_forms(der)) is not None:
            return key
        raise Malformed("private key does not parse as DER") from error


def private_key_to_der(key: PrivateKey) -> bytes:
    """PKCS#8, not encrypted."""
    return key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())


def private_key_to_pem(key: PrivateKey) -> bytes:
    """PKCS#8, not encrypted."""
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def spki_der(key: PublicKey) -> bytes:
    """DER SubjectPublicKeyInfo: what RFC 7250 sends and selector 1 names."""
    return key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def signature_hash(key: PrivateKey) -> hashes.HashAlgorithm | None:
    """The hash a certificate signature by this key uses; None for Ed25519 and ML-DSA, which have their own."""
    if isinstance(key, ed25519.Ed25519PrivateKey | MLDSAPrivateKey):
        return None
    if isinstance(key, ec.EllipticCurvePrivateKey) and key.curve.key_size > 256:
        return hashes.SHA384() if key.curve.key_size <= 384 else hashes.SHA512()
    return hashes.SHA256()


def _pkcs8_of(pem: bytes) -> bytes:
    """What the first unencrypted PKCS#8 block holds; empty without one."""
    found = _PKCS8_BLOCK.search(pem)
    try:
        return b"" if found is None else b64decode(b"".join(found[1].split()), validate=True)
    except ValueError:
        return b""


def _usable(key: object) -> PrivateKey:
    if not isinstance(key, PrivateKey):
        raise Malformed(f"private key is a {type(key).__name__}: {_USED}")
    weak = KeyFacts.of(key.public_key(), b"").weak_because
    if weak is not None:
        raise Malformed(f"private key is too weak: {weak}")
    return key
