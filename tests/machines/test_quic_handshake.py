"""One end of QUIC's handshake (`tls/quic_handshake`): what it becomes, and what it says of it."""

import itertools

import pytest

from dnsbound.errors import Reason, Refused, Undecided
from dnsbound.iana import AlertDescription
from dnsbound.tls.association import TRANSITIONS, Phase
from dnsbound.tls.errors import TLSAlertReceived, TLSMisuse, TLSPeerError, TLSRefused, TLSUndecided
from dnsbound.tls.quic_handshake import APPLICATION, INITIAL, QuicHandshake
from machines.quic_handshakes import ALPN, begun, carry
from machines.shim_pairs import Doorkeeper, evidence

TICKET = b"\x04\x00\x00\x10" + bytes(16)


def judged(verdict: str) -> tuple[QuicHandshake, QuicHandshake]:
    near, far = begun()
    carry(near, far)
    claim = far.pending_claim
    assert claim is not None
    answers = {
        "yes": evidence(claim),
        "no": Refused(Reason.NO_TLSA),
        "perhaps": Undecided(Reason.DNS_FAILED),
    }
    far.settle(answers[verdict])
    return near, far


def test_a_server_waits_for_the_verdict_and_its_client_does_not() -> None:
    near, far = begun()
    assert (near.phase, far.phase) == (Phase.HANDSHAKE, Phase.HANDSHAKE)
    carry(near, far)
    assert (near.phase, far.phase) == (Phase.OPEN, Phase.VERDICT)
    assert near.is_complete
    assert far.is_complete
    assert near.alpn == far.alpn == ALPN.encode()
    assert far.peer_parameters == b"\x0f\x04near"
    assert not far.has_session_id


def test_a_yes_opens_it() -> None:
    _, far = judged("yes")
    assert (far.phase, far.error, far.alert) == (Phase.OPEN, None, None)
    assert far.pending_claim is None


@pytest.mark.parametrize(("verdict", "kind"), [("no", TLSRefused), ("perhaps", TLSUndecided)])
def test_anything_else_is_one_alert(verdict: str, kind: type[Exception]) -> None:
    _, far = judged(verdict)
    assert far.phase is Phase.REFUSED
    assert isinstance(far.error, kind)
    assert far.alert == AlertDescription.HANDSHAKE_FAILURE
    assert far.take() == []


@pytest.mark.parametrize("verdict", ["yes", "no", "perhaps"])
def test_a_second_verdict_changes_nothing(verdict: str) -> None:
    _, far = judged(verdict)
    before = far.phase, far.error
    far.settle(Refused(Reason.NOT_PERMITTED))
    assert (far.phase, far.error) == before


def test_a_verdict_after_the_end_changes_nothing() -> None:
    near, far = begun()
    carry(near, far)
    claim = far.pending_claim
    assert claim is not None
    far.abandon()
    far.settle(evidence(claim))
    assert far.phase is Phase.CLOSED


def test_who_is_in_is_cut() -> None:
    _, far = judged("yes")
    far.cut(Refused(Reason.NO_TLSA))
    assert far.phase is Phase.CLOSED
    assert isinstance(far.error, TLSRefused)
    assert far.alert == AlertDescription.HANDSHAKE_FAILURE


def test_who_is_not_in_is_not_cut() -> None:
    near, far = begun()
    carry(near, far)
    far.cut(Refused(Reason.NO_TLSA))
    assert far.phase is Phase.VERDICT


def test_tickets_are_passed_over_however_they_are_cut() -> None:
    near, _ = judged("yes")
    for piece in (TICKET[:1], TICKET[1:7], TICKET[7:] + TICKET + TICKET[:3], TICKET[3:]):
        near.receive(APPLICATION, piece)
    assert near.phase is Phase.OPEN


@pytest.mark.parametrize(
    "octets",
    [b"\x18\x00\x00\x01\x00", b"\x0d\x00\x00\x05" + bytes(5), TICKET + b"\x14\x00\x00\x00", b"\x04\xff\xff\xff"],
    ids=["KeyUpdate", "CertificateRequest", "Finished behind a ticket", "a ticket without end"],
)
def test_ts_04_nothing_else_comes_after_the_handshake(octets: bytes) -> None:
    """TS-04: no authentication after the handshake in QUIC (RFC 9001 section 4.4), nor a KeyUpdate (section 6)."""
    near, _ = judged("yes")
    near.receive(APPLICATION, octets)
    assert near.phase is Phase.CLOSED
    assert near.alert == AlertDescription.UNEXPECTED_MESSAGE
    assert isinstance(near.error, TLSPeerError)


@pytest.mark.parametrize("level", [INITIAL, 2, APPLICATION])
def test_a_client_has_nothing_to_say_after_it(level: int) -> None:
    _, far = judged("yes")
    far.receive(level, TICKET)
    assert far.alert == AlertDescription.UNEXPECTED_MESSAGE
    assert far.phase is Phase.CLOSED


def test_a_refusal_of_tls_itself() -> None:
    near, far = begun()
    ((level, hello),) = near.take()
    far.receive(level, hello + b"more")
    assert far.phase is Phase.CLOSED
    assert far.alert == AlertDescription.UNEXPECTED_MESSAGE
    far.receive(level, b"and more")
    assert far.phase is Phase.CLOSED


def test_the_stack_may_find_fault_once() -> None:
    _, far = begun()
    far.fail(AlertDescription.MISSING_EXTENSION, "no parameters")
    assert (far.phase, far.alert) == (Phase.CLOSED, AlertDescription.MISSING_EXTENSION)
    far.fail(AlertDescription.INTERNAL_ERROR, "again")
    assert far.alert == AlertDescription.MISSING_EXTENSION
    assert isinstance(far.error, TLSPeerError)
    assert not isinstance(far.error, TLSAlertReceived)


def test_nobody_is_asked_late_over_quic() -> None:
    _, far = judged("yes")
    with pytest.raises(TLSMisuse):
        far.shim.verify_client_post_handshake()


@pytest.mark.parametrize(("before", "after"), list(itertools.product(Phase, Phase)))
def test_every_change_is_in_the_table(before: Phase, after: Phase) -> None:
    _, far = begun(Doorkeeper())
    far.phase = before
    if after in TRANSITIONS[before]:
        far._become(after)
        assert far.phase is after
    else:
        with pytest.raises(TLSMisuse):
            far._become(after)
