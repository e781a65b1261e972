"""What the claims of reports and receipts are made of: names, numbers, moments and octets in JSON; and signing them."""

import math
from typing import Any, Final

from dnsbound.credential.credential import Credential
from dnsbound.errors import Malformed, Misuse
from dnsbound.names import ClientName
from dnsbound.objects.jose import jws
from dnsbound.objects.jose.base64url import decode_member, encode
from dnsbound.objects.jose.strict_json import write_object
from dnsbound.times import Moment

_LATEST: Final = 253_402_300_799
"""The end of the year 9999: later moments have no RFC 3339 text."""


def base64url(octets: bytes) -> str:
    return encode(octets).decode("ascii")


def octets_claim(value: object, what: str, length: int) -> bytes:
    """So many octets in base64url; Malformed otherwise. what: for errors."""
    octets = decode_member(value, what)
    if len(octets) != length:
        raise Malformed(f"{what} is not {length} octets")
    return octets


def name_claim(value: object, what: str) -> ClientName:
    if not isinstance(value, str):
        raise Malformed(f"{what} is not a name")
    try:
        return ClientName.parse(value)
    except Malformed as error:
        raise Malformed(f"{what}: {error}") from None


def whole_claim(value: object, what: str) -> int:
    if not isinstance(value, int) or isinstance(value, bool):
        raise Malformed(f"{what} is not a whole number")
    return value


def moment_claim(value: object, what: str) -> Moment:
    """NumericDate, which may have a fraction."""
    if not isinstance(value, int | float) or isinstance(value, bool):
        raise Malformed(f"{what} is not a time")
    if not 0 <= value <= _LATEST or not math.isfinite(value):
        raise Malformed(f"{what} is not a time")
    return float(value)


def sign_claims(claims: dict[str, Any], credential: Credential, *, typ: str, key_in_band: bool = True) -> bytes:
    """The token, as it is sent. Misuse for claims that no JSON is."""
    try:
        payload = write_object(claims)
    except (TypeError, ValueError, RecursionError) as error:
        raise Misuse(f"what is to be signed is no JSON: {error}") from error
    return jws.sign(payload, credential, typ=typ, key_in_band=key_in_band).encode("ascii")
