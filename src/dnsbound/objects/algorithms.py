"""Signature algorithms of signed objects: their names in JOSE and COSE, the keys they belong to, and how signatures are
made and checked in the forms those use.

An ECDSA signature is r and s side by side at the width of the curve's order, not DER; every other form is as the
library has it. Which key may sign whose objects is not asked here. Sections: RFC 7518 section 3, RFC 8037 section 3,
RFC 9053 section 2, RFC 8812, RFC 9864 (algorithms that name their curve), RFC 9964 (ML-DSA, empty context).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from functools import lru_cache
from types import MappingProxyType
from typing import Any, Final, cast

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, mldsa, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature

from dnsbound.credential.keys import PublicKey
from dnsbound.credential.signature import BadSignature, verifying_key
from dnsbound.credential.signer import LocalSigner, Signer
from dnsbound.errors import Malformed, Misuse
from dnsbound.iana import SignatureScheme


class KeyKind(StrEnum):
    """Kinds of key that sign objects."""

    P256 = "P-256"
    P384 = "P-384"
    P521 = "P-521"
    ED25519 = "Ed25519"
    RSA = "RSA"
    MLDSA44 = "ML-DSA-44"
    MLDSA65 = "ML-DSA-65"
    MLDSA87 = "ML-DSA-87"


@dataclass(frozen=True, slots=True, eq=False)
class ObjectAlgorithm:
    """One signature algorithm; there is one value of each."""

    jose: str
    """Value of JOSE's `alg`."""
    cose: tuple[int, ...]
    """Values of COSE's `alg`: the one that is written, then others that are read. The key's curve must fit anyway."""
    kind: KeyKind
    signature_octets: int | None
    """None: as many as the RSA modulus has."""
    scheme: SignatureScheme | None
    """By which a `Signer` makes it; None where only a key in memory can."""
    digest: hashes.HashAlgorithm | None
    """None where the whole message is signed."""
    ecdsa: ec.ECDSA | None = field(init=False)
    """How the library calls it, where it is ECDSA."""

    def __post_init__(self) -> None:
        ecdsa = ec.ECDSA(self.digest) if self.digest is not None and self.kind is not KeyKind.RSA else None
        object.__setattr__(self, "ecdsa", ecdsa)


_ALL: Final = (
    ObjectAlgorithm("ES256", (-7, -9), KeyKind.P256, 64, SignatureScheme.ECDSA_SECP256R1_SHA256, hashes.SHA256()),
    ObjectAlgorithm("ES384", (-35, -51), KeyKind.P384, 96, SignatureScheme.ECDSA_SECP384R1_SHA384, hashes.SHA384()),
    ObjectAlgorithm("ES512", (-36, -52), KeyKind.P521, 132, SignatureScheme.ECDSA_SECP521R1_SHA512, hashes.SHA512()),
    ObjectAlgorithm("EdDSA", (-8,), KeyKind.ED25519, 64, SignatureScheme.ED25519, None),
    ObjectAlgorithm("Ed25519", (-19,), KeyKind.ED25519, 64, SignatureScheme.ED25519, None),
    ObjectAlgorithm("PS256", (-37,), KeyKind.RSA, None, SignatureScheme.RSA_PSS_RSAE_SHA256, hashes.SHA256()),
    ObjectAlgorithm("RS256", (-257,), KeyKind.RSA, None, None, hashes.SHA256()),
    ObjectAlgorithm("ML-DSA-44", (-48,), KeyKind.MLDSA44, 2420, SignatureScheme.MLDSA44, None),
    ObjectAlgorithm("ML-DSA-65", (-49,), KeyKind.MLDSA65, 3309, SignatureScheme.MLDSA65, None),
    ObjectAlgorithm("ML-DSA-87", (-50,), KeyKind.MLDSA87, 4627, SignatureScheme.MLDSA87, None),
)
ALGORITHMS: Final[Mapping[str, ObjectAlgorithm]] = MappingProxyType({row.jose: row for row in _ALL})
"""By JOSE name. What is absent, `none` and every MAC among it, is refused."""
COSE_ALGORITHMS: Final[Mapping[int, ObjectAlgorithm]] = MappingProxyType(
    {number: row for row in _ALL for number in row.cose}
)
_OF_KIND: Final[Mapping[KeyKind, tuple[ObjectAlgorithm, ...]]] = MappingProxyType(
    {kind: tuple(row for row in _ALL if row.kind is kind) for kind in KeyKind}
)
_CURVES: Final[Mapping[str, KeyKind]] = MappingProxyType(
    {"secp256r1": KeyKind.P256, "secp384r1": KeyKind.P384, "secp521r1": KeyKind.P521}
)
_ORDERS: Final[Mapping[KeyKind, int]] = MappingProxyType(
    {
        KeyKind.P256: ec.SECP256R1().group_order,
        KeyKind.P384: ec.SECP384R1().group_order,
        KeyKind.P521: ec.SECP521R1().group_order,
    }
)
"""SP 800-186 section 3.2.1: the order n of each curve."""


def algorithm_of_jose(name: str) -> ObjectAlgorithm:
    """Malformed for an algorithm that is not used here."""
    try:
        return ALGORITHMS[name]
    except KeyError:
        raise Malformed(f"signature algorithm {name[:40]!r} is not used here") from None


def algorithm_of_cose(number: int) -> ObjectAlgorithm:
    """Malformed for an algorithm that is not used here."""
    try:
        return COSE_ALGORITHMS[number]
    except KeyError:
        raise Malformed(f"signature algorithm {number} is not used here") from None


def kind_of(key: PublicKey) -> KeyKind:
    """BadSignature for a key that signs no objects: one on another curve."""
    kind = _kind_of_type(type(key))
    if kind is not None:
        return kind
    curve = cast("ec.EllipticCurvePublicKey", key).curve.name
    kind = _CURVES.get(curve)
    if kind is None:
        raise BadSignature(f"elliptic curve {curve} signs no objects here")
    return kind


@lru_cache(maxsize=64)
def _kind_of_type(kind: type[PublicKey]) -> KeyKind | None:
    """None for elliptic curves, which are of one type. Asking the library's abstract types takes its time."""
    return next((known for base, known in _TYPES.items() if issubclass(kind, base)), None)


_TYPES: Final[Mapping[type, KeyKind]] = MappingProxyType(
    {
        ed25519.Ed25519PublicKey: KeyKind.ED25519,
        rsa.RSAPublicKey: KeyKind.RSA,
        mldsa.MLDSA44PublicKey: KeyKind.MLDSA44,
        mldsa.MLDSA65PublicKey: KeyKind.MLDSA65,
        mldsa.MLDSA87PublicKey: KeyKind.MLDSA87,
    }
)


@lru_cache(maxsize=1024)
def algorithms_of(spki: bytes) -> tuple[ObjectAlgorithm, ...]:
    """With which a key, DER SubjectPublicKeyInfo, may sign, best first. Malformed or BadSignature when it is no key, or
    signs nothing."""
    return _OF_KIND[kind_of(verifying_key(spki))]


def choose_algorithm(signer: Signer, name: str | None = None) -> ObjectAlgorithm:
    """The algorithm of this JOSE name, or the best one. Misuse when it is not the signer's."""
    try:
        algorithms = algorithms_of(signer.spki)
    except BadSignature as error:
        raise Misuse(str(error)) from error
    for algorithm in algorithms:
        if name is None or algorithm.jose == name:
            return algorithm
    raise Misuse(f"this key signs with {', '.join(row.jose for row in algorithms)}, not with {name}")


def sign(signer: Signer, algorithm: ObjectAlgorithm, message: bytes) -> bytes:
    """The signature over the message in the form of JOSE and COSE. Misuse when the signer cannot make it."""
    if algorithm.scheme is None:
        return _local_rsa(signer).sign(message, padding.PKCS1v15(), hashes.SHA256())
    made = signer.sign(message, algorithm.scheme)
    return raw_of_der(algorithm, made) if algorithm.kind in _ORDERS else made


def _local_rsa(signer: Signer) -> rsa.RSAPrivateKey:
    if not isinstance(signer, LocalSigner) or not isinstance(signer.key, rsa.RSAPrivateKey):
        raise Misuse("RS256 is made by an RSA key of this process alone; elsewhere use PS256")
    return signer.key


def verify(key: PublicKey, algorithm: ObjectAlgorithm, signature: bytes, message: bytes) -> None:
    """BadSignature unless the algorithm is the key's, and the signature, of exactly the right form, is of the message
    by that key."""
    expect_kind(key, algorithm)
    check: Any = key.verify
    try:
        if algorithm.kind in _ORDERS:
            check(der_of_raw(algorithm, signature), message, algorithm.ecdsa)
        elif algorithm.kind is KeyKind.RSA:
            assert isinstance(key, rsa.RSAPublicKey)
            expect_octets(signature, (key.key_size + 7) // 8)
            check(signature, message, rsa_padding(algorithm), hashes.SHA256())
        else:
            expect_octets(signature, algorithm.signature_octets)
            check(signature, message)
    except InvalidSignature:
        raise BadSignature("the signature does not verify") from None


def rsa_padding(algorithm: ObjectAlgorithm) -> padding.PKCS1v15 | padding.PSS:
    """RFC 7518 section 3.5: PSS with a salt as long as the digest."""
    if algorithm.scheme is None:
        return padding.PKCS1v15()
    return padding.PSS(padding.MGF1(hashes.SHA256()), padding.PSS.DIGEST_LENGTH)


def expect_kind(key: PublicKey, algorithm: ObjectAlgorithm) -> None:
    """BadSignature unless the algorithm is the key's."""
    kind = kind_of(key)
    if kind is not algorithm.kind:
        raise BadSignature(f"{algorithm.jose} is no algorithm of a {kind} key")


def expect_octets(signature: bytes, octets: int | None) -> None:
    """BadSignature unless the signature has this length."""
    if len(signature) != octets:
        raise BadSignature(f"the signature has {len(signature)} octets, not {octets}")


def der_of_raw(algorithm: ObjectAlgorithm, signature: bytes) -> bytes:
    """DER of an ECDSA signature that is r and s side by side. BadSignature unless it has exactly that length, and both
    are from 1 to n - 1."""
    expect_octets(signature, algorithm.signature_octets)
    half = len(signature) // 2
    order = _ORDERS[algorithm.kind]
    r, s = int.from_bytes(signature[:half], "big"), int.from_bytes(signature[half:], "big")
    if not (0 < r < order and 0 < s < order):
        raise BadSignature("r or s of the signature is out of range")
    return encode_dss_signature(r, s)


def raw_of_der(algorithm: ObjectAlgorithm, signature: bytes) -> bytes:
    """r and s side by side, of an ECDSA signature in DER, as a `Signer` makes it; of s and n - s, which verify alike,
    the smaller (`is_only_form`)."""
    assert algorithm.signature_octets is not None
    half = algorithm.signature_octets // 2
    r, s = decode_dss_signature(signature)
    return r.to_bytes(half, "big") + min(s, _ORDERS[algorithm.kind] - s).to_bytes(half, "big")


def is_only_form(algorithm: ObjectAlgorithm, signature: bytes) -> bool:
    """Whether nobody but the key's holder could have written the signature otherwise: of an ECDSA signature everybody
    can make a second one of the same message, with n - s for s, so that one of them counts where the octets of a signed
    object are what it is known by."""
    order = _ORDERS.get(algorithm.kind)
    return order is None or 2 * int.from_bytes(signature[len(signature) // 2 :], "big") < order
