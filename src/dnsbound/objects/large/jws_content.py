"""JWS as the format of signatures over content: telling one with its payload inside from a detached one."""

from dnsbound.credential.credential import Credential
from dnsbound.object_limits import SIGNATURE_FILE_OCTETS
from dnsbound.objects.jose.jws import ANY_TYP, parse, sign
from dnsbound.objects.large.content import Opened
from dnsbound.objects.large.detached import DetachedContent


def open_jws(octets: bytes) -> Opened:
    """What a compact JWS, with or without one line's end, comes to. Malformed, LimitExceeded."""
    token = octets.removesuffix(b"\n")
    if b".." in token:
        return Opened(typ=None, signed=None, content=DetachedContent.parse(token))
    signed = parse(token, typ=ANY_TYP, limit=SIGNATURE_FILE_OCTETS.default)
    return Opened(typ=signed.content.typ, signed=signed)


def attach_jws(payload: bytes, credential: Credential, *, typ: str | None, key_in_band: bool) -> bytes:
    """A compact JWS with the payload inside, and a line's end."""
    return sign(payload, credential, typ=typ, key_in_band=key_in_band).encode("ascii") + b"\n"
