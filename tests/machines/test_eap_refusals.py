"""Who is not let in, what the other end is told, and what it believes (RFC 5216 section 2.1.3, RFC 9190 2.1.4)."""

from collections.abc import Callable

import pytest

from dnsbound.errors import PeerError, Reason, Refused, Undecided
from dnsbound.iana import AlertDescription, EapCode, EapType
from dnsbound.protocols.eap import EapPacket
from dnsbound.protocols.eap_peer import PeerFailed, PeerIgnored, PeerReply, PeerStage
from dnsbound.protocols.eap_server import Accepted, EapServer, Ignored, Judge, Rejected, Reply, Stage
from dnsbound.protocols.eap_tls_framing import EMPTY
from dnsbound.tls.errors import TLSAlertReceived, TLSPeerError
from dnsbound.verify.claim import Claim
from dnsbound.verify.peer import VerifiedPeer
from machines.eap_pairs import VERSIONS, Conversation, network, supplicant, tls_of
from machines.eap_scripts import WHOLE, ScriptedPeer, ScriptedServer
from machines.shim_pairs import evidence, refusing, undecided

FAILURE = EapCode.FAILURE
ALERT_RECORD = 21


def served(**options: int) -> EapServer:
    far = network()
    return Conversation(supplicant(), far, fragment_octets=WHOLE, options=options).server


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize(
    ("judge", "reason"),
    [
        (refusing(Reason.NOT_PERMITTED), Reason.NOT_PERMITTED),
        (refusing(Reason.NO_TLSA), Reason.NO_TLSA),
        (refusing(Reason.TLSA_MISMATCH), Reason.TLSA_MISMATCH),
        (undecided(Reason.DNS_FAILED), Reason.DNS_FAILED),
        (undecided(Reason.BOGUS), Reason.BOGUS),
    ],
    ids=["not permitted", "revoked", "other key", "no answer", "bogus"],
)
def test_et_06_a_refusal_is_an_alert_then_an_answer_then_failure(
    judge: Callable[[Claim], VerifiedPeer], reason: Reason, version: str
) -> None:
    """The same on the wire for all; the reason stays here, and is told at once."""
    talk = Conversation(supplicant(version=version), network(), judge=judge)
    rejected, failed = talk.rejected()
    assert isinstance(rejected.verdict, Refused | Undecided)
    assert rejected.verdict.reason is reason
    assert isinstance(failed.reason, TLSAlertReceived)
    assert failed.reason.alert_received == AlertDescription.HANDSHAKE_FAILURE
    *_, alert, end = talk.requests
    assert tls_of(alert).data
    assert tls_of(talk.responses[-1]) == EMPTY
    assert EapPacket.from_wire(end) == EapPacket(code=FAILURE, identifier=alert[1])
    # In TLS 1.2 the alert is in clear; in TLS 1.3 it is protected, and no failure can be forged (RFC 9190 section 2.5).
    assert tls_of(alert).data[0] == (ALERT_RECORD if version == "TLSv1.2" else 23)


def test_et13_09_every_refusal_has_as_many_octets() -> None:
    lengths = set()
    for judge in (refusing(Reason.NOT_PERMITTED), refusing(Reason.NO_TLSA), undecided(Reason.DNS_FAILED)):
        talk = Conversation(supplicant(), network(), judge=judge)
        talk.rejected()
        lengths.add(tuple(map(len, talk.requests[-2:])))
    assert len(lengths) == 1


@pytest.mark.parametrize("version", VERSIONS)
def test_the_verdict_is_known_before_the_peer_has_heard_it(version: str) -> None:
    """A peer that never answers the alert is none the less refused."""
    talk = Conversation(supplicant(version=version), network())
    talk.judging()
    assert talk.server.verdict is None
    outcome = talk.server.settle(Refused(Reason.NO_TLSA))
    assert isinstance(outcome, Reply)
    assert isinstance(talk.server.verdict, Refused)
    assert talk.server.verdict.reason is Reason.NO_TLSA
    assert talk.server.stage is Stage.ALERTED
    assert talk.server.tls_version == version


@pytest.mark.parametrize(
    "answer", [EMPTY.to_wire(), b"\x00anything", b"\x40more", b"\xc0\xff\xff\xff\xffx", b"\x20"], ids=bytes.hex
)
def test_et_06_whatever_answers_the_alert_failure_follows(answer: bytes) -> None:
    talk = Conversation(supplicant(), network())
    talk.judging()
    alert = talk.server.settle(Refused(Reason.NO_TLSA))
    assert isinstance(alert, Reply)
    outcome = talk.server.receive(EapPacket.response(alert.eap[1], EapType.TLS, answer).to_wire())
    assert isinstance(outcome, Rejected)
    assert isinstance(outcome.verdict, Refused)
    assert outcome.verdict.reason is Reason.NO_TLSA
    assert outcome.eap == bytes((FAILURE, alert.eap[1], 0, 4))


@pytest.mark.parametrize(
    "octets", [b"\x16\x03\x01\x00\x04junk", b"GET / HTTP/1.1\r\n\r\n", bytes(50)], ids=["record", "http", "zeros"]
)
def test_et_06_what_is_no_tls_is_answered_by_an_alert(octets: bytes) -> None:
    peer = ScriptedPeer(supplicant(), served())
    peer.begin()
    outcome = peer.say(octets)
    assert isinstance(outcome, Reply | Rejected)
    verdict = peer.server.verdict
    assert isinstance(verdict, TLSPeerError)
    if isinstance(outcome, Reply):
        assert tls_of(outcome.eap).data[0] == ALERT_RECORD
        assert isinstance(peer.fragment(EMPTY), Rejected)
    assert peer.server.stage is Stage.OVER


@pytest.mark.parametrize("description", [AlertDescription.UNKNOWN_CA, AlertDescription.HANDSHAKE_FAILURE])
def test_et_07_an_alert_of_the_peer_ends_in_failure_at_once(description: AlertDescription) -> None:
    peer = ScriptedPeer(supplicant(), served())
    peer.begin()
    assert isinstance(peer.say(peer.flight()), Reply)
    outcome = peer.say(alert_of(description))
    assert isinstance(outcome, Rejected)
    assert isinstance(outcome.verdict, TLSAlertReceived)
    assert outcome.verdict.alert_received == description
    assert outcome.eap[0] == FAILURE


def alert_of(description: AlertDescription) -> bytes:
    """A record in clear."""
    return bytes((ALERT_RECORD, 3, 3, 0, 2, 2, description))


def test_an_alert_in_place_of_a_hello_is_no_hello() -> None:
    peer = ScriptedPeer(supplicant(), served())
    peer.begin()
    outcome = peer.say(alert_of(AlertDescription.UNKNOWN_CA))
    assert isinstance(outcome, Reply)
    assert tls_of(outcome.eap).data == alert_of(AlertDescription.UNEXPECTED_MESSAGE)
    assert isinstance(peer.fragment(EMPTY), Rejected)


@pytest.mark.parametrize("version", VERSIONS)
def test_et_07_an_alert_in_answer_to_our_last_flight_ends_in_failure(version: str) -> None:
    peer = ScriptedPeer(supplicant(version=version), served())
    peer.begin()
    peer.say(peer.flight())
    judge = peer.say(peer.flight())
    assert isinstance(judge, Judge)
    last = peer.heard(peer.server.settle(evidence(judge.claim)))
    assert isinstance(last, Reply)
    assert peer.server.stage is Stage.PROVEN
    peer.flight()
    peer.tls.shim._connection.send_alert(AlertDescription.ACCESS_DENIED)
    outcome = peer.say(peer.tls.shim._connection.drain())
    assert isinstance(outcome, Rejected)
    assert isinstance(outcome.verdict, TLSAlertReceived)
    assert outcome.verdict.alert_received == AlertDescription.ACCESS_DENIED


@pytest.mark.parametrize("version", VERSIONS)
def test_data_in_answer_to_our_last_flight_admits_nobody(version: str) -> None:
    peer = ScriptedPeer(supplicant(version=version), served())
    peer.begin()
    peer.say(peer.flight())
    judge = peer.say(peer.flight())
    assert isinstance(judge, Judge)
    peer.heard(peer.server.settle(evidence(judge.claim)))
    peer.flight()
    peer.tls.shim.write(b"\x00")
    outcome = peer.say(peer.tls.transport.take())
    assert isinstance(outcome, Rejected)
    assert type(outcome.verdict) is PeerError


def test_data_behind_the_peers_finished_is_refused_before_anybody_is_asked() -> None:
    peer = ScriptedPeer(supplicant(), served())
    peer.begin()
    peer.say(peer.flight())
    flight = peer.flight()
    peer.tls.shim.write(b"early")
    outcome = peer.say(flight + peer.tls.transport.take())
    assert isinstance(outcome, Rejected)
    assert type(outcome.verdict) is PeerError


# --- what a peer makes of it


@pytest.mark.parametrize("version", VERSIONS)
def test_a_failure_is_believed_until_tls_has_said_yes(version: str) -> None:
    """It cannot be protected before; whoever forges one has kept this peer out, and could have jammed it."""
    stages = []
    for step in range(1, 20):
        talk = Conversation(supplicant(version=version), network(), fragment_octets=WHOLE)
        outcome, _ = talk.run(until=lambda made, step=step: len(made.responses) == step)  # type: ignore[misc]
        stages.append(talk.peer.stage)
        heard = talk.peer.receive(bytes((FAILURE, talk.responses[-1][1], 0, 4)))
        if talk.peer.stage is PeerStage.PROVEN:
            assert isinstance(heard, PeerIgnored)
        else:
            assert isinstance(heard, PeerFailed)
            assert type(heard.reason) is PeerError
        if isinstance(outcome, Accepted):
            break
    # TLS 1.2 has no success indication, so that its Failure counts to the end (RFC 9190 section 2.5).
    last = talk.peer.stage
    assert last is (PeerStage.PROVEN if version == "TLSv1.3" else PeerStage.OVER)
    assert stages[-1] is PeerStage.PROVEN
    assert {PeerStage.WAITING, PeerStage.HANDSHAKE} <= set(stages)


def test_a_failure_in_answer_to_nothing_is_dropped() -> None:
    talk = Conversation(supplicant(), network())
    assert isinstance(talk.peer.receive(bytes((FAILURE, 0, 0, 4))), PeerIgnored)
    talk.accepted()


def test_a_failure_with_another_identifier_is_dropped() -> None:
    talk = Conversation(supplicant(), network())
    talk.run(until=lambda made: len(made.responses) == 3)
    said = talk.responses[-1][1]
    for other in (said + 1, said - 1):
        assert isinstance(talk.peer.receive(bytes((FAILURE, other & 0xFF, 0, 4))), PeerIgnored)
    assert talk.peer.stage is PeerStage.HANDSHAKE


@pytest.mark.parametrize("version", VERSIONS)
def test_a_refused_peer_drops_a_forged_success(version: str) -> None:
    """The server's alert counts; what follows in clear cannot make it good."""
    talk = Conversation(supplicant(version=version), network(), judge=refusing(Reason.NO_TLSA))
    talk.run(until=lambda made: made.requests[-1][0] == FAILURE)
    assert talk.peer.stage is PeerStage.FAILING
    success = bytes((EapCode.SUCCESS, talk.responses[-1][1], 0, 4))
    assert isinstance(talk.peer.receive(success), PeerIgnored)
    failed = talk.peer.receive(talk.requests[-1])
    assert isinstance(failed, PeerFailed)
    assert isinstance(failed.reason, TLSAlertReceived)


@pytest.mark.parametrize(
    "junk",
    [b"\x15\x03\x03\x00\x02\x02\x28", b"\x17\x03\x03\x00\x13" + bytes(19)],
    ids=["alert", "data"],
)
def test_a_peer_tells_a_server_that_breaks_tls(junk: bytes) -> None:
    server = ScriptedServer(supplicant(), network())
    server.ask(EapType.TLS, b"\x20")
    outcome = server.say(junk)
    assert isinstance(outcome, PeerReply)
    assert server.peer.stage is PeerStage.FAILING
    said = server.identifier
    assert isinstance(server.ask(EapType.TLS, b"\x00"), PeerIgnored)
    server.identifier = said
    assert isinstance(server.end(EapCode.SUCCESS), PeerIgnored)
    failed = server.end(EapCode.FAILURE)
    assert isinstance(failed, PeerFailed)
    assert isinstance(failed.reason, TLSPeerError)


def test_a_flight_that_ends_within_a_record_is_refused_by_both() -> None:
    server = ScriptedServer(supplicant(), network())
    server.ask(EapType.TLS, b"\x20")
    failed = server.say(b"\x16\x03\x03")
    assert isinstance(failed, PeerFailed)
    assert type(failed.reason) is PeerError
    peer = ScriptedPeer(supplicant(), served())
    peer.begin()
    rejected = peer.say(peer.flight()[:-1])
    assert isinstance(rejected, Rejected)
    assert type(rejected.verdict) is PeerError


def test_an_ignored_packet_leaves_no_trace() -> None:
    server = served()
    assert isinstance(server.receive(b"\x02\x01\x00\x05\x0d"), Ignored)
    assert (server.stage, server.round_trips, server.identity) == (Stage.NEW, 0, b"")
