"""COSE_Key, of public keys alone, from and to DER SubjectPublicKeyInfo (RFC 9052 section 7).

Sections: RFC 9053 section 7.1 (EC2, OKP), RFC 8230 section 4 (RSA), RFC 9964 (AKP: ML-DSA).
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final

from cryptography.hazmat.primitives.asymmetric import ec, ed25519, mldsa, rsa, x25519
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from dnsbound.credential.encryption_keys import EncryptionKind
from dnsbound.credential.keys import public_key_from_spki, spki_der
from dnsbound.errors import Malformed, Misuse
from dnsbound.objects.cose.labels import KeyMember, KeyType
from dnsbound.objects.encryption import CURVES, AgreementKey, key_of_point, point_of

CURVE_NUMBERS: Final[Mapping[EncryptionKind, int]] = MappingProxyType(
    {EncryptionKind.P256: 1, EncryptionKind.P384: 2, EncryptionKind.P521: 3, EncryptionKind.X25519: 4}
)
_KIND_OF_CURVE: Final = {number: kind for kind, number in CURVE_NUMBERS.items()}
_ED25519: Final = 6
_MLDSA: Final[Mapping[int, type[Any]]] = MappingProxyType(
    {-48: mldsa.MLDSA44PublicKey, -49: mldsa.MLDSA65PublicKey, -50: mldsa.MLDSA87PublicKey}
)
_MAXIMUM_MODULUS_OCTETS: Final = 2048


def cose_key_of(spki: bytes) -> dict[int, Any]:
    """The COSE_Key of a key that signs."""
    key = public_key_from_spki(spki)
    match key:
        case ec.EllipticCurvePublicKey():
            return agreement_cose_key(key)
        case ed25519.Ed25519PublicKey():
            return {KeyMember.KTY: KeyType.OKP, KeyMember.CURVE: _ED25519, KeyMember.X: key.public_bytes_raw()}
        case rsa.RSAPublicKey():
            numbers = key.public_numbers()
            return {
                KeyMember.KTY: KeyType.RSA,
                KeyMember.RSA_N: _unsigned(numbers.n),
                KeyMember.RSA_E: _unsigned(numbers.e),
            }
        case _:
            number = next(number for number, kind in _MLDSA.items() if isinstance(key, kind))
            return {KeyMember.KTY: KeyType.AKP, KeyMember.ALG: number, KeyMember.AKP_PUB: key.public_bytes_raw()}


def agreement_cose_key(key: AgreementKey) -> dict[int, Any]:
    """The COSE_Key of a key that agrees on secrets."""
    kind, coordinates = point_of(key)
    if kind is EncryptionKind.X25519:
        return {KeyMember.KTY: KeyType.OKP, KeyMember.CURVE: CURVE_NUMBERS[kind], KeyMember.X: coordinates[0]}
    return {
        KeyMember.KTY: KeyType.EC2,
        KeyMember.CURVE: CURVE_NUMBERS[kind],
        KeyMember.X: coordinates[0],
        KeyMember.Y: coordinates[1],
    }


def spki_of_cose_key(value: object, what: str) -> bytes:
    """DER SubjectPublicKeyInfo of a COSE_Key that signs. Malformed, also for a key that holds its private part."""
    members = _members(value, what)
    match members.get(KeyMember.KTY):
        case KeyType.EC2:
            return _der(agreement_key_of(value, what))
        case KeyType.OKP if members.get(KeyMember.CURVE) == _ED25519:
            return _whole(ed25519.Ed25519PublicKey, members.get(KeyMember.X), what)
        case KeyType.RSA:
            return _rsa(members, what)
        case KeyType.AKP if (kind := _mldsa_kind(members.get(KeyMember.ALG))) is not None:
            return _whole(kind, members.get(KeyMember.AKP_PUB), what)
        case _:
            raise Malformed(f"{what} is a key of a kind that is not used here")


def _mldsa_kind(number: object) -> type[Any] | None:
    """What stands there may be anything, and not everything can be looked for in a mapping."""
    return _MLDSA.get(number) if isinstance(number, int) else None


def agreement_key_of(value: object, what: str) -> AgreementKey:
    """A key to agree on a secret with; Malformed for any other. A compressed point is read (RFC 9053 section 7.1.1)."""
    members = _members(value, what)
    curve = members.get(KeyMember.CURVE)
    kind = _KIND_OF_CURVE.get(curve) if isinstance(curve, int) and not isinstance(curve, bool) else None
    if kind is None or (kind is EncryptionKind.X25519) != (members.get(KeyMember.KTY) == KeyType.OKP):
        raise Malformed(f"{what} is a key of a kind that is not used here")
    x, y = members.get(KeyMember.X), members.get(KeyMember.Y)
    if not isinstance(x, bytes):
        raise Malformed(f"{what} has no x")
    if kind is EncryptionKind.X25519:
        return key_of_point(kind, (x,))
    if members.get(KeyMember.KTY) != KeyType.EC2:
        raise Malformed(f"{what} is a key of a kind that is not used here")
    if isinstance(y, bool):
        return _decompressed(kind, x, odd=y, what=what)
    if not isinstance(y, bytes):
        raise Malformed(f"{what} has no y")
    return key_of_point(kind, (x, y))


def _members(value: object, what: str) -> Mapping[Any, Any]:
    if not isinstance(value, dict):
        raise Malformed(f"{what} is no map")
    if value.get(KeyMember.KTY) in (KeyType.OKP, KeyType.EC2) and -4 in value:
        raise Malformed(f"{what} holds its private part")
    if value.get(KeyMember.KTY) == KeyType.RSA and -3 in value:
        raise Malformed(f"{what} holds its private part")
    if value.get(KeyMember.KTY) == KeyType.AKP and -2 in value:
        raise Malformed(f"{what} holds its private part")
    return value


def _decompressed(kind: EncryptionKind, x: bytes, *, odd: bool, what: str) -> ec.EllipticCurvePublicKey:
    try:
        return ec.EllipticCurvePublicKey.from_encoded_point(CURVES[kind], bytes((3 if odd else 2,)) + x)
    except ValueError:
        raise Malformed(f"{what} is no point of its curve") from None


def _whole(kind: type[Any], octets: object, what: str) -> bytes:
    if not isinstance(octets, bytes):
        raise Malformed(f"{what} has no public key")
    try:
        return spki_der(kind.from_public_bytes(octets))
    except ValueError:
        raise Malformed(f"{what} has a public key of another length") from None


def _rsa(members: Mapping[Any, Any], what: str) -> bytes:
    n, e = members.get(KeyMember.RSA_N), members.get(KeyMember.RSA_E)
    if not isinstance(n, bytes) or not isinstance(e, bytes) or not n or not e:
        raise Malformed(f"{what} has no modulus or no exponent")
    if len(n) > _MAXIMUM_MODULUS_OCTETS or len(e) > 8 or not n[0] or not e[0]:
        raise Malformed(f"{what} has a modulus or exponent that is too long, or has leading zeros")
    try:
        return spki_der(rsa.RSAPublicNumbers(int.from_bytes(e, "big"), int.from_bytes(n, "big")).public_key())
    except ValueError:
        raise Malformed(f"{what} is no RSA key") from None


def _unsigned(value: int) -> bytes:
    return value.to_bytes((value.bit_length() + 7) // 8, "big")


def _der(key: AgreementKey) -> bytes:
    if isinstance(key, x25519.X25519PublicKey):
        raise Misuse("an X25519 key signs nothing")
    return key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
