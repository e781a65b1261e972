"""JWT: who issues, for whom, for how long, as which type (RFC 7519, RFC 8725)."""

import json
from typing import Any

import pytest

from dnsbound.credential.credential import Credential
from dnsbound.errors import Malformed, Misuse, Reason, Refused
from dnsbound.objects import jose
from dnsbound.objects.jose import jws
from unit.claims import NAME, NOW

CAR = Credential.generate(NAME, now=NOW)
GOV = "gov.example"


def read(claims: dict[str, Any], *, audience: str | None = GOV, **options: Any) -> jose.JwtClaims:
    token = jose.sign_jwt(claims, CAR, now=NOW, lifetime=60)
    content = jose.parse_jwt(token, now=NOW, audience=audience, **options).content
    assert isinstance(content, jose.JwtClaims)
    return content


def refused(claims: dict[str, Any], **options: Any) -> Reason:
    with pytest.raises(Refused) as caught:
        read(claims, **options)
    return caught.value.reason


def test_claims_that_hold() -> None:
    claims = read({"aud": GOV, "sub": "route", "jti": "7", "km": 12.5})
    assert (claims.audience, claims.subject, claims.identifier) == ((GOV,), "route", "7")
    assert (claims.issued_at, claims.expires, claims.not_before) == (NOW, NOW + 60, None)
    assert claims.members["iss"] == NAME
    assert claims.members["km"] == 12.5


@pytest.mark.parametrize(
    "claims",
    [
        {"exp": NOW - 120},
        {"exp": NOW - 1000.5},
        {"nbf": NOW + 121},
        {"iat": NOW + 121},
    ],
)
def test_outside_its_time_a_token_is_stale(claims: dict[str, Any]) -> None:
    assert refused({"aud": GOV} | claims) is Reason.STALE


@pytest.mark.parametrize("claims", [{"exp": NOW - 119}, {"nbf": NOW + 120}, {"iat": NOW + 120}])
def test_clocks_may_differ_a_little(claims: dict[str, Any]) -> None:
    read({"aud": GOV} | claims)
    assert refused({"aud": GOV} | claims, skew=0) is Reason.STALE


@pytest.mark.parametrize("audience", [{"aud": "other.example"}, {"aud": ["a.example", "GOV.example"]}, {}])
def test_a_token_for_somebody_else(audience: dict[str, Any]) -> None:
    assert refused(audience) is Reason.WRONG_AUDIENCE


def test_a_token_for_somebody_where_nobody_is_expected() -> None:
    assert refused({"aud": GOV}, audience=None) is Reason.WRONG_AUDIENCE
    assert read({}, audience=None).audience == ()
    assert read({"aud": ["x.example", GOV]}).audience == ("x.example", GOV)


def forged(claims: dict[str, Any] | bytes, *, typ: str = "JWT") -> str:
    payload = claims if isinstance(claims, bytes) else json.dumps(claims).encode()
    return jws.sign(payload, CAR, typ=typ)


def test_a_token_that_never_ends_is_refused_unless_told() -> None:
    token = forged({"iss": NAME})
    with pytest.raises(Refused) as caught:
        jose.parse_jwt(token, now=NOW, audience=None)
    assert caught.value.reason is Reason.STALE
    assert jose.parse_jwt(token, now=NOW, audience=None, danger_eternal=True).content.expires is None


@pytest.mark.parametrize(
    "claims",
    [
        {},
        {"iss": "mallory.example"},
        {"iss": 7},
        {"iss": None},
        {"iss": ""},
        {"exp": "soon"},
        {"exp": True},
        {"exp": -1},
        {"exp": 10**18},
        {"exp": None},
        {"nbf": []},
        {"aud": []},
        {"aud": [""]},
        {"aud": 7},
        {"aud": [7]},
        {"aud": None},
        {"jti": 7},
        {"sub": {}},
        b"[]",
        b"7",
        b'{"iss":"a","iss":"a"}',
        b'{"iss":"' + NAME.encode() + b'","exp":1e999}',
        b'{"iss":"' + NAME.encode() + b'","exp":NaN}',
        b"\xff",
        b"[" * 100_000,
        b'{"exp":' + b"9" * 5000 + b"}",
        b'{"iss":"\\ud800"}',
    ],
)
def test_claims_that_are_none(claims: dict[str, Any] | bytes) -> None:
    if isinstance(claims, dict) and claims and "iss" not in claims:
        claims = {"iss": NAME, "exp": NOW + 60} | claims
    with pytest.raises(Malformed):
        jose.parse_jwt(forged(claims), now=NOW, audience=None)


def test_the_issuer_is_compared_as_a_name() -> None:
    jose.parse_jwt(forged({"iss": NAME.upper(), "exp": NOW + 60}), now=NOW, audience=None)


def test_the_type_is_asked_for() -> None:
    token = forged({"iss": NAME, "exp": NOW + 60}, typ="application/example+jwt")
    assert jose.parse_jwt(token, now=NOW, audience=None, typ="example+JWT").form == "JWT"
    with pytest.raises(Malformed):
        jose.parse_jwt(token, now=NOW, audience=None)


def test_a_signer_issues_for_itself() -> None:
    with pytest.raises(Misuse):
        jose.sign_jwt({"iss": "other.example"}, CAR, now=NOW, lifetime=60)
    with pytest.raises(Misuse):
        jose.sign_jwt({"when": object()}, CAR, now=NOW, lifetime=60)
    with pytest.raises(Misuse):
        jose.sign_jwt({"x": float("nan")}, CAR, now=NOW, lifetime=60)
