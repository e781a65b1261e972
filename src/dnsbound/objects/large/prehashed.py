"""Signatures whose message is hashed piece by piece, so that it is never in memory: ECDSA and RSA sign a digest, and
ML-DSA the 64 octets mu (FIPS 204 algorithm 2, line 6), which makes the same signature as the whole message.

Ed25519 hashes the message twice, the second time with what the first came to (RFC 8032 section 5.1.6): it cannot.
A key that is not in this process signs messages alone, not digests: with it content is signed by its manifest.
"""

from hashlib import shake_256
from typing import Final, Protocol

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed

from dnsbound.credential.keys import PublicKey, public_key_from_spki, spki_der
from dnsbound.credential.mldsa_keys import MLDSAPrivateKey, MLDSAPublicKey
from dnsbound.credential.signature import BadSignature
from dnsbound.credential.signer import LocalSigner, Signer
from dnsbound.errors import Malformed, Misuse
from dnsbound.objects.algorithms import KeyKind, ObjectAlgorithm, der_of_raw, kind_of, raw_of_der, rsa_padding

_MLDSA: Final = frozenset({KeyKind.MLDSA44, KeyKind.MLDSA65, KeyKind.MLDSA87})
_MU_OCTETS: Final = 64
_PURE_WITHOUT_CONTEXT: Final = b"\x00\x00"
INSTEAD: Final = "sign a manifest of its digest instead, which is the default"


class RunningHash(Protocol):
    """A hash under way."""

    def update(self, data: bytes | memoryview, /) -> None: ...

    def finalize(self) -> bytes: ...


class _Mu:
    def __init__(self, public: MLDSAPublicKey) -> None:
        key_digest = shake_256(public.public_bytes_raw()).digest(_MU_OCTETS)
        self._hash = shake_256(key_digest + _PURE_WITHOUT_CONTEXT)

    def update(self, data: bytes | memoryview, /) -> None:
        self._hash.update(data)

    def finalize(self) -> bytes:
        return self._hash.digest(_MU_OCTETS)


def signing_hash(signer: Signer, algorithm: ObjectAlgorithm) -> RunningHash:
    """For content this key is to sign. Misuse, with what to do instead, where the whole content would be needed."""
    if algorithm.kind is KeyKind.ED25519:
        raise Misuse(f"an Ed25519 key signs the whole content at once, which is not kept: {INSTEAD}")
    if not isinstance(signer, LocalSigner):
        raise Misuse(f"this key is not in this process and signs no digests: {INSTEAD}")
    return _hash(algorithm, signer.spki)


def checking_hash(algorithm: ObjectAlgorithm, spki: bytes | None) -> RunningHash:
    """For content whose signature is to be checked. spki: the key that came along. Malformed where the content would
    have to be there whole, or the key first."""
    if algorithm.kind is KeyKind.ED25519:
        raise Malformed("an Ed25519 signature over detached content needs it whole in memory: it is not checked here")
    if algorithm.kind in _MLDSA and spki is None:
        raise Malformed("an ML-DSA signature over detached content is checked with a key that comes along alone")
    return _hash(algorithm, spki)


def _hash(algorithm: ObjectAlgorithm, spki: bytes | None) -> RunningHash:
    if algorithm.digest is not None:
        return hashes.Hash(algorithm.digest)
    assert spki is not None
    key = public_key_from_spki(spki)
    if not isinstance(key, MLDSAPublicKey) or kind_of(key) is not algorithm.kind:
        raise Malformed(f"{algorithm.jose} is no algorithm of the key that came along")
    return _Mu(key)


def sign_digest(signer: Signer, algorithm: ObjectAlgorithm, digest: bytes) -> bytes:
    """The signature, in the form of JOSE and COSE, over what a `signing_hash` came to."""
    assert isinstance(signer, LocalSigner)
    key = signer.key
    if isinstance(key, MLDSAPrivateKey):
        return key.sign_mu(digest)
    assert algorithm.digest is not None
    if isinstance(key, ec.EllipticCurvePrivateKey):
        return raw_of_der(algorithm, key.sign(digest, ec.ECDSA(Prehashed(algorithm.digest))))
    assert isinstance(key, rsa.RSAPrivateKey)
    return key.sign(digest, rsa_padding(algorithm), Prehashed(algorithm.digest))


def verify_digest(key: PublicKey, algorithm: ObjectAlgorithm, signature: bytes, digest: bytes, spki: bytes | None) -> None:
    """BadSignature unless the algorithm is the key's and the signature is of what a `checking_hash` came to. spki: what
    that was told."""
    if kind_of(key) is not algorithm.kind:
        raise BadSignature(f"{algorithm.jose} is no algorithm of a {kind_of(key)} key")
    octets = algorithm.signature_octets
    if isinstance(key, rsa.RSAPublicKey):
        octets = (key.key_size + 7) // 8
    if len(signature) != octets:
        raise BadSignature(f"the signature has {len(signature)} octets, not {octets}")
    try:
        if isinstance(key, MLDSAPublicKey):
            if spki_der(key) != spki:
                raise BadSignature("the content was hashed for another key")
            key.verify_mu(signature, digest)
            return
        assert algorithm.digest is not None
        if isinstance(key, ec.EllipticCurvePublicKey):
            key.verify(der_of_raw(algorithm, signature), digest, ec.ECDSA(Prehashed(algorithm.digest)))
        elif isinstance(key, rsa.RSAPublicKey):
            key.verify(signature, digest, rsa_padding(algorithm), Prehashed(algorithm.digest))
        else:
            raise BadSignature("an Ed25519 key signs no digests")
    except InvalidSignature:
        raise BadSignature("the signature does not verify") from None
