"""Header parameters that say who signed, and with which key (RFC 9360, RFC 9528 section 3.5.2).

Only protected ones count, but for an `x5chain` that a protected `x5t` names (RFC 9360 section 2). What stands in the
unprotected bucket names nobody.
"""

import hashlib
from functools import lru_cache
from typing import Any, Final

from dnsbound.credential.certificate_facts import spki_of
from dnsbound.credential.presented import Presented
from dnsbound.errors import LimitExceeded, Malformed
from dnsbound.limits import PEER_CERTIFICATES
from dnsbound.names import ClientName
from dnsbound.objects.cbor import CBORTag
from dnsbound.objects.cose.cose_key import cose_key_of, spki_of_cose_key
from dnsbound.objects.cose.headers import Headers
from dnsbound.objects.cose.labels import URI_TAG, Claim, HashAlgorithm, Header
from dnsbound.objects.signer_name import name_of_uri, signer_name

_FORM: Final = "COSE_Sign1"
_COSE_KEY: Final = 1
"""RFC 8747 section 3.1: the confirmation method that is a COSE_Key."""


def key_headers(name: str, spki: bytes, chain: tuple[bytes, ...]) -> dict[int | str, Any]:
    """The key in band: the certificates, or a claims set with the bare key."""
    if chain:
        return {Header.X5CHAIN: chain[0] if len(chain) == 1 else list(chain)}
    return {Header.KCCS: {Claim.SUB: name, Claim.CNF: {_COSE_KEY: cose_key_of(spki)}}}


def signer_and_key(headers: Headers) -> tuple[ClientName, Presented]:
    """Whom the headers name, and the key that comes along. Malformed, LimitExceeded."""
    if Header.X5CHAIN in headers.unprotected or len(headers.protected_octets) > _KEPT_OCTETS:
        return stated_signer(headers), in_band_key(headers)
    return _kept(headers.protected_octets)


@lru_cache(maxsize=1024)
def _kept(protected: bytes) -> tuple[ClientName, Presented]:
    """By the protected headers alone, which are the same in every object of a signer's."""
    headers = Headers.from_items(protected, {}, _FORM)
    return stated_signer(headers), in_band_key(headers)


_KEPT_OCTETS: Final = 4096
"""Longer headers are read anew each time: what strangers make us keep stays small."""


def stated_signer(headers: Headers) -> ClientName:
    """Whom the protected headers name. Malformed when that is nobody, or not one and the same."""
    stated = [name for name in (_by_kid(headers), _by_uri(headers), _by_claims(headers)) if name is not None]
    if not stated:
        raise Malformed(f"{_FORM} names no signer among its protected headers")
    if any(name != stated[0] for name in stated):
        raise Malformed(f"{_FORM} names two signers: {' and '.join(sorted({name.canonical for name in stated}))}")
    return stated[0]


def _by_kid(headers: Headers) -> ClientName | None:
    kid = headers.octets(Header.KID, _FORM)
    return None if kid is None else signer_name(_ascii(kid, "kid"))


def _by_uri(headers: Headers) -> ClientName | None:
    value = headers.protected.get(Header.X5U)
    if value is None:
        return None
    if isinstance(value, CBORTag):
        if value.tag != URI_TAG:
            raise Malformed(f"{_FORM} has an x5u that is no URI")
        value = value.value
    if not isinstance(value, str):
        raise Malformed(f"{_FORM} has an x5u that is no URI")
    return name_of_uri(value)


def _by_claims(headers: Headers) -> ClientName | None:
    claims = headers.protected.get(Header.CWT_CLAIMS)
    if claims is None:
        return None
    if not isinstance(claims, dict):
        raise Malformed(f"{_FORM} has CWT claims that are no map")
    return _claimed_name(claims, Claim.ISS)


def _claimed_name(claims: dict[Any, Any], claim: Claim) -> ClientName | None:
    value = claims.get(claim)
    if value is None:
        return None
    if not isinstance(value, str):
        raise Malformed(f"{_FORM} has a claim {claim.name.lower()} that is no text")
    return signer_name(value)


def _ascii(octets: bytes, what: str) -> str:
    try:
        return octets.decode("ascii")
    except UnicodeDecodeError:
        raise Malformed(f"{_FORM} has a {what} that is no name") from None


def in_band_key(headers: Headers) -> Presented:
    """The key that the message brings along; an empty value without one. Malformed when two of them differ."""
    chain = _chain(headers)
    bare = _bare_key(headers)
    if chain and bare is not None and spki_of(chain[0]) != bare:
        raise Malformed(f"{_FORM} brings two keys along")
    if chain:
        return Presented(chain)
    return Presented() if bare is None else Presented(raw_public_key=bare)


def _chain(headers: Headers) -> tuple[bytes, ...]:
    value = headers.either(Header.X5CHAIN)
    if value is None:
        _named_certificate(headers)
        return ()
    chain = (value,) if isinstance(value, bytes) else tuple(value) if isinstance(value, list) else ()
    if not chain or not all(isinstance(certificate, bytes) for certificate in chain):
        raise Malformed(f"{_FORM} has an x5chain that is neither a certificate nor a list of them")
    if isinstance(value, list) and len(chain) == 1:
        raise Malformed(f"{_FORM} has an x5chain that is a list of one certificate")
    if len(chain) > PEER_CERTIFICATES.default:
        raise LimitExceeded(PEER_CERTIFICATES.name, f"{len(chain)} certificates in x5chain")
    named = _named_certificate(headers)
    if named is not None and named[1] != hashlib.new(named[0].hashlib_name, chain[0]).digest():
        raise Malformed(f"{_FORM} has an x5t of another certificate than its x5chain")
    if named is None and Header.X5CHAIN not in headers.protected:
        raise Malformed(f"{_FORM} has an x5chain that is not protected, and no protected x5t")
    return chain


def _named_certificate(headers: Headers) -> tuple[HashAlgorithm, bytes] | None:
    value = headers.protected.get(Header.X5T)
    if value is None:
        return None
    if not isinstance(value, list) or len(value) != 2 or not isinstance(value[1], bytes):
        raise Malformed(f"{_FORM} has an x5t that is no hash")
    try:
        return HashAlgorithm(value[0]), value[1]
    except ValueError:
        raise Malformed(f"{_FORM} has an x5t by a hash that is not used here") from None


def _bare_key(headers: Headers) -> bytes | None:
    claims = headers.protected.get(Header.KCCS)
    if claims is None:
        return None
    confirmation = claims.get(Claim.CNF) if isinstance(claims, dict) else None
    if not isinstance(claims, dict) or not isinstance(confirmation, dict) or _COSE_KEY not in confirmation:
        raise Malformed(f"{_FORM} has a kccs without a key")
    subject = _claimed_name(claims, Claim.SUB)
    if subject is not None and subject != stated_signer(headers):
        raise Malformed(f"{_FORM} has the key of somebody else, {subject}, in kccs")
    return spki_of_cose_key(confirmation[_COSE_KEY], f"key in {_FORM}")
