"""Between the handshake and the first application octet stands a verdict (client-auth section 8.2; CA-11 to CA-32)."""

import ssl

import pytest

from dnsbound.errors import Misuse, Reason, Refused, Undecided
from dnsbound.iana import AlertDescription
from dnsbound.tls.errors import TLSAlertReceived, TLSMisuse, TLSRefused, TLSUndecided
from dnsbound.tls.server_shim import TRANSITIONS, Authentication, Stage
from dnsbound.verify.claim import NameSource, Presented, Proved
from machines.native_pairs import SERVER, make_identity
from machines.shim_pairs import (
    DOOR,
    NAME,
    Doorkeeper,
    Pair,
    admitted,
    client,
    credential,
    door,
    evidence,
    stock_client,
)


def test_every_stage_has_its_transitions() -> None:
    assert set(TRANSITIONS) == set(Stage)


@pytest.mark.parametrize("raw", [False, True])
def test_claim_says_name_credential_and_possession(raw: bool) -> None:
    own = credential()
    pair = Pair.of(client(own, raw_public_key=raw), door())
    assert pair.shake() == (True, False)
    claim = pair.far.pending_claim
    assert claim.name.text == NAME
    assert claim.name_source is NameSource.EXTENSION
    assert claim.presented == (Presented(raw_public_key=own.spki) if raw else Presented(chain=own.chain))
    assert isinstance(claim.possession, Proved)
    assert (claim.door, claim.source) == (DOOR, "192.0.2.54")
    assert pair.far.authentication is Authentication.PENDING


def test_no_application_octet_before_the_verdict() -> None:
    pair = Pair.of(client(credential()), door())
    pair.shake()
    pair.near.write(b"early")
    for call in (lambda: pair.far.read(10), lambda: pair.far.write(b"x"), pair.far.do_handshake):
        with pytest.raises(ssl.SSLWantReadError):
            call()
    assert pair.to_near.pending == 0, "neither data nor a ticket may leave before the verdict"
    peer = pair.admit()
    assert pair.far.read(10) == b"early"
    assert pair.far.verified_peer() is peer
    assert pair.far.authentication is Authentication.VERIFIED
    pair.far.write(b"welcome")
    assert pair.near.read(100) == b"welcome"


def test_peer_is_not_told_before_the_verdict() -> None:
    pair = Pair.of(client(credential()), door())
    pair.shake()
    with pytest.raises(Misuse):
        pair.far.verified_peer()


@pytest.mark.parametrize("verdict", [Refused(Reason.NOT_PERMITTED), Undecided(Reason.DNS_FAILED)])
def test_refusal_is_one_alert_and_keeps_its_reason_here(verdict: Refused | Undecided) -> None:
    pair = Pair.of(client(credential()), door())
    pair.shake()
    pair.far.shim.refuse(verdict)
    expected = TLSRefused if isinstance(verdict, Refused) else TLSUndecided
    for call in (pair.far.do_handshake, lambda: pair.far.read(10), lambda: pair.far.write(b"x")):
        with pytest.raises(expected) as caught:
            call()
        assert caught.value.reason is verdict.reason
        assert isinstance(caught.value, ssl.SSLError)
    with pytest.raises(expected):
        pair.far.verified_peer()
    assert pair.far.authentication is Authentication.REFUSED
    with pytest.raises(TLSAlertReceived) as alert:
        pair.near.read(10)
    assert alert.value.alert_received == AlertDescription.HANDSHAKE_FAILURE
    assert alert.value.reason == "SSLV3_ALERT_HANDSHAKE_FAILURE"


def test_verdict_is_given_once() -> None:
    pair = Pair.of(client(credential()), door())
    pair.shake()
    claim = pair.far.pending_claim
    peer = pair.admit()
    assert pair.far.pending_claim is None
    with pytest.raises(TLSMisuse):
        pair.far.shim.admit(evidence(claim))
    with pytest.raises(TLSMisuse):
        pair.far.shim.refuse(Refused(Reason.NO_TLSA))
    assert pair.far.verified_peer() is peer


def test_evidence_of_another_name_or_door_admits_nobody() -> None:
    pair = Pair.of(client(credential()), door())
    pair.shake()
    other = Pair.of(client(credential("car55._device.cars.example")), door())
    other.shake()
    with pytest.raises(TLSMisuse):
        pair.far.shim.admit(evidence(other.far.pending_claim))
    assert pair.far.authentication is Authentication.PENDING


def reason_of(pair: Pair) -> Reason:
    """Why the shim itself refused; the client must see the same alert as for every refusal."""
    with pytest.raises(TLSRefused) as caught:
        pair.shake()
    with pytest.raises(TLSAlertReceived) as alert:
        pair.near.read(10)
    assert alert.value.alert_received == AlertDescription.HANDSHAKE_FAILURE
    assert pair.far.pending_claim is None
    return caught.value.reason


def test_without_credential() -> None:
    assert reason_of(Pair.of(client(), door())) is Reason.NO_CREDENTIAL


def test_refusals_without_a_claim_are_told_once() -> None:
    """No decision is missing from the record, though no judge heard of the client."""
    keeper = Doorkeeper()
    assert reason_of(Pair.of(client(), door(keeper))) is Reason.NO_CREDENTIAL
    assert keeper.turned == [(Reason.NO_CREDENTIAL, "192.0.2.54")]
    pair = Pair.of(client(credential()), door(keeper))
    pair.shake()
    pair.far.shim.refuse(Refused(Reason.NO_TLSA))
    assert len(keeper.turned) == 1, "whoever judged the claim keeps the record of it"


def test_without_a_name_this_door_takes() -> None:
    nameless = client(credential(None, san=("car54.cars.example",)))
    assert reason_of(Pair.of(nameless, door(claim_from=["extension"]))) is Reason.NO_NAME


@pytest.mark.parametrize(
    ("san", "reason"),
    [
        ((), Reason.NO_NAME),
        (("192.0.2.1",), Reason.NO_NAME),
        (("a.example", "b.example"), Reason.AMBIGUOUS_NAME),
        (("*.cars.example",), Reason.AMBIGUOUS_NAME),
        (("localhost",), Reason.AMBIGUOUS_NAME),
    ],
)
def test_certificate_that_names_no_one(san: tuple[str, ...], reason: Reason) -> None:
    assert reason_of(Pair.of(client(credential(None, san=san)), door())) is reason


def test_certificate_names_a_client_that_sends_no_extension() -> None:
    own = make_identity(NAME)
    pair = Pair.of(client(credential(None, san=(NAME,))), door())
    pair.shake()
    assert pair.far.pending_claim.name.text == NAME
    assert pair.far.pending_claim.name_source is NameSource.SAN
    assert own.chain != pair.far.pending_claim.presented.chain


def test_extension_counts_before_the_certificate() -> None:
    pair = Pair.of(client(credential(NAME, san=("other.cars.example",))), door())
    pair.shake()
    assert pair.far.pending_claim.name.text == NAME
    assert pair.far.pending_claim.name_source is NameSource.EXTENSION


def test_door_that_takes_certificates_alone_asks_for_no_extension() -> None:
    pair = Pair.of(client(credential(NAME, san=("other.cars.example",))), door(claim_from=["san"]))
    pair.shake()
    assert pair.far.pending_claim.name.text == "other.cars.example"


def test_other_code_points_are_other_extensions() -> None:
    near, far = client(credential(NAME, san=()), clientid=0xFF5B), door()
    assert reason_of(Pair.of(near, far)) is Reason.NO_NAME
    pair = Pair.of(near, door(clientid=0xFF5B))
    pair.shake()
    assert pair.far.pending_claim.name.text == NAME


@pytest.mark.parametrize("nameless", [False, True])
def test_optional_door_lets_in_who_claims_nothing_and_says_so(nameless: bool) -> None:
    near = client(credential(None, san=())) if nameless else client()
    pair = Pair.of(near, door(policy="optional"))
    assert pair.shake() == (True, True)
    assert pair.far.verified_peer() is None
    assert pair.far.authentication is Authentication.UNAUTHENTICATED
    pair.near.write(b"hello")
    assert pair.far.read(10) == b"hello"


def test_optional_door_refuses_a_claim_that_fails() -> None:
    pair = Pair.of(client(credential()), door(policy="optional"))
    assert pair.shake() == (True, False)
    pair.far.shim.refuse(Undecided(Reason.BOGUS))
    with pytest.raises(TLSUndecided) as caught:
        pair.far.do_handshake()
    assert caught.value.reason is Reason.BOGUS


def test_optional_door_refuses_an_ambiguous_certificate() -> None:
    near = client(credential(None, san=("a.example", "b.example")))
    assert reason_of(Pair.of(near, door(policy="optional"))) is Reason.AMBIGUOUS_NAME


def test_door_speaks_tls_1_3_alone() -> None:
    """CA-02: where clients are identified by name, nothing lower is negotiated."""
    old = stock_client()
    old.maximum_version = ssl.TLSVersion.TLSv1_2
    pair = Pair.of(old, door())
    with pytest.raises(ssl.SSLError) as caught:
        pair.shake()
    assert caught.value.reason == "UNSUPPORTED_PROTOCOL"


def test_client_that_says_a_name_wants_tls_1_3() -> None:
    assert client(credential()).minimum_version is ssl.TLSVersion.TLSv1_3
    assert client().minimum_version is ssl.TLSVersion.TLSv1_2


def test_raw_keys_can_be_left_out() -> None:
    pair = Pair.of(client(credential(), raw_public_key=True), door(raw_public_keys=False))
    with pytest.raises(ssl.SSLError):
        pair.shake()
    assert pair.far.pending_claim is None


def test_certificate_contents_of_a_client_are_not_shown_as_checked() -> None:
    own = credential()
    pair = admitted(client(own), door())
    assert pair.far.getpeercert() == {}
    assert pair.far.getpeercert(binary_form=True) == own.chain[0]
    raw = admitted(client(own, raw_public_key=True), door())
    assert raw.far.getpeercert() is None
    assert raw.far.getpeercert(binary_form=True) is None
    assert raw.far.shim.peer_raw_public_key() == own.spki


def test_server_facts_on_a_client_are_a_misuse() -> None:
    pair = admitted(client(credential()), door())
    for call in (pair.near.verified_peer, lambda: pair.near.authentication, pair.far.server_tlsa):
        with pytest.raises(Misuse):
            call()
    assert pair.near.server_tlsa() is None
    assert pair.near.server_hostname == SERVER
