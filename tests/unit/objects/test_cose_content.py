"""COSE as a format of signatures over content: what `dnsbound sign --format cose` makes and `verify` opens."""

import pytest

from dnsbound.credential.credential import Credential
from dnsbound.credential.keys import KeyAlgorithm
from dnsbound.errors import Malformed, Reason, Refused
from dnsbound.names import ClientName
from dnsbound.objects import cose
from dnsbound.objects.large.cose_content import EnvelopeSigning, attach_cose, open_cose
from unit.claims import NAME, NOW

CAR = Credential.generate(NAME, now=NOW, algorithm=KeyAlgorithm.ED25519)
CONTENT = bytes(range(256)) * 100


def test_cb_12_content_is_given_in_pieces_whatever_the_key() -> None:
    signing = EnvelopeSigning(CAR, key_in_band=True)
    for start in range(0, len(CONTENT), 1000):
        signing.update(CONTENT[start : start + 1000])
    opened = open_cose(signing.finish())
    assert opened.content is not None
    assert opened.signed is not None
    opened.content.update(CONTENT[:5])
    opened.content.update(memoryview(CONTENT)[5:])
    assert opened.content.finish() is opened.signed
    opened = open_cose(signing.finish())
    assert opened.content is not None
    opened.content.update(CONTENT[:-1])
    with pytest.raises(Refused) as caught:
        opened.content.finish()
    assert caught.value.reason is Reason.CONTENT_MISMATCH


def test_cb_01_a_payload_may_travel_inside() -> None:
    opened = open_cose(attach_cose(CONTENT, CAR, typ="application/report", key_in_band=False))
    assert opened.signed is not None
    assert (opened.typ, opened.signed.payload, opened.content, opened.check) == ("report", CONTENT, None, None)


@pytest.mark.parametrize(("typ", "tag"), [("application/report+cwt", False), (None, True), ("CWT", False)])
def test_cb_13_tokens_are_told_and_their_claims_checked(typ: str | None, tag: bool) -> None:
    claims = cose.CwtClaims(issuer=ClientName.parse(NAME), audience=("gov.example",), expires=NOW + 60)
    opened = open_cose(cose.sign_cwt(claims, CAR, typ=typ, cwt_tag=tag))
    assert opened.check is not None
    opened.check(NOW, "gov.example")
    for now, audience, reason in ((NOW + 600, "gov.example", Reason.STALE), (NOW, "x.example", Reason.WRONG_AUDIENCE)):
        with pytest.raises(Refused) as caught:
            opened.check(now, audience)
        assert caught.value.reason is reason


@pytest.mark.parametrize("octets", [b"\xd2", b"\x84", b"\xd8\x3d", b"\xd8\x3d\x84"])
def test_what_is_none(octets: bytes) -> None:
    with pytest.raises(Malformed):
        open_cose(octets)


def test_a_payload_that_is_left_out_is_not_content_to_be_given() -> None:
    with pytest.raises(Malformed):
        open_cose(cose.sign1(b"x", CAR, detached=True))
