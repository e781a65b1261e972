"""CBOR Web Tokens: issuer, audience, time, type, and claims that stand in two places."""

import struct
from typing import Any

import pytest

from dnsbound.credential.credential import Credential
from dnsbound.edge.object_verifier import ObjectVerifier
from dnsbound.errors import Malformed, Misuse, Reason, Refused
from dnsbound.names import ClientName
from dnsbound.object_limits import OBJECT_SKEW_SECONDS
from dnsbound.objects import cose
from dnsbound.objects.cbor import CBORTag, to_cbor
from dnsbound.objects.cose.cwt import CwtClaims
from unit.claims import NAME, NOW, Records, answer

GOV = "report.gov.example"
CAR = Credential.generate(NAME, now=NOW, kind="raw")
MALLORY = Credential.generate("mallory._device.evil.example", now=NOW, kind="raw")
SKEW = OBJECT_SKEW_SECONDS.default


def claims(**fields: Any) -> CwtClaims:
    known: dict[str, Any] = {"issuer": ClientName.parse(NAME), "audience": (GOV,), "expires": NOW + 60}
    return CwtClaims(**(known | fields))


def parsed(octets: bytes, **options: Any) -> Any:
    known: dict[str, Any] = {"now": NOW, "audience": GOV, "typ": None}
    return cose.parse_cwt(octets, **(known | options))


def raw(members: dict[Any, Any], **options: Any) -> bytes:
    """Claims that the library itself would not make, signed."""
    return cose.sign1(to_cbor(members), CAR, **options)


GOOD: dict[Any, Any] = {1: NAME, 3: GOV, 4: int(NOW) + 60}


@pytest.mark.parametrize("cwt_tag", [True, False])
def test_cb_13_a_token_is_verified_by_its_issuer(cwt_tag: bool) -> None:
    made = claims(
        subject="trip 7", not_before=NOW, issued_at=NOW, identifier=b"\1\2", others={8: {1: 2}, -70000: "x", "own": [1]}
    )
    octets = cose.sign_cwt(made, CAR, typ="application/report+cwt", cwt_tag=cwt_tag)
    assert octets.startswith(b"\xd8\x3d\xd2" if cwt_tag else b"\xd2")
    signed = parsed(octets, typ="report+cwt")
    known = Records(answer(NAME, CAR.tlsa()))
    verified = ObjectVerifier.expecting([NAME], known, clock=lambda: NOW).verify_blocking(signed)
    assert verified.content.claims == made
    assert CwtClaims.from_wire(made.to_wire()) == made
    with pytest.raises(Malformed):
        parsed(octets)


def test_cb_13_the_issuer_is_the_signer() -> None:
    with pytest.raises(Misuse):
        cose.sign_cwt(claims(), MALLORY)
    with pytest.raises(Malformed):
        parsed(cose.sign1(to_cbor(GOOD), MALLORY))
    without = {label: value for label, value in GOOD.items() if label != 1}
    for members in (without, GOOD | {1: 5}, GOOD | {1: "https://cars.example"}, GOOD | {1: ""}):
        with pytest.raises(Malformed):
            parsed(raw(members))


@pytest.mark.parametrize(
    ("fields", "now", "reason"),
    [
        ({"expires": NOW}, NOW + SKEW, Reason.STALE),
        ({"expires": None}, NOW, Reason.STALE),
        ({"not_before": NOW + SKEW + 1}, NOW, Reason.STALE),
        ({"issued_at": NOW + SKEW + 1}, NOW, Reason.STALE),
        ({"audience": ()}, NOW, Reason.WRONG_AUDIENCE),
        ({"audience": ("report.city.example",)}, NOW, Reason.WRONG_AUDIENCE),
    ],
)
def test_cb_13_time_and_audience(fields: dict[str, Any], now: float, reason: Reason) -> None:
    octets = cose.sign_cwt(claims(**fields), CAR)
    with pytest.raises(Refused) as caught:
        parsed(octets, now=now)
    assert caught.value.reason is reason


def test_cb_13_a_token_for_nobody_and_one_without_end() -> None:
    octets = cose.sign_cwt(claims(audience=(), expires=None), CAR)
    with pytest.raises(Refused):
        parsed(octets, audience=None)
    assert parsed(octets, audience=None, danger_eternal=True).name.text == NAME
    with pytest.raises(Refused) as caught:
        parsed(cose.sign_cwt(claims(), CAR), audience=None)
    assert caught.value.reason is Reason.WRONG_AUDIENCE
    several = cose.sign_cwt(claims(audience=("a.example.net", GOV)), CAR)
    assert parsed(several, now=NOW + 60 + SKEW - 1).name.text == NAME


@pytest.mark.parametrize(
    "members",
    [
        GOOD | {4: "2026"},
        GOOD | {4: -1},
        GOOD | {4: True},
        GOOD | {4: None},
        GOOD | {4: CBORTag(1, int(NOW))},  # RFC 8392 section 2: without the tag
        GOOD | {4: 10**12},
        GOOD | {5: "x"},
        GOOD | {2: 5},
        GOOD | {3: 5},
        GOOD | {3: []},
        GOOD | {3: [GOV, 5]},
        GOOD | {3: ""},
        GOOD | {7: "x"},
    ],
)
def test_cb_13_claims_have_their_types(members: dict[Any, Any]) -> None:
    with pytest.raises(Malformed):
        parsed(raw(members))


def test_cb_13_a_time_may_be_a_fraction() -> None:
    octets = b"\xa3" + to_cbor({1: NAME})[1:] + to_cbor({3: GOV})[1:] + b"\x04\xfb" + struct.pack(">d", NOW)
    assert CwtClaims.from_wire(octets).expires == NOW


def test_cb_13_claims_in_the_header_are_the_same() -> None:
    assert parsed(raw(GOOD, claims={1: NAME, 3: GOV})).name.text == NAME
    assert parsed(raw(GOOD, claims={7: b"more"})).name.text == NAME
    for header in ({3: "report.city.example"}, {4: int(NOW) + 600}):
        with pytest.raises(Malformed):
            parsed(raw(GOOD, claims=header))


@pytest.mark.parametrize("octets", [b"", b"\xd8\x3d", b"\xd8\x3d\x84\x40\xa0\x40\x40", b"\xd8\x3d\xd8\x3d\xf6"])
def test_what_is_no_token(octets: bytes) -> None:
    with pytest.raises(Malformed):
        parsed(octets)
    with pytest.raises(Malformed):
        parsed(cose.sign1(octets, CAR))
    with pytest.raises(Malformed):
        parsed(cose.sign1(to_cbor(GOOD), CAR, detached=True))


def test_times_are_written_in_whole_seconds_to_the_safe_side() -> None:
    written = claims(expires=10.9, not_before=10.1, issued_at=10.9).to_map()
    assert (written[4], written[5], written[6]) == (10, 11, 10)
    with pytest.raises(Misuse):
        claims(others={1: "x"}).to_map()
