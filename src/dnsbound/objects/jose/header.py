"""The protected header of a JWS: which algorithm, whose signature, and the key it brings along.

What names the signer or its key counts from here alone. The name is `kid`; `x5u` may say it too, as the `dns:` URI of
its TLSA records, or say it alone; two that disagree are refused. `jwk` and `x5c` are octets of a stranger until the
engine has matched them with records of the name: no certificate is validated here. A header is read once and kept by
its octets, since a signer's is the same in every object. Sections: RFC 7515 section 4.1, RFC 7797 sections 3 and 6,
RFC 8725 section 3.
"""

from base64 import b64decode, b64encode
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from hashlib import sha256
from types import MappingProxyType
from typing import Any, Final

from dnsbound.credential.credential import Credential
from dnsbound.credential.presented import Presented
from dnsbound.errors import LimitExceeded, Malformed, Misuse
from dnsbound.limits import PEER_CERTIFICATES
from dnsbound.names import ClientName
from dnsbound.object_limits import OBJECT_HEADER_OCTETS
from dnsbound.objects.algorithms import KeyKind, ObjectAlgorithm, algorithm_of_jose
from dnsbound.objects.jose import base64url
from dnsbound.objects.jose.jwk import jwk_of, spki_of_jwk
from dnsbound.objects.jose.strict_json import read_object, write_object
from dnsbound.objects.signer_name import name_of_uri, signer_name, signer_uri

REGISTERED: Final = frozenset(
    {"alg", "jku", "jwk", "kid", "x5u", "x5c", "x5t", "x5t#S256", "typ", "cty", "crit", "enc", "zip", "epk"}
    | {"apu", "apv", "iv", "tag", "p2s", "p2c"}
)
"""Parameters of RFC 7515, 7516 and 7518: never in `crit` (RFC 7515 section 4.1.11)."""
ONLY_PROTECTED: Final = frozenset({"alg", "kid", "x5u", "x5c", "x5t", "x5t#S256", "jwk", "jku", "typ", "crit", "b64"})
"""What decides how an object is judged is refused outside the protected header."""
_UNDERSTOOD: Final = frozenset({"b64"})
_KEPT: Final = 1024
_KEPT_OCTETS: Final = 4096
"""Longer headers are read anew each time: what strangers make us keep stays small."""


@dataclass(frozen=True, slots=True, kw_only=True)
class JoseHeader:
    """A protected header that was read. Nothing of it is trusted before the object is verified."""

    algorithm: ObjectAlgorithm
    name: ClientName
    """The signer, as it says."""
    typ: str | None
    """Media type without `application/`, in lower case."""
    b64: bool
    """False: the payload is signed as it is (RFC 7797)."""
    presented: Presented
    """The key it brings along; empty without one."""
    members: Mapping[str, Any]
    """All of it, as it came. Not to be changed: it is shared."""


def read_header(text: bytes) -> JoseHeader:
    """Read a protected header in base64url. Malformed with what is wrong; LimitExceeded when it is too long."""
    if len(text) <= _KEPT_OCTETS:
        return _kept(text)
    return _read(text)


@lru_cache(maxsize=_KEPT)
def _kept(text: bytes) -> JoseHeader:
    return _read(text)


def _read(text: bytes) -> JoseHeader:
    if len(text) > OBJECT_HEADER_OCTETS.default:
        raise LimitExceeded(OBJECT_HEADER_OCTETS.name, f"a header of {len(text)} octets")
    members = read_object(base64url.decode(text, "protected header"), "protected header")
    algorithm = algorithm_of_jose(_text(members, "alg") or "")
    critical = _critical(members)
    b64 = members.get("b64", True)
    if not isinstance(b64, bool):
        raise Malformed("b64 is neither true nor false")
    if not b64 and "b64" not in critical:
        raise Malformed("b64 is false and not in crit (RFC 7797 section 6)")
    return JoseHeader(
        algorithm=algorithm,
        name=_signer(members),
        typ=media_type(_text(members, "typ")),
        b64=b64,
        presented=_presented(members, algorithm),
        members=MappingProxyType(members),
    )


def media_type(text: str | None) -> str | None:
    """A `typ` as it is compared: RFC 7515 section 4.1.9 lets `application/` be left out."""
    if text is None:
        return None
    text = text.lower()
    rest = text.removeprefix("application/")
    return rest if "/" not in rest else text


def _text(members: dict[str, Any], member: str) -> str | None:
    value = members.get(member)
    if value is None and member not in members:
        return None
    if not isinstance(value, str) or not value:
        raise Malformed(f"{member} is not a text, or an empty one")
    return value


def _critical(members: dict[str, Any]) -> frozenset[str]:
    """RFC 7515 section 4.1.11."""
    if "crit" not in members:
        return frozenset()
    names = members["crit"]
    if not isinstance(names, list) or not names or not all(isinstance(name, str) for name in names):
        raise Malformed("crit is not a list of names, or an empty one")
    found = frozenset(names)
    if len(found) != len(names):
        raise Malformed("crit names a parameter twice")
    if found & REGISTERED:
        raise Malformed("crit names a parameter that everybody must understand")
    if not found <= members.keys():
        raise Malformed("crit names a parameter that is not there")
    if unknown := found - _UNDERSTOOD:
        raise Malformed(f"crit names {min(unknown)[:40]!r}, which is not understood here")
    return found


def _signer(members: dict[str, Any]) -> ClientName:
    kid, x5u = _text(members, "kid"), _text(members, "x5u")
    if kid is None and x5u is None:
        raise Malformed("the protected header names no signer: neither kid nor x5u")
    name = signer_name(kid) if kid is not None else None
    named = name_of_uri(x5u) if x5u is not None else name
    if name is not None and named != name:
        raise Malformed("kid and x5u name different signers")
    assert named is not None
    return named


def _presented(members: dict[str, Any], algorithm: ObjectAlgorithm) -> Presented:
    chain = _certificates(members["x5c"]) if "x5c" in members else ()
    if chain:
        _expect_thumbprint(members, chain[0])
    if "jwk" not in members:
        return Presented(chain)
    spki = _spki(members["jwk"], algorithm)
    if not chain:
        return Presented(raw_public_key=spki)
    made = Presented(chain)
    if made.spki != spki:
        raise Malformed("jwk and x5c show different keys")
    return made


def _certificates(value: object) -> tuple[bytes, ...]:
    """RFC 7515 section 4.1.6: ordinary base64, not base64url."""
    if not isinstance(value, list) or not value or not all(isinstance(entry, str) for entry in value):
        raise Malformed("x5c is not a list of texts, or an empty one")
    if len(value) > PEER_CERTIFICATES.default:
        raise Malformed(f"x5c has more than {PEER_CERTIFICATES.default} certificates")
    try:
        chain = tuple(b64decode(entry, validate=True) for entry in value)
    except ValueError:
        raise Malformed("x5c is not base64") from None
    if any(b64encode(certificate).decode("ascii") != entry for certificate, entry in zip(chain, value, strict=True)):
        raise Malformed("x5c is not base64 with padding and without loose bits")
    return chain


def _expect_thumbprint(members: dict[str, Any], leaf: bytes) -> None:
    """x5t, a SHA-1 digest, is never looked at."""
    if "x5t#S256" in members and base64url.decode_member(members["x5t#S256"], "x5t#S256") != sha256(leaf).digest():
        raise Malformed("x5t#S256 is not that of the certificate in x5c")


def _spki(jwk: object, algorithm: ObjectAlgorithm) -> bytes:
    spki = spki_of_jwk(jwk)
    assert isinstance(jwk, dict)
    if jwk.get("use", "sig") != "sig":
        raise Malformed("jwk is not a key for signatures")
    operations = jwk.get("key_ops", ["verify"])
    if not isinstance(operations, list) or "verify" not in operations:
        raise Malformed("jwk is not a key for checking signatures")
    if jwk.get("alg", algorithm.jose) not in _SPELLINGS.get(algorithm.kind, (algorithm.jose,)):
        raise Malformed("jwk is for another algorithm")
    return spki


_SPELLINGS: Final[Mapping[KeyKind, tuple[str, ...]]] = MappingProxyType({KeyKind.ED25519: ("EdDSA", "Ed25519")})
"""RFC 9864: two names of one algorithm."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HeaderOptions:
    """What a signer puts into the protected header beside algorithm and name."""

    typ: str | None = None
    cty: str | None = None
    key_in_band: bool = True
    """`x5c` for a credential with certificates, `jwk` for a bare key. Needed by verifiers where the DNS has a
    digest."""
    x5u: bool = True
    """The name as `dns:` URI too, for verifiers that know that alone."""
    b64: bool = True
    """False: the payload is signed as it is, and detached."""


def write_header(
    credential: Credential, algorithm: ObjectAlgorithm, options: HeaderOptions, extra: Mapping[str, Any] | None = None
) -> bytes:
    """A protected header in base64url. extra: further parameters, none of RFC 7515's own. Misuse where that does not
    hold, and for a credential without a name."""
    name = credential.name
    if name is None:
        raise Misuse("the credential has no name to sign by")
    if not extra:
        return _written(algorithm, name.canonical, credential.spki, credential.chain, options)
    if taken := extra.keys() & (REGISTERED | ONLY_PROTECTED):
        raise Misuse(f"{min(taken)} is not the caller's to set")
    return base64url.encode(
        write_object(_members(algorithm, name.canonical, credential.spki, credential.chain, options) | dict(extra))
    )


@lru_cache(maxsize=256)
def _written(
    algorithm: ObjectAlgorithm, name: str, spki: bytes, chain: tuple[bytes, ...], options: HeaderOptions
) -> bytes:
    return base64url.encode(write_object(_members(algorithm, name, spki, chain, options)))


def _members(
    algorithm: ObjectAlgorithm, name: str, spki: bytes, chain: tuple[bytes, ...], options: HeaderOptions
) -> dict[str, Any]:
    signer = signer_name(name)
    members: dict[str, Any] = {"alg": algorithm.jose, "kid": signer.canonical}
    if options.x5u:
        members["x5u"] = signer_uri(signer)
    if options.typ is not None:
        members["typ"] = options.typ
    if options.cty is not None:
        members["cty"] = options.cty
    if options.key_in_band and chain:
        members["x5c"] = [b64encode(certificate).decode("ascii") for certificate in chain]
    elif options.key_in_band:
        members["jwk"] = jwk_of(spki)
    if not options.b64:
        members |= {"b64": False, "crit": ["b64"]}
    return members
