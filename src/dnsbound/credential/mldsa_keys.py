"""ML-DSA keys: the three parameter sets, and the private key form that the `cryptography` package does not read.

A private key is its 32-octet seed (RFC 9881 section 6, "seed"); that is what is written here, and the package reads.
OpenSSL writes seed and expanded key together ("both"): the seed is taken, and must be the expanded key's. A file with
the expanded key alone is refused, since no seed can be had from it. Sections: RFC 9881 section 6, FIPS 204 section 7.2.
"""

from collections.abc import Mapping
from hashlib import shake_256
from types import MappingProxyType
from typing import Final, TypeAlias

from cryptography.hazmat.primitives.asymmetric import mldsa

from dnsbound.credential import der
from dnsbound.errors import Malformed

MLDSAPrivateKey: TypeAlias = mldsa.MLDSA44PrivateKey | mldsa.MLDSA65PrivateKey | mldsa.MLDSA87PrivateKey
MLDSAPublicKey: TypeAlias = mldsa.MLDSA44PublicKey | mldsa.MLDSA65PublicKey | mldsa.MLDSA87PublicKey

SEED_OCTETS: Final = 32
_KINDS: Final[Mapping[str, type[MLDSAPrivateKey]]] = MappingProxyType(
    {
        "2.16.840.1.101.3.4.3.17": mldsa.MLDSA44PrivateKey,
        "2.16.840.1.101.3.4.3.18": mldsa.MLDSA65PrivateKey,
        "2.16.840.1.101.3.4.3.19": mldsa.MLDSA87PrivateKey,
    }
)
_EXPANDED_OCTETS: Final = MappingProxyType(
    {mldsa.MLDSA44PrivateKey: 2560, mldsa.MLDSA65PrivateKey: 4032, mldsa.MLDSA87PrivateKey: 4896}
)


def mldsa_name(key: MLDSAPublicKey) -> str:
    match key:
        case mldsa.MLDSA44PublicKey():
            return "ML-DSA-44"
        case mldsa.MLDSA65PublicKey():
            return "ML-DSA-65"
        case _:
            return "ML-DSA-87"


def private_key_of_both_forms(pkcs8: bytes) -> MLDSAPrivateKey | None:
    """The key of a PKCS#8 structure that holds seed and expanded key. None when it is no ML-DSA key; Malformed when it
    is one without its seed, or the two are not the same key."""
    try:
        kind, start, end = _private_key_octets(pkcs8)
    except Malformed:
        return None
    if kind is None:
        return None
    tag, content, stop = der.read_element(pkcs8, start, end)
    if tag == der.OCTET_STRING:
        raise Malformed("the ML-DSA private key is in expanded form, without the seed that is needed")
    if tag != der.SEQUENCE or stop != end:
        raise Malformed("the ML-DSA private key has a form of no standard")
    parts = [pkcs8[first:last] for _, first, last in der.elements(pkcs8, content, stop)]
    if len(parts) != 2 or len(parts[0]) != SEED_OCTETS or len(parts[1]) != _EXPANDED_OCTETS[kind]:
        raise Malformed("the ML-DSA private key is not a seed and an expanded key")
    key = kind.from_seed_bytes(parts[0])
    if not _expands_to(key, parts[1]):
        raise Malformed("the ML-DSA private key's seed and expanded form are two different keys")
    return key


def _private_key_octets(pkcs8: bytes) -> tuple[type[MLDSAPrivateKey] | None, int, int]:
    """Which kind of key, and where the content of privateKey begins and ends (RFC 5958 section 2)."""
    start, end = der.expect(pkcs8, 0, len(pkcs8), der.SEQUENCE, "private key")
    _, algorithm = der.expect(pkcs8, start, end, der.INTEGER, "version")
    oid, key = der.expect(pkcs8, algorithm, end, der.SEQUENCE, "algorithm")
    first, last = der.expect(pkcs8, oid, key, der.OBJECT_IDENTIFIER, "algorithm")
    content, stop = der.expect(pkcs8, key, end, der.OCTET_STRING, "privateKey")
    return _KINDS.get(der.oid_text(pkcs8[first:last])), content, stop


def _expands_to(key: MLDSAPrivateKey, expanded: bytes) -> bool:
    """An expanded key begins with rho, K and tr: rho begins the public key, and tr is its hash."""
    public = key.public_key().public_bytes_raw()
    return expanded[:32] == public[:32] and expanded[64:128] == shake_256(public).digest(64)
