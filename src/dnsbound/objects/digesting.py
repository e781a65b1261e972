"""Signing and checking a long message as it comes, in constant memory: ECDSA, RSA and ML-DSA.

The signature is the same as over the whole message at once. Ed25519 goes over its message twice and cannot (RFC 8032
section 5.1.6): such a key signs a list of digests instead. A key that is elsewhere signs whole messages alone
(`dnsbound.credential.signer`). Sections: FIPS 204 section 6.2 (the message representative of ML-DSA, computed outside).
"""

import hashlib
from functools import partial
from typing import TYPE_CHECKING, Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec, mldsa, rsa
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed

from dnsbound.credential.keys import PrivateKey, PublicKey, spki_der
from dnsbound.credential.mldsa_keys import MLDSAPublicKey
from dnsbound.credential.signature import BadSignature, verifying_key
from dnsbound.credential.signer import LocalSigner, Signer
from dnsbound.errors import Misuse
from dnsbound.objects.algorithms import (
    KeyKind,
    ObjectAlgorithm,
    der_of_raw,
    expect_kind,
    expect_octets,
    raw_of_der,
    rsa_padding,
)

if TYPE_CHECKING:
    from collections.abc import Callable

_PURE_EMPTY_CONTEXT: Final = b"\x00\x00"
"""FIPS 204 section 5.2: pure ML-DSA, and no octets of context."""
_OCTETS: Final = 64
"""FIPS 204 section 6.2: of tr and of mu."""


def can_digest(algorithm: ObjectAlgorithm) -> bool:
    """Whether messages of this algorithm can be signed and checked as they come."""
    return algorithm.kind is not KeyKind.ED25519


class Digesting:
    """A message in the making, for one signature of one algorithm. Give it everything in order, then sign or verify."""

    __slots__ = ("_add", "_algorithm", "_digest", "_spki")

    def __init__(self, algorithm: ObjectAlgorithm, spki: bytes | None) -> None:
        """spki: DER SubjectPublicKeyInfo of the key, which an ML-DSA message is bound to from its first octet on; None
        for another algorithm, where the key is known later. Misuse for Ed25519, BadSignature when the key is not one of
        the algorithm."""
        if not can_digest(algorithm):
            raise Misuse("Ed25519 signs whole messages: sign a list of digests instead")
        key = None if spki is None else verifying_key(spki)
        if key is not None:
            expect_kind(key, algorithm)
        self._algorithm = algorithm
        self._spki = spki
        self._add: Callable[[bytes | memoryview], None]
        self._digest: Callable[[], bytes]
        """Of the message so far; more may follow."""
        if isinstance(key, MLDSAPublicKey):
            tr = hashlib.shake_256(key.public_bytes_raw()).digest(_OCTETS)
            shake = hashlib.shake_256(tr + _PURE_EMPTY_CONTEXT)
            self._add, self._digest = shake.update, partial(shake.digest, _OCTETS)
        else:
            if algorithm.digest is None:
                raise Misuse("an ML-DSA message is digested for a key that is known")
            made = hashlib.new(algorithm.digest.name)
            self._add, self._digest = made.update, made.digest

    def update(self, octets: bytes | memoryview) -> None:
        """Add to the message."""
        self._add(octets)

    def sign(self, signer: Signer) -> bytes:
        """The signature in the form of JOSE and COSE. Misuse when the signer's key is elsewhere, or another one."""
        if not isinstance(signer, LocalSigner):
            raise Misuse("a key that is elsewhere signs whole messages: sign a list of digests instead")
        if signer.spki != self._spki:
            raise Misuse("the message was digested for another key")
        return self._signed(signer.key)

    def verify(self, key: PublicKey, signature: bytes) -> None:
        """As `dnsbound.objects.algorithms.verify`, for the message so far."""
        expect_kind(key, self._algorithm)
        if isinstance(key, MLDSAPublicKey) and spki_der(key) != self._spki:
            raise BadSignature("the message was digested for another key")
        try:
            self._check(key, signature)
        except InvalidSignature:
            raise BadSignature("the signature does not verify") from None

    def _signed(self, key: PrivateKey) -> bytes:
        algorithm = self._algorithm
        match key:
            case ec.EllipticCurvePrivateKey():
                return raw_of_der(algorithm, key.sign(self._digest(), ec.ECDSA(self._prehashed())))
            case rsa.RSAPrivateKey():
                return key.sign(self._digest(), rsa_padding(algorithm), self._prehashed())
            case mldsa.MLDSA44PrivateKey() | mldsa.MLDSA65PrivateKey() | mldsa.MLDSA87PrivateKey():
                return key.sign_mu(self._digest())
            case _:
                raise Misuse("the key signs whole messages")

    def _check(self, key: PublicKey, signature: bytes) -> None:
        match key:
            case ec.EllipticCurvePublicKey():
                key.verify(der_of_raw(self._algorithm, signature), self._digest(), ec.ECDSA(self._prehashed()))
            case rsa.RSAPublicKey():
                expect_octets(signature, (key.key_size + 7) // 8)
                key.verify(signature, self._digest(), rsa_padding(self._algorithm), self._prehashed())
            case mldsa.MLDSA44PublicKey() | mldsa.MLDSA65PublicKey() | mldsa.MLDSA87PublicKey():
                expect_octets(signature, self._algorithm.signature_octets)
                key.verify_mu(signature, self._digest())
            case _:
                raise Misuse("the key signs whole messages")

    def _prehashed(self) -> Prehashed:
        assert self._algorithm.digest is not None
        return Prehashed(self._algorithm.digest)
