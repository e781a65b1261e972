"""JWS as the format of signatures over content: telling one with its payload inside from a detached one."""

from collections.abc import Callable

from dnsbound.credential.credential import Credential
from dnsbound.object_limits import SIGNATURE_FILE_OCTETS
from dnsbound.objects.jose.jws import ANY_TYP, parse, sign
from dnsbound.objects.jose.jwt import read_claims
from dnsbound.objects.large.content import Opened
from dnsbound.objects.large.detached import DetachedContent
from dnsbound.objects.signed import SignedObject
from dnsbound.times import Moment


def open_jws(octets: bytes) -> Opened:
    """What a compact JWS, with or without one line's end, comes to. Malformed, LimitExceeded."""
    token = octets.removesuffix(b"\n")
    if b".." in token:
        return Opened(typ=None, signed=None, content=DetachedContent.parse(token))
    signed = parse(token, typ=ANY_TYP, limit=SIGNATURE_FILE_OCTETS.default)
    typ = signed.content.typ
    return Opened(typ=typ, signed=signed, check=_claims_check(signed) if is_jwt(typ) else None)


def is_jwt(typ: str | None) -> bool:
    """RFC 8725 section 3.11: by its type, or that of its profile."""
    return typ is not None and (typ == "jwt" or typ.endswith("+jwt"))


def _claims_check(signed: SignedObject) -> Callable[[Moment, str | None], None]:
    claims = read_claims(signed)
    return lambda now, audience: claims.check(now=now, audience=audience)


def attach_jws(payload: bytes, credential: Credential, *, typ: str | None, key_in_band: bool) -> bytes:
    """A compact JWS with the payload inside, and a line's end."""
    return sign(payload, credential, typ=typ, key_in_band=key_in_band).encode("ascii") + b"\n"
