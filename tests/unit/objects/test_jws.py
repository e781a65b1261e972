"""JWS in compact form: what is signed is read back, in every algorithm, and verified by name."""

import pytest

from dnsbound.credential.credential import Credential
from dnsbound.credential.keys import KeyAlgorithm
from dnsbound.credential.presented import Presented
from dnsbound.edge.object_verifier import ObjectVerifier
from dnsbound.errors import Malformed
from dnsbound.iana import MatchingType
from dnsbound.objects import jose
from unit.claims import NAME, NOW, Records, answer

CREDENTIALS = {kind: Credential.generate(NAME, now=NOW, algorithm=kind) for kind in KeyAlgorithm if "rsa3" not in kind}


@pytest.mark.parametrize("kind", CREDENTIALS)
@pytest.mark.parametrize("band", ["x5c", "jwk", "none"])
@pytest.mark.parametrize("detached", [False, True])
def test_what_is_signed_is_verified_by_name(kind: KeyAlgorithm, band: str, detached: bool) -> None:
    credential = CREDENTIALS[kind] if band == "x5c" else CREDENTIALS[kind].as_raw_key()
    payload = b"a report. \xff"
    token = jose.sign(payload, credential, typ="report", key_in_band=band != "none", detached=detached)
    signed = jose.parse(token, typ="report", detached=payload if detached else None)
    assert signed.presented == (Presented() if band == "none" else credential.presented)
    assert signed.content.members["x5u"] == f"dns:{NAME}?type=TLSA"
    record = credential.tlsa(matching_type=MatchingType.FULL if band == "none" else MatchingType.SHA2_256)
    known = Records(answer(NAME, record))
    verified = ObjectVerifier.expecting([NAME], known, clock=lambda: NOW).verify_blocking(signed)
    assert (verified.name.text, verified.signed.payload) == (NAME, None if detached else payload)


def test_a_token_is_of_the_type_that_is_asked_for() -> None:
    credential = CREDENTIALS[KeyAlgorithm.P256]
    token = jose.sign(b"x", credential)
    with pytest.raises(Malformed):
        jose.parse(token, typ="JWT")
    assert jose.parse(token, typ=None).payload == b"x"
    assert jose.parse(token, typ=jose.ANY_TYP).payload == b"x"
