"""The signature algorithms that HTTP has names for, by the kind of key: one for each, and none that two keys share.

`rsa-v1_5-sha256` and `hmac-sha256` are registered and not taken: the first is the weaker of two for the same key, and a
secret that two share proves nothing about either. P-521 and ML-DSA have no name (IANA HTTP Signature Algorithms
registry), so such keys sign no HTTP messages. Sections: RFC 9421 sections 3.3 and 6.2.2.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from dnsbound.credential.keys import PublicKey
from dnsbound.credential.signature import BadSignature, verifying_key
from dnsbound.credential.signer import Signer
from dnsbound.errors import Misuse
from dnsbound.iana import SignatureScheme
from dnsbound.objects import algorithms
from dnsbound.objects.algorithms import ALGORITHMS, KeyKind, ObjectAlgorithm, kind_of

RSA_PSS_SHA512: Final = "rsa-pss-sha512"
_NAMES: Final[Mapping[KeyKind, str]] = MappingProxyType(
    {
        KeyKind.P256: "ecdsa-p256-sha256",
        KeyKind.P384: "ecdsa-p384-sha384",
        KeyKind.ED25519: "ed25519",
        KeyKind.RSA: RSA_PSS_SHA512,
    }
)
_ALSO_OBJECTS: Final[Mapping[KeyKind, ObjectAlgorithm]] = MappingProxyType(
    {KeyKind.P256: ALGORITHMS["ES256"], KeyKind.P384: ALGORITHMS["ES384"], KeyKind.ED25519: ALGORITHMS["Ed25519"]}
)
"""Of one make with those of JOSE (RFC 9421 section 3.3 has ECDSA as r and s side by side too)."""


def algorithm_of_signer(signer: Signer) -> str:
    """The name of the algorithm that the signer's key signs with. Misuse for a key that HTTP has no name for."""
    try:
        return algorithm_of_key(verifying_key(signer.spki))
    except BadSignature as error:
        raise Misuse(str(error)) from error


def jose_algorithm(signer: Signer) -> str:
    """The same algorithm in the words of JOSE, for `Signature-Key`."""
    kind = kind_of(verifying_key(signer.spki))
    return "PS512" if kind is KeyKind.RSA else _ALSO_OBJECTS[kind].jose


def algorithm_of_key(key: PublicKey) -> str:
    """BadSignature for a key that HTTP has no name for."""
    kind = kind_of(key)
    if kind not in _NAMES:
        raise BadSignature(f"HTTP message signatures have no algorithm for {kind} keys")
    return _NAMES[kind]


def sign(signer: Signer, base: bytes) -> bytes:
    """The signature over a signature base. Misuse for a key that HTTP has no name for."""
    algorithm_of_signer(signer)
    kind = kind_of(verifying_key(signer.spki))
    if kind is KeyKind.RSA:
        return signer.sign(base, SignatureScheme.RSA_PSS_RSAE_SHA512)
    return algorithms.sign(signer, _ALSO_OBJECTS[kind], base)


def verify(key: PublicKey, alg: str | None, signature: bytes, base: bytes) -> None:
    """BadSignature unless the signature is the key's over this base, and `alg`, where it is said, is the key's."""
    expected = algorithm_of_key(key)
    if alg is not None and alg != expected:
        raise BadSignature(f"the signature says {alg[:40]!r}, and its key signs with {expected}")
    if not isinstance(key, rsa.RSAPublicKey):
        algorithms.verify(key, _ALSO_OBJECTS[kind_of(key)], signature, base)
        return
    if len(signature) != (key.key_size + 7) // 8:
        raise BadSignature(f"the signature has {len(signature)} octets")
    digest = hashes.SHA512()
    try:
        key.verify(signature, base, padding.PSS(padding.MGF1(digest), padding.PSS.DIGEST_LENGTH), digest)
    except InvalidSignature:
        raise BadSignature("the signature does not verify") from None
