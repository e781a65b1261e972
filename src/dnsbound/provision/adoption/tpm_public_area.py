"""The public area of a TPM's key, as makers list it: TPMT_PUBLIC, with or without the length of TPM2B_PUBLIC.

It says what the key is and what its TPM lets it do. A key that may only decrypt (an endorsement key), or only sign
what the TPM itself produced (an attestation key), can log in nowhere.

Sections: TCG TPM 2.0 Library, Part 2: 8.3 (TPMA_OBJECT), 11.1.6 and 11.2.3 (symmetric and asymmetric schemes), 12.2
(public area); Part 1 section 25.1 (restricted keys).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final, Self

from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from dnsbound.errors import Malformed
from dnsbound.wire import Reader

_RSA: Final = 0x0001
_ECC: Final = 0x0023
_NULL: Final = 0x0010
_RESTRICTED: Final = 1 << 16
_SIGN: Final = 1 << 18
_DEFAULT_EXPONENT: Final = 65537

_SCHEME_OCTETS: Final[Mapping[int, int]] = MappingProxyType(
    {
        _NULL: 0,
        0x0014: 2,  # RSASSA: a hash
        0x0015: 0,  # RSAES
        0x0016: 2,  # RSAPSS
        0x0017: 2,  # OAEP
        0x0018: 2,  # ECDSA
        0x0019: 2,  # ECDH
        0x001A: 4,  # ECDAA: a hash and a count
        0x001B: 2,  # SM2
        0x001C: 2,  # ECSCHNORR
        0x0007: 2,  # MGF1, as a key derivation
        0x0020: 2,  # KDF1_SP800_56A
        0x0021: 2,  # KDF2
        0x0022: 2,  # KDF1_SP800_108
    }
)
"""Octets of a scheme's parameters, by its algorithm."""

_CURVES: Final[Mapping[int, ec.EllipticCurve]] = MappingProxyType(
    {0x0003: ec.SECP256R1(), 0x0004: ec.SECP384R1(), 0x0005: ec.SECP521R1()}
)


@dataclass(frozen=True, slots=True, kw_only=True)
class TpmPublicArea:
    """What is read of it. attributes: TPMA_OBJECT. key: the public key itself."""

    attributes: int
    key: ec.EllipticCurvePublicKey | rsa.RSAPublicKey

    @classmethod
    def from_wire(cls, octets: bytes) -> Self:
        """Malformed for anything but the public area of an RSA or elliptic curve key."""
        reader = Reader(octets, "TPM public area")
        if _has_length(octets):
            reader.uint(2)
        algorithm = reader.uint(2)
        reader.uint(2)  # the hash of the object's name
        attributes = reader.uint(4)
        reader.prefixed(2)  # the policy
        if algorithm not in (_RSA, _ECC):
            raise Malformed(f"TPM public area is of algorithm 0x{algorithm:04x}, neither RSA nor ECC")
        if reader.uint(2) != _NULL:
            reader.octets(4)  # key size and mode of the symmetric algorithm of a storage key
        _scheme(reader)
        try:
            key = _rsa(reader) if algorithm == _RSA else _ecc(reader)
        except ValueError:
            raise Malformed("TPM public area holds no key of its algorithm") from None
        reader.finish()
        return cls(attributes=attributes, key=key)

    @property
    def signs_what_it_is_given(self) -> bool:
        return bool(self.attributes & _SIGN) and not self.attributes & _RESTRICTED

    def spki(self) -> bytes:
        """DER SubjectPublicKeyInfo."""
        return self.key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def looks_like_one(octets: bytes) -> bool:
    """Whether the octets begin as a public area does, so that no DER would."""
    start = octets[2:4] if _has_length(octets) else octets[:2]
    return start in (_RSA.to_bytes(2, "big"), _ECC.to_bytes(2, "big"))


def _has_length(octets: bytes) -> bool:
    return len(octets) > 2 and int.from_bytes(octets[:2], "big") == len(octets) - 2


def _scheme(reader: Reader) -> None:
    scheme = reader.uint(2)
    if scheme not in _SCHEME_OCTETS:
        raise Malformed(f"TPM public area has the unknown scheme 0x{scheme:04x}", reader.offset)
    reader.octets(_SCHEME_OCTETS[scheme])


def _rsa(reader: Reader) -> rsa.RSAPublicKey:
    bits = reader.uint(2)
    exponent = reader.uint(4) or _DEFAULT_EXPONENT
    modulus = int.from_bytes(reader.prefixed(2), "big")
    if modulus.bit_length() != bits:
        raise Malformed(f"TPM public area says {bits} bits of a modulus of {modulus.bit_length()}", reader.offset)
    return rsa.RSAPublicNumbers(exponent, modulus).public_key()


def _ecc(reader: Reader) -> ec.EllipticCurvePublicKey:
    curve = _CURVES.get(number := reader.uint(2))
    if curve is None:
        raise Malformed(f"TPM public area names the curve 0x{number:04x}, not P-256, P-384 or P-521", reader.offset)
    _scheme(reader)
    x, y = (int.from_bytes(reader.prefixed(2), "big") for _ in range(2))
    return ec.EllipticCurvePublicNumbers(x, y, curve).public_key()
