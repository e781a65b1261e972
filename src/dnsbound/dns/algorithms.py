"""DNSSEC algorithms and digests: which are used, and one signature or digest checked.

A zone all of whose DS records name algorithms or digests outside the policy is insecure, not bogus (RFC 4035 section
5.2). RSA with SHA-1 (5, 7) is outside the default policy (RFC 9905): such a zone is insecure, so nobody is let in by
it; `danger_sha1` brings them back. DS records with SHA-1 digests count only where the set has no better one (RFC 4509
section 3). Sections: RFC 9904 section 3, RFC 4034 section 5 and appendix B, RFC 3110, 5702, 6605, 8080.
"""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

from dnsbound.dns.canonical import Key, wire_of

RSASHA1: Final = 5
RSASHA1_NSEC3_SHA1: Final = 7
RSASHA256: Final = 8
RSASHA512: Final = 10
ECDSAP256SHA256: Final = 13
ECDSAP384SHA384: Final = 14
ED25519: Final = 15
ED448: Final = 16

SHA1_ALGORITHMS: Final = frozenset({RSASHA1, RSASHA1_NSEC3_SHA1})
ALGORITHMS: Final = frozenset({RSASHA256, RSASHA512, ECDSAP256SHA256, ECDSAP384SHA384, ED25519, ED448})
"""Validated by default: what RFC 9904 tables as MUST or RECOMMENDED for validation, without SHA-1."""

DIGEST_SHA1: Final = 1
DIGEST_SHA256: Final = 2
DIGEST_SHA384: Final = 4
DIGESTS: Final = frozenset({DIGEST_SHA1, DIGEST_SHA256, DIGEST_SHA384})
"""GOST digests (3, 5) and unassigned numbers are outside (RFC 9906)."""

MIN_RSA_BITS: Final = 1024
"""Shorter moduli are within reach of attackers; a key of that kind verifies nothing."""
MAX_RSA_BITS: Final = 4096
"""RFC 3110 section 2."""
MAX_RSA_EXPONENT_BITS: Final = 64
"""A huge public exponent makes each check slow at no gain; OpenSSL draws the same line for large moduli."""

Verify = Callable[[bytes, bytes], bool]
"""(signature, signed octets) -> whether it is good."""

_DIGEST_FUNCTIONS: Final = {
    DIGEST_SHA1: lambda octets: hashlib.sha1(octets, usedforsecurity=False).digest(),
    DIGEST_SHA256: lambda octets: hashlib.sha256(octets).digest(),
    DIGEST_SHA384: lambda octets: hashlib.sha384(octets).digest(),
}


@dataclass(frozen=True, slots=True)
class ZoneKey:
    """One DNSKEY that may sign. It is parsed when it is first needed: a set full of keys costs nothing by itself."""

    tag: int
    algorithm: int
    public: bytes

    def verify(self, signature: bytes, octets: bytes) -> bool:
        """Whether the signature is good; a key that is malformed or too weak verifies nothing."""
        check = verifier(self.algorithm, self.public)
        return check is not None and check(signature, octets)


def key_tag(rdata: bytes) -> int:
    """RFC 4034 appendix B, over DNSKEY RDATA in wire form; algorithm 1 (appendix B.1) is never used here."""
    if len(rdata) % 2:
        rdata += b"\x00"
    total = sum(rdata[::2]) * 256 + sum(rdata[1::2])
    total += (total >> 16) & 0xFFFF
    return total & 0xFFFF


def key_digest(owner: Key, key_rdata: bytes, digest_type: int) -> bytes | None:
    """The digest of a DNSKEY as a DS record holds it (RFC 4034 section 5.1.4); None for an unknown digest type."""
    digest = _DIGEST_FUNCTIONS.get(digest_type)
    return None if digest is None else digest(wire_of(owner) + key_rdata)


@lru_cache(maxsize=4096)
def verifier(algorithm: int, key: bytes) -> Verify | None:
    """The check of one public key (DNSKEY public key field), or None when the key is malformed or too weak.

    Parsed keys are remembered: a warm zone costs the signature check alone.
    """
    maker = _MAKERS.get(algorithm)
    if maker is None:
        return None
    try:
        return maker(key)
    except (ValueError, UnsupportedAlgorithm):
        return None


def _rsa(hash_algorithm: hashes.HashAlgorithm) -> Callable[[bytes], Verify]:
    def make(key: bytes) -> Verify:
        if len(key) < 4:
            raise ValueError("RSA key cut short")
        # RFC 3110 section 2: exponent length in one octet, or a zero octet and two more.
        start, length = (1, key[0]) if key[:1] != b"\x00" else (3, int.from_bytes(key[1:3], "big"))
        exponent = int.from_bytes(key[start : start + length], "big")
        modulus = int.from_bytes(key[start + length :], "big")
        if not MIN_RSA_BITS <= modulus.bit_length() <= MAX_RSA_BITS:
            raise ValueError("RSA modulus of a length outside the policy")
        if exponent.bit_length() > MAX_RSA_EXPONENT_BITS:
            raise ValueError("RSA exponent too long")
        public = rsa.RSAPublicNumbers(exponent, modulus).public_key()
        pkcs1 = padding.PKCS1v15()

        def verify(signature: bytes, octets: bytes) -> bool:
            try:
                public.verify(signature, octets, pkcs1, hash_algorithm)
            except (InvalidSignature, ValueError, UnsupportedAlgorithm):
                return False
            return True

        return verify

    return make


def _ecdsa(curve: ec.EllipticCurve, size: int, hash_algorithm: hashes.HashAlgorithm) -> Callable[[bytes], Verify]:
    scheme = ec.ECDSA(hash_algorithm)

    def make(key: bytes) -> Verify:
        # RFC 6605 section 4: the uncompressed point without its leading 04.
        if len(key) != 2 * size:
            raise ValueError("ECDSA key of a wrong length")
        public = ec.EllipticCurvePublicKey.from_encoded_point(curve, b"\x04" + key)

        def verify(signature: bytes, octets: bytes) -> bool:
            if len(signature) != 2 * size:
                return False
            r, s = int.from_bytes(signature[:size], "big"), int.from_bytes(signature[size:], "big")
            try:
                public.verify(encode_dss_signature(r, s), octets, scheme)
            except (InvalidSignature, ValueError):
                return False
            return True

        return verify

    return make


def _edwards(
    kind: type[ed25519.Ed25519PublicKey] | type[ed448.Ed448PublicKey],
) -> Callable[[bytes], Verify]:
    def make(key: bytes) -> Verify:
        public = kind.from_public_bytes(key)

        def verify(signature: bytes, octets: bytes) -> bool:
            try:
                public.verify(signature, octets)
            except (InvalidSignature, ValueError):
                return False
            return True

        return verify

    return make


_MAKERS: Final[dict[int, Callable[[bytes], Verify]]] = {
    RSASHA1: _rsa(hashes.SHA1()),  # noqa: S303 (outside the default policy; see the module's text)
    RSASHA1_NSEC3_SHA1: _rsa(hashes.SHA1()),  # noqa: S303 (as above)
    RSASHA256: _rsa(hashes.SHA256()),
    RSASHA512: _rsa(hashes.SHA512()),
    ECDSAP256SHA256: _ecdsa(ec.SECP256R1(), 32, hashes.SHA256()),
    ECDSAP384SHA384: _ecdsa(ec.SECP384R1(), 48, hashes.SHA384()),
    ED25519: _edwards(ed25519.Ed25519PublicKey),
    ED448: _edwards(ed448.Ed448PublicKey),
}
