"""What a name says of keys of an XMPP address: made, read, and refused."""

import math
from dataclasses import replace
from hashlib import sha256
from typing import Any

import pytest
import xeddsa
from hypothesis import given
from hypothesis import strategies as st

from dnsbound.credential.credential import Credential
from dnsbound.credential.keys import KeyAlgorithm, public_key_from_spki
from dnsbound.credential.signature import BadSignature
from dnsbound.errors import DnsboundError, Malformed, Misuse, Reason, Refused
from dnsbound.names import ClientName
from dnsbound.object_limits import ATTESTATION_SECONDS, ATTESTED_KEYS
from dnsbound.objects.bare_jid import BareJid
from dnsbound.objects.jose import sign_jwt
from dnsbound.objects.omemo_key import OmemoKey
from dnsbound.objects.xmpp_attestation import LIFETIME, TYP, Attestation, attest, parse_attestation

NOW = 1_790_000_000.0
DAY = 86_400
NAME = ClientName.parse("bob._user.people.example")
JID = BareJid.parse("bob@xmpp.example")
BOB = Credential.generate(NAME, now=NOW)
KEY = OmemoKey(device=7, identity_key=xeddsa.priv_to_ed25519_pub(sha256(b"seven").digest()))
OTHER = OmemoKey(device=8, identity_key=xeddsa.priv_to_ed25519_pub(sha256(b"eight").digest()))
IK = "p2-2lKmF-AAtbFXKU3lYU5GyTDvDG8UQ_WPhtv0fmN8"
OX = "1357B01865B2503C18453D208CAC2A9678548E35"


def said(**claims: Any) -> str:
    """A statement of bob's with claims of the test's own; None leaves one out."""
    whole = {"sub": str(JID), "iat": int(NOW), "exp": int(NOW) + DAY, "omemo": [], "ox": []} | claims
    return sign_jwt(
        {key: value for key, value in whole.items() if value is not None}, BOB, now=NOW, lifetime=DAY, typ=TYP
    )


def read(token: str, *, now: float = NOW) -> Attestation:
    signed = parse_attestation(token, jid=JID, now=now)
    assert isinstance(signed.content, Attestation)
    return signed.content


def refused(token: str, *, now: float = NOW, jid: BareJid = JID) -> Reason:
    with pytest.raises(Refused) as info:
        parse_attestation(token, jid=jid, now=now)
    return info.value.reason


def test_xe_03_what_is_said_is_what_is_read() -> None:
    token = attest(
        BOB, str(JID), omemo=[KEY, OTHER], ox=["1357 b018 65b2 503c 1845  3d20 8cac 2a96 7854 8e35"], now=NOW
    )
    signed = parse_attestation(token, jid=JID, now=NOW)
    assert signed.name == NAME
    assert signed.form == TYP
    expected = Attestation(name=NAME, jid=JID, omemo=(KEY, OTHER), ox=(OX,), issued_at=NOW, expires_at=NOW + LIFETIME)
    assert signed.content == expected
    assert signed.presented.spki == BOB.spki
    signed.check(public_key_from_spki(BOB.spki))
    with pytest.raises(BadSignature):
        signed.check(public_key_from_spki(Credential.generate(NAME, now=NOW).spki))


def test_xe_03_a_statement_without_keys_takes_all_back() -> None:
    assert read(attest(BOB, str(JID), now=NOW)).omemo == ()


@pytest.mark.parametrize(
    "claims",
    [
        {"sub": None},
        {"sub": 7},
        {"sub": "bob@xmpp.example/phone"},
        {"sub": "Bob@xmpp.example"},
        {"omemo": {}},
        {"omemo": "x"},
        {"omemo": [7]},
        {"omemo": [{"ik": IK}]},
        {"omemo": [{"device": 1}]},
        {"omemo": [{"device": True, "ik": IK}]},
        {"omemo": [{"device": 1.0, "ik": IK}]},
        {"omemo": [{"device": "1", "ik": IK}]},
        {"omemo": [{"device": 0, "ik": IK}]},
        {"omemo": [{"device": 2**31, "ik": IK}]},
        {"omemo": [{"device": 1, "ik": IK + "="}]},
        {"omemo": [{"device": 1, "ik": IK[:-2]}]},
        {"omemo": [{"device": 1, "ik": 7}]},
        {"omemo": [{"device": 1, "ik": IK}, {"device": 1, "ik": IK}]},
        {"omemo": [{"device": 1 + number, "ik": IK} for number in range(ATTESTED_KEYS.default + 1)]},
        {"ox": OX},
        {"ox": [7]},
        {"ox": [OX.lower()]},
        {"ox": [OX[:-1]]},
        {"ox": [OX, OX]},
        {"ox": [f"{number:040X}" for number in range(ATTESTED_KEYS.default + 1)]},
        {"iat": 0},
        {"iat": int(NOW), "exp": int(NOW) + ATTESTATION_SECONDS.default + 1},
        {"iat": int(NOW) + 60, "exp": int(NOW) + 60},
        {"iat": int(NOW) + 60, "exp": int(NOW) + 1},
    ],
)
def test_xe_03_what_is_no_statement(claims: dict[str, Any]) -> None:
    with pytest.raises(Malformed):
        read(said(**claims))


def test_xe_03_a_token_of_another_kind_is_none() -> None:
    token = sign_jwt({"sub": str(JID)}, BOB, now=NOW, lifetime=DAY)
    with pytest.raises(Malformed):
        read(token)


def test_xe_03_what_is_not_known_is_ignored() -> None:
    assert read(said(colour="blue", omemo=[{"device": 1, "ik": IK, "name": "phone"}])).omemo[0].device == 1


@pytest.mark.parametrize(
    ("now", "reason"),
    [
        (NOW + DAY, Reason.STALE),
        (NOW + DAY + 3600, Reason.STALE),
        (NOW - 3600, Reason.STALE),
    ],
)
def test_xe_06_a_statement_holds_for_its_time(now: float, reason: Reason) -> None:
    token = said()
    assert read(token, now=NOW + DAY - 1).jid == JID
    assert refused(token, now=now) is reason


def test_xe_06_it_ends_within_thirty_days() -> None:
    assert read(said(exp=int(NOW) + ATTESTATION_SECONDS.default)).expires_at == NOW + ATTESTATION_SECONDS.default
    with pytest.raises(Misuse):
        attest(BOB, str(JID), now=NOW, lifetime=ATTESTATION_SECONDS.default + 1)
    with pytest.raises(Misuse):
        attest(BOB, str(JID), now=NOW, lifetime=0)


def test_xe_04_a_statement_about_another_address_says_nothing_of_this_one() -> None:
    assert refused(said(), jid=BareJid.parse("alice@xmpp.example")) is Reason.NOT_LINKED


def test_xe_04_nor_one_that_is_meant_for_somebody() -> None:
    assert refused(said(aud="alice@xmpp.example")) is Reason.WRONG_AUDIENCE


class TestOwnKey:
    """XE-10: the key that signs is none of OMEMO's."""

    device = Credential.generate(NAME, now=NOW, algorithm=KeyAlgorithm.ED25519)

    @pytest.mark.parametrize("sign", [0, 0x80])
    def test_xe_10_it_is_not_listed(self, sign: int) -> None:
        raw = self.device.spki[-32:]
        own = OmemoKey(device=1, identity_key=raw[:-1] + bytes((raw[-1] ^ sign,)))
        with pytest.raises(Misuse):
            attest(self.device, str(JID), omemo=[own], now=NOW)
        made = Attestation(name=NAME, jid=JID, omemo=(KEY, own), issued_at=NOW, expires_at=NOW + DAY)
        with pytest.raises(Refused) as info:
            made.check_apart_from(sha256(self.device.spki).digest())
        assert info.value.reason is Reason.KEY_REUSED
        replace(made, omemo=(KEY,)).check_apart_from(sha256(self.device.spki).digest())

    def test_xe_10_another_ed25519_key_is(self) -> None:
        assert attest(self.device, str(JID), omemo=[KEY], now=NOW)


def test_xe_11_keys_are_compared_in_their_curve25519_form() -> None:
    made = Attestation(name=NAME, jid=JID, omemo=(KEY,), issued_at=NOW, expires_at=NOW + DAY)
    flipped = KEY.identity_key[:-1] + bytes((KEY.identity_key[-1] ^ 0x80,))
    assert made.lists(KEY.identity_key)
    assert made.lists(flipped)
    assert not made.lists(OTHER.identity_key)
    with pytest.raises(Malformed):
        made.lists(KEY.identity_key[:-1])


@pytest.mark.parametrize(
    ("jid", "options"),
    [
        ("bob", {}),
        ("bob@xmpp.example", {"ox": ["12"]}),
        ("bob@xmpp.example", {"omemo": [KEY, KEY]}),
    ],
)
def test_what_cannot_be_said(jid: str, options: dict[str, Any]) -> None:
    with pytest.raises(Misuse):
        attest(BOB, jid, now=NOW, **options)


def test_nobody_says_anything_without_a_name() -> None:
    with pytest.raises(Misuse):
        attest(replace(BOB, name=None), str(JID), now=NOW)


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.text(), lambda inner: st.lists(inner, max_size=3)))
def test_any_claims_are_a_statement_or_an_error_of_ours(value: Any) -> None:
    for member in ("sub", "omemo", "ox", "iat", "exp"):
        try:
            assert math.isfinite(read(said(**{member: value})).expires_at)
        except DnsboundError:
            continue
