"""Public keys as JWK and as DER SubjectPublicKeyInfo, which TLSA records name; and thumbprints of keys.

A thumbprint is not what a TLSA record holds: it digests the JWK, not the DER. Private keys are never written, and one
that is met is refused. Sections: RFC 7517 section 4, RFC 7518 section 6, RFC 8037 section 2 (OKP), RFC 9964 (AKP),
RFC 7638 (thumbprints) and RFC 9278 (as URIs).
"""

from collections.abc import Callable, Mapping
from hashlib import sha256
from types import MappingProxyType
from typing import Any, Final

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, mldsa, rsa, x25519
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_der_public_key

from dnsbound.credential.mldsa_keys import MLDSAPublicKey, mldsa_name
from dnsbound.errors import Malformed
from dnsbound.objects.jose import base64url
from dnsbound.objects.jose.strict_json import write_object

_CURVES: Final[Mapping[str, tuple[ec.EllipticCurve, int]]] = MappingProxyType(
    {"P-256": (ec.SECP256R1(), 32), "P-384": (ec.SECP384R1(), 48), "P-521": (ec.SECP521R1(), 66)}
)
"""The curve, and the octets of a coordinate."""
_CURVE_NAMES: Final = MappingProxyType({curve.name: name for name, (curve, _) in _CURVES.items()})
_OKP: Final[Mapping[str, type[ed25519.Ed25519PublicKey | x25519.X25519PublicKey]]] = MappingProxyType(
    {"Ed25519": ed25519.Ed25519PublicKey, "X25519": x25519.X25519PublicKey}
)
_AKP: Final[Mapping[str, type[MLDSAPublicKey]]] = MappingProxyType(
    {"ML-DSA-44": mldsa.MLDSA44PublicKey, "ML-DSA-65": mldsa.MLDSA65PublicKey, "ML-DSA-87": mldsa.MLDSA87PublicKey}
)
_PRIVATE: Final = frozenset({"d", "p", "q", "dp", "dq", "qi", "oth", "k", "priv"})
_REQUIRED: Final[Mapping[str, tuple[str, ...]]] = MappingProxyType(
    {"EC": ("crv", "kty", "x", "y"), "OKP": ("crv", "kty", "x"), "RSA": ("e", "kty", "n"), "AKP": ("alg", "kty", "pub")}
)
"""RFC 7638 section 3.2: what a thumbprint digests, in lexicographic order."""
THUMBPRINT_URI: Final = "urn:ietf:params:oauth:jwk-thumbprint:sha-256:"
"""RFC 9278 section 3."""


def jwk_of(spki: bytes) -> dict[str, str]:
    """The JWK of a DER SubjectPublicKeyInfo, with the members of its thumbprint alone. Malformed for a key that JWK
    has no form for here."""
    try:
        key = load_der_public_key(spki)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise Malformed("public key does not parse") from error
    match key:
        case ec.EllipticCurvePublicKey():
            return _ec_members(key)
        case ed25519.Ed25519PublicKey():
            return {"kty": "OKP", "crv": "Ed25519", "x": _text(key.public_bytes_raw())}
        case x25519.X25519PublicKey():
            return {"kty": "OKP", "crv": "X25519", "x": _text(key.public_bytes_raw())}
        case rsa.RSAPublicKey():
            numbers = key.public_numbers()
            return {"kty": "RSA", "n": _text(_octets(numbers.n)), "e": _text(_octets(numbers.e))}
        case mldsa.MLDSA44PublicKey() | mldsa.MLDSA65PublicKey() | mldsa.MLDSA87PublicKey():
            return {"kty": "AKP", "alg": mldsa_name(key), "pub": _text(key.public_bytes_raw())}
        case _:
            raise Malformed(f"a {type(key).__name__} has no form as JWK here")


def spki_of_jwk(jwk: object) -> bytes:
    """DER SubjectPublicKeyInfo of a public JWK; Malformed when it is none, or shows a private key. Members about its
    use are the caller's to look at."""
    if not isinstance(jwk, dict):
        raise Malformed("JWK is not an object")
    if not _PRIVATE.isdisjoint(jwk):
        raise Malformed("JWK shows a private or shared key")
    kind = jwk.get("kty")
    read = _READERS.get(kind) if isinstance(kind, str) else None
    if read is None:
        raise Malformed("JWK is of no kind that is used here")
    try:
        return read(jwk)
    except (ValueError, UnsupportedAlgorithm) as error:
        raise Malformed(f"JWK of kind {kind} is no such key") from error


def thumbprint(jwk: Mapping[str, Any]) -> bytes:
    """SHA-256 thumbprint (RFC 7638). Malformed when a member it needs is not there."""
    members = _REQUIRED.get(str(jwk.get("kty")))
    if members is None or not all(isinstance(jwk.get(member), str) for member in members):
        raise Malformed("JWK lacks a member that its thumbprint needs")
    return sha256(write_object({member: jwk[member] for member in members})).digest()


def thumbprint_uri(jwk: Mapping[str, Any]) -> str:
    """RFC 9278."""
    return THUMBPRINT_URI + _text(thumbprint(jwk))


def _ec_members(key: ec.EllipticCurvePublicKey) -> dict[str, str]:
    name = _CURVE_NAMES.get(key.curve.name)
    if name is None:
        raise Malformed(f"elliptic curve {key.curve.name} has no form as JWK here")
    point = key.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)[1:]
    half = len(point) // 2
    return {"kty": "EC", "crv": name, "x": _text(point[:half]), "y": _text(point[half:])}


def _read_ec(jwk: dict[str, Any]) -> bytes:
    curve, octets = _chosen(_CURVES, jwk, "crv")
    x, y = _fixed(jwk, "x", octets), _fixed(jwk, "y", octets)
    return _spki(ec.EllipticCurvePublicKey.from_encoded_point(curve, b"\x04" + x + y))


def _read_okp(jwk: dict[str, Any]) -> bytes:
    return _spki(_chosen(_OKP, jwk, "crv").from_public_bytes(_fixed(jwk, "x", 32)))


def _read_rsa(jwk: dict[str, Any]) -> bytes:
    return _spki(rsa.RSAPublicNumbers(_number(jwk, "e"), _number(jwk, "n")).public_key())


def _read_akp(jwk: dict[str, Any]) -> bytes:
    return _spki(_chosen(_AKP, jwk, "alg").from_public_bytes(_member(jwk, "pub")))


_READERS: Final[Mapping[str, Callable[[dict[str, Any]], bytes]]] = MappingProxyType(
    {"EC": _read_ec, "OKP": _read_okp, "RSA": _read_rsa, "AKP": _read_akp}
)


def _chosen(table: Mapping[str, Any], jwk: dict[str, Any], member: str) -> Any:  # noqa: ANN401 (of the table)
    value = jwk.get(member)
    if not isinstance(value, str) or value not in table:
        raise Malformed(f"JWK has a {member} that is not used here")
    return table[value]


def _member(jwk: dict[str, Any], member: str) -> bytes:
    return base64url.decode_member(jwk.get(member), f"JWK member {member}")


def _fixed(jwk: dict[str, Any], member: str, octets: int) -> bytes:
    """RFC 7518 section 6.2.1.2: coordinates have the full width."""
    value = _member(jwk, member)
    if len(value) != octets:
        raise Malformed(f"JWK member {member} has {len(value)} octets, not {octets}")
    return value


def _number(jwk: dict[str, Any], member: str) -> int:
    """RFC 7518 section 2: as few octets as it takes."""
    value = _member(jwk, member)
    if not value or value[0] == 0:
        raise Malformed(f"JWK member {member} is empty, or has zeros in front")
    return int.from_bytes(value, "big")


def _octets(number: int) -> bytes:
    return number.to_bytes((number.bit_length() + 7) // 8, "big")


def _text(octets: bytes) -> str:
    return base64url.encode(octets).decode("ascii")


def _spki(key: Any) -> bytes:  # noqa: ANN401 (any public key of the library)
    der: bytes = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return der
