"""JWT: claims that a name makes about something, for an audience and a time (RFC 7519, by the rules of RFC 8725).

The issuer is the signer: `iss` is `kid`. The type is said and asked for, the audience is said or there is none, and a
token says when it ends. What is not here: whether a token was seen before (`jti`), which needs a memory.
"""

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any, Final

from dnsbound.credential.credential import Credential
from dnsbound.errors import Malformed, Misuse
from dnsbound.object_limits import OBJECT_SKEW_SECONDS
from dnsbound.objects.jose import jws
from dnsbound.objects.jose.header import JoseHeader
from dnsbound.objects.jose.strict_json import read_object, write_object
from dnsbound.objects.signed import SignedObject
from dnsbound.objects.signer_name import signer_name
from dnsbound.objects.token_rules import TokenBounds
from dnsbound.times import Moment, Seconds

JWT: Final = "JWT"
"""The `typ` of tokens without one of their own (RFC 7519 section 5.1)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class JwtClaims(TokenBounds):
    """Claims that were read. Nothing of them is trusted before the token is verified."""

    header: JoseHeader
    identifier: str | None
    """`jti`."""
    subject: str | None
    members: Mapping[str, Any]
    """All of them, as they came."""


def sign_jwt(
    claims: Mapping[str, Any],
    credential: Credential,
    *,
    now: Moment,
    lifetime: Seconds,
    typ: str = JWT,
    algorithm: str | None = None,
    key_in_band: bool = True,
    x5u: bool = True,
    header: Mapping[str, Any] | None = None,
) -> str:
    """A token with these claims, made now and valid for `lifetime` seconds, unless the claims say otherwise. `iss` is
    the credential's name. Misuse for claims that no JSON is."""
    if credential.name is None:
        raise Misuse("the credential has no name to sign by")
    name = credential.name.canonical
    if claims.get("iss", name) != name:
        raise Misuse("iss is the signer's own name")
    members = {"iss": name, "iat": int(now), "exp": int(now + lifetime)} | dict(claims)
    try:
        payload = write_object(members)
    except (TypeError, ValueError) as error:
        raise Misuse(f"the claims are no JSON: {error}") from error
    return jws.sign(payload, credential, typ=typ, algorithm=algorithm, key_in_band=key_in_band, x5u=x5u, header=header)


def parse_jwt(
    token: str | bytes,
    *,
    now: Moment,
    audience: str | None,
    typ: str = JWT,
    algorithms: Collection[str] | None = None,
    skew: Seconds = OBJECT_SKEW_SECONDS.default,
    danger_eternal: bool = False,
) -> SignedObject:
    """What a token claims, where it may hold now and here; its `content` is `JwtClaims`. Malformed when it is none,
    Refused as `JwtClaims.check` says."""
    signed = jws.parse(token, typ=typ, algorithms=algorithms)
    claims = read_claims(signed)
    claims.check(now=now, audience=audience, skew=skew, danger_eternal=danger_eternal)
    return replace(signed, form=JWT, content=claims)


def read_claims(signed: SignedObject) -> JwtClaims:
    """The claims of a JWS that is a JWT. Malformed when it is none, or its issuer is not its signer."""
    header = signed.content
    if not isinstance(header, JoseHeader) or signed.payload is None or not header.b64:
        raise Malformed("a JWT's payload is encoded, and in the token (RFC 7797 section 7)")
    members = read_object(signed.payload, "claims")
    if signer_name(_text(members, "iss") or "") != header.name:
        raise Malformed("iss names another than the signer of the token")
    return JwtClaims(
        header=header,
        audience=_audience(members),
        expires=_moment(members, "exp"),
        not_before=_moment(members, "nbf"),
        issued_at=_moment(members, "iat"),
        identifier=_text(members, "jti"),
        subject=_text(members, "sub"),
        members=MappingProxyType(members),
    )


def _text(members: dict[str, Any], member: str) -> str | None:
    value = members.get(member)
    if member in members and not isinstance(value, str):
        raise Malformed(f"{member} is not a text")
    return value


def _moment(members: dict[str, Any], member: str) -> Moment | None:
    if member not in members:
        return None
    value = members[member]
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < _LAST or math.isnan(value):
        raise Malformed(f"{member} is not a time")
    return float(value)


_LAST: Final = 253_402_300_800
"""The year 10000."""


def _audience(members: dict[str, Any]) -> tuple[str, ...]:
    """RFC 7519 section 4.1.3: a text, or a list of texts."""
    if "aud" not in members:
        return ()
    value = members["aud"]
    values = [value] if isinstance(value, str) else value
    if not isinstance(values, list) or not values or not all(isinstance(entry, str) and entry for entry in values):
        raise Malformed("aud is neither a text nor a list of texts")
    return tuple(values)
