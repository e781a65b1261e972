"""Checking a signature by its TLS signature scheme: the other half of `dnsbound.credential.signer`.

Scheme and key must belong together (RFC 9846 section 4.3.3: in TLS 1.3 an ECDSA scheme names its curve, and RSA signs
with PSS alone). A key too weak, or too costly to verify with, verifies nothing. Whose key it is, is not asked here.
"""

from collections.abc import Callable, Mapping
from functools import lru_cache
from types import MappingProxyType
from typing import Final, TypeAlias

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, mldsa, padding, rsa

from dnsbound.credential.keys import MAXIMUM_RSA_BITS, KeyFacts, PublicKey, public_key_from_spki
from dnsbound.credential.mldsa_keys import MLDSAPublicKey
from dnsbound.errors import PeerError
from dnsbound.iana import SignatureScheme

KEYS_PARSED: Final = 4096
"""Keys that are kept parsed: parsing a P-256 key takes a tenth of the time of checking a signature with it."""

_Check: TypeAlias = Callable[[PublicKey, bytes, bytes], None]
"""Takes key, signature and message; raises InvalidSignature, or _WrongKey when the key is none of the scheme's."""


class BadSignature(PeerError):
    """The signature, the scheme and the key do not belong together."""


class _WrongKey(Exception):
    """The scheme is not one of this key's."""


def verify_signature(spki: bytes, scheme: int, signature: bytes, message: bytes) -> None:
    """Check a signature over the message (not its digest) by the key in a DER SubjectPublicKeyInfo.

    Raises BadSignature for a scheme that is unknown, or not this key's, or a signature that is not of the message, and
    Malformed where the key does not parse.
    """
    try:
        check = CHECKS[SignatureScheme(scheme)]
    except (ValueError, KeyError):
        raise BadSignature(f"signature scheme {scheme:#06x} is not verified here") from None
    key = verifying_key(spki)
    try:
        check(key, signature, message)
    except _WrongKey:
        algorithm = KeyFacts.of(key, spki).algorithm
        raise BadSignature(f"an {algorithm} key does not sign with {SignatureScheme(scheme).name}") from None
    except InvalidSignature:
        raise BadSignature("the signature does not verify") from None


@lru_cache(maxsize=KEYS_PARSED)
def verifying_key(spki: bytes) -> PublicKey:
    """The key of a DER SubjectPublicKeyInfo, to check signatures with. Malformed where it does not parse, BadSignature
    when it is too weak, or too costly, for any."""
    key = public_key_from_spki(spki)
    facts = KeyFacts.of(key, spki)
    if facts.weak_because is not None:
        raise BadSignature(facts.weak_because)
    if isinstance(key, rsa.RSAPublicKey) and key.key_size > MAXIMUM_RSA_BITS:
        raise BadSignature(f"RSA key of {key.key_size} bits, more than {MAXIMUM_RSA_BITS}")
    return key


def _ecdsa(curve: str, digest: hashes.HashAlgorithm) -> _Check:
    def check(key: PublicKey, signature: bytes, message: bytes) -> None:
        if not isinstance(key, ec.EllipticCurvePublicKey) or key.curve.name != curve:
            raise _WrongKey
        key.verify(signature, message, ec.ECDSA(digest))

    return check


def _rsa_pss(digest: hashes.HashAlgorithm) -> _Check:
    def check(key: PublicKey, signature: bytes, message: bytes) -> None:
        if not isinstance(key, rsa.RSAPublicKey):
            raise _WrongKey
        key.verify(signature, message, padding.PSS(padding.MGF1(digest), padding.PSS.DIGEST_LENGTH), digest)

    return check


def _whole(kind: type[ed25519.Ed25519PublicKey | MLDSAPublicKey]) -> _Check:
    """Schemes that take the message as it is."""

    def check(key: PublicKey, signature: bytes, message: bytes) -> None:
        if not isinstance(key, kind):
            raise _WrongKey
        key.verify(signature, message)

    return check


CHECKS: Final[Mapping[SignatureScheme, _Check]] = MappingProxyType(
    {
        SignatureScheme.ECDSA_SECP256R1_SHA256: _ecdsa("secp256r1", hashes.SHA256()),
        SignatureScheme.ECDSA_SECP384R1_SHA384: _ecdsa("secp384r1", hashes.SHA384()),
        SignatureScheme.ECDSA_SECP521R1_SHA512: _ecdsa("secp521r1", hashes.SHA512()),
        SignatureScheme.RSA_PSS_RSAE_SHA256: _rsa_pss(hashes.SHA256()),
        SignatureScheme.RSA_PSS_RSAE_SHA384: _rsa_pss(hashes.SHA384()),
        SignatureScheme.RSA_PSS_RSAE_SHA512: _rsa_pss(hashes.SHA512()),
        SignatureScheme.ED25519: _whole(ed25519.Ed25519PublicKey),
        SignatureScheme.MLDSA44: _whole(mldsa.MLDSA44PublicKey),
        SignatureScheme.MLDSA65: _whole(mldsa.MLDSA65PublicKey),
        SignatureScheme.MLDSA87: _whole(mldsa.MLDSA87PublicKey),
    }
)
"""How each scheme is checked; a scheme that is absent verifies nothing."""
