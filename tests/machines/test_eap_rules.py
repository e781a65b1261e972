"""The rules of EAP between a server and a peer: what is answered, what is repeated, what is dropped (RFC 3748)."""

import pytest

from dnsbound.errors import LimitExceeded, Malformed, PeerError
from dnsbound.iana import EapCode, EapType
from dnsbound.limits import EAP_IDENTITY_OCTETS, EAP_ROUND_TRIPS
from dnsbound.protocols.eap import EapPacket
from dnsbound.protocols.eap_peer import PeerDone, PeerFailed, PeerIgnored, PeerReply, PeerStage
from dnsbound.protocols.eap_server import Accepted, Ignored, Judge, Rejected, Reply, Stage
from dnsbound.protocols.eap_tls_framing import BEGIN
from machines.eap_pairs import IDENTITY, VERSIONS, Conversation, network, supplicant
from machines.eap_scripts import ScriptedServer

SUCCESS, FAILURE = EapCode.SUCCESS, EapCode.FAILURE


def fresh(version: str = "TLSv1.3") -> Conversation:
    return Conversation(supplicant(version=version), network(), fragment_octets=300)


def numbered(eap: bytes, identifier: int) -> bytes:
    return bytes((eap[0], identifier & 0xFF)) + eap[2:]


def test_eap_03_a_response_with_another_identifier_is_dropped() -> None:
    """At every step of an honest conversation, which goes on as if nothing had come."""
    talk = fresh()
    outcome, before, steps = talk.server.begin(), b"", 0
    while isinstance(outcome, Reply):
        heard = talk.peer.receive(outcome.eap)
        assert isinstance(heard, PeerReply)
        for other in (1, 2, 128, 255):
            moved = numbered(heard.eap, heard.eap[1] + other)
            assert moved == before or isinstance(talk.server.receive(moved), Ignored)
        before = heard.eap
        outcome = talk.settled(talk.server.receive(heard.eap))
        steps += 1
    assert isinstance(outcome, Accepted)
    assert steps > 10


def test_eap_04_a_repeated_response_gets_the_request_again() -> None:
    """The access server repeats when our request was lost; nothing is done twice."""
    talk = fresh()
    outcome = talk.server.begin()
    while isinstance(outcome, Reply):
        heard = talk.peer.receive(outcome.eap)
        assert isinstance(heard, PeerReply)
        outcome = talk.settled(talk.server.receive(heard.eap))
        if isinstance(outcome, Reply):
            trips = talk.server.round_trips
            assert [talk.server.receive(heard.eap) for _ in range(3)] == [outcome] * 3
            assert talk.server.round_trips == trips
    assert isinstance(outcome, Accepted)


def test_eap_04_a_repeated_request_gets_the_response_again() -> None:
    talk = fresh()
    outcome = talk.server.begin()
    while isinstance(outcome, Reply):
        heard = talk.peer.receive(outcome.eap)
        assert isinstance(heard, PeerReply)
        assert [talk.peer.receive(outcome.eap) for _ in range(3)] == [heard] * 3
        outcome = talk.settled(talk.server.receive(heard.eap))
    assert isinstance(outcome, Accepted)
    assert isinstance(talk.peer.receive(outcome.eap), PeerDone)


def test_eap_04_another_request_with_the_same_identifier_is_dropped() -> None:
    talk = fresh()
    asked = talk.server.begin().eap
    assert isinstance(talk.peer.receive(asked), PeerReply)
    other = EapPacket.request(asked[1], EapType.TLS, BEGIN.to_wire()).to_wire()
    assert isinstance(talk.peer.receive(other), PeerIgnored)
    assert talk.peer.stage is PeerStage.WAITING


def test_a_repeated_response_while_the_verdict_is_awaited_is_dropped() -> None:
    talk = fresh()
    outcome = talk.server.begin()
    while True:
        heard = talk.peer.receive(outcome.eap)
        assert isinstance(heard, PeerReply)
        judged = talk.server.receive(heard.eap)
        if isinstance(judged, Judge):
            break
        assert isinstance(judged, Reply)
        outcome = judged
    assert isinstance(talk.server.receive(heard.eap), Ignored)
    assert isinstance(talk.settled(judged), Reply)


@pytest.mark.parametrize("version", VERSIONS)
def test_eap_07_success_before_its_time_is_dropped(version: str) -> None:
    """After every request of an honest server; the conversation ends as it should, and not before."""
    talk = fresh(version)
    outcome, steps = talk.server.begin(), 0
    while isinstance(outcome, Reply):
        for identifier in (outcome.eap[1], outcome.eap[1] - 1, outcome.eap[1] + 1):
            assert isinstance(talk.peer.receive(bytes((SUCCESS, identifier & 0xFF, 0, 4))), PeerIgnored)
        heard = talk.peer.receive(outcome.eap)
        assert isinstance(heard, PeerReply)
        if talk.peer.stage is not PeerStage.PROVEN:
            assert isinstance(talk.peer.receive(bytes((SUCCESS, outcome.eap[1], 0, 4))), PeerIgnored)
        outcome = talk.settled(talk.server.receive(heard.eap))
        steps += 1
    assert isinstance(outcome, Accepted)
    assert isinstance(talk.peer.receive(numbered(outcome.eap, outcome.eap[1] + 1)), PeerIgnored)
    assert isinstance(talk.peer.receive(outcome.eap), PeerDone)
    assert steps > 7


def test_eap_07_the_server_ends_no_conversation_by_a_packet_that_is_no_response() -> None:
    talk = fresh()
    outcome = talk.server.begin()
    while isinstance(outcome, Reply):
        for code in (EapCode.SUCCESS, EapCode.FAILURE):
            assert isinstance(talk.server.receive(bytes((code, outcome.eap[1], 0, 4))), Ignored)
        assert isinstance(talk.server.receive(outcome.eap), Ignored)
        heard = talk.peer.receive(outcome.eap)
        assert isinstance(heard, PeerReply)
        assert isinstance(talk.peer.receive(heard.eap), PeerIgnored)
        outcome = talk.settled(talk.server.receive(heard.eap))
    assert isinstance(outcome, Accepted)


def test_eap_08_the_access_server_may_have_asked_already() -> None:
    """It then sends the identity with an identifier of its own (RFC 3579 section 2.1)."""
    talk = fresh()
    outcome = talk.server.receive(EapPacket.response(200, EapType.IDENTITY, IDENTITY).to_wire())
    assert isinstance(outcome, Reply)
    assert EapPacket.from_wire(outcome.eap) == EapPacket.request(201, EapType.TLS, BEGIN.to_wire())
    assert talk.server.identity == IDENTITY


def test_eap_08_the_identity_is_said_again_before_the_method_and_never_within() -> None:
    talk = fresh()
    for identifier in (9, 4):
        heard = talk.peer.receive(EapPacket.request(identifier, EapType.IDENTITY).to_wire())
        assert heard == PeerReply(eap=EapPacket.response(identifier, EapType.IDENTITY, IDENTITY).to_wire())
    assert isinstance(talk.peer.receive(EapPacket.request(5, EapType.TLS, BEGIN.to_wire()).to_wire()), PeerReply)
    assert isinstance(talk.peer.receive(EapPacket.request(6, EapType.IDENTITY).to_wire()), PeerIgnored)


def test_an_identity_that_fits_no_user_name_is_refused() -> None:
    talk = fresh()
    fits = EapPacket.response(1, EapType.IDENTITY, b"x" * EAP_IDENTITY_OCTETS.default)
    assert isinstance(talk.server.receive(fits.to_wire()), Reply)
    outcome = fresh().server.receive(EapPacket.response(1, EapType.IDENTITY, b"x" * 254).to_wire())
    assert isinstance(outcome, Rejected)
    assert isinstance(outcome.verdict, LimitExceeded)
    assert outcome.verdict.limit == EAP_IDENTITY_OCTETS.name
    assert outcome.eap == bytes((FAILURE, 1, 0, 4))


def test_eap_09_a_notification_is_answered_and_changes_nothing() -> None:
    talk = fresh()
    outcome, identifier = talk.server.begin(), 100
    while isinstance(outcome, Reply):
        heard = talk.peer.receive(outcome.eap)
        assert isinstance(heard, PeerReply)
        identifier += 1
        note = talk.peer.receive(EapPacket.request(identifier, EapType.NOTIFICATION, b"soon \xff").to_wire())
        assert isinstance(note, PeerReply)
        assert note.eap == EapPacket.response(identifier, EapType.NOTIFICATION).to_wire()
        assert note.notification == "soon \ufffd"
        assert isinstance(talk.server.receive(numbered(note.eap, heard.eap[1])), Ignored)
        outcome = talk.settled(talk.server.receive(heard.eap))
    assert isinstance(outcome, Accepted)


@pytest.mark.parametrize(
    ("kind", "data", "error"),
    [
        (EapType.NAK, b"\x19", PeerError),
        (EapType.NAK, b"\x00", PeerError),
        (EapType.NAK, b"", Malformed),
        (EapType.EXPANDED, bytes((0, 0, 0, 0, 0, 0, 3, 254, 0, 0, 0, 0, 0, 0, 25)), PeerError),
        (EapType.EXPANDED, bytes((0, 0, 0, 0, 0, 0, 3)), Malformed),
    ],
    ids=["legacy", "nothing suits", "empty", "expanded", "empty expanded"],
)
def test_eap_10_one_nak_ends_in_failure(kind: int, data: bytes, error: type[Exception]) -> None:
    """EAP-TLS is the only method, so there is nothing else to offer."""
    talk = fresh()
    talk.server.receive(EapPacket.response(1, EapType.IDENTITY, IDENTITY).to_wire())
    nak = EapPacket.response(2, kind, data).to_wire()
    outcome = talk.server.receive(nak)
    assert isinstance(outcome, Rejected)
    assert type(outcome.verdict) is error
    assert outcome.eap == bytes((FAILURE, 2, 0, 4))
    assert isinstance(talk.server.receive(nak), Ignored)
    assert talk.server.stage is Stage.OVER


def test_eap_10_a_nak_within_the_method_is_dropped() -> None:
    talk = fresh()
    talk.run(until=lambda made: len(made.requests) == 3)
    nak = EapPacket.response(talk.requests[-1][1], EapType.NAK, b"\x19").to_wire()
    assert isinstance(talk.server.receive(nak), Ignored)
    assert talk.server.stage is Stage.HANDSHAKE


@pytest.mark.parametrize("kind", [4, 21, 25, 52])
def test_eap_10_the_peer_says_what_it_speaks(kind: int) -> None:
    talk = fresh()
    heard = talk.peer.receive(EapPacket.request(3, kind, b"\x20").to_wire())
    assert heard == PeerReply(eap=bytes((2, 3, 0, 6, EapType.NAK, EapType.TLS)))
    assert isinstance(talk.peer.receive(EapPacket.request(4, EapType.TLS, BEGIN.to_wire()).to_wire()), PeerReply)


def test_eap_11_the_peer_answers_expanded_types_in_kind() -> None:
    heard = fresh().peer.receive(EapPacket.request(3, EapType.EXPANDED, bytes((0, 0x37, 0x2A, 0, 0, 0, 1))).to_wire())
    assert isinstance(heard, PeerReply)
    answer = EapPacket.from_wire(heard.eap)
    assert (answer.type, answer.data) == (EapType.EXPANDED, bytes((0, 0, 0, 0, 0, 0, 3, 254, 0, 0, 0, 0, 0, 0, 13)))


@pytest.mark.parametrize("kind", [EapType.IDENTITY, 4, 25, EapType.EXPANDED])
def test_eap_12_no_second_method(kind: int) -> None:
    """Neither end leaves EAP-TLS once it has begun."""
    talk = fresh()
    talk.run(until=lambda made: len(made.requests) == 4)
    identifier = talk.requests[-1][1]
    assert isinstance(talk.peer.receive(EapPacket.request(identifier, kind, b"").to_wire()), PeerIgnored)
    assert isinstance(talk.server.receive(EapPacket.response(identifier, kind, b"").to_wire()), Ignored)
    outcome = talk.peer.receive(talk.requests[-1])
    assert isinstance(outcome, PeerReply)
    assert isinstance(talk.server.receive(outcome.eap), Reply)


def test_nothing_is_said_to_what_is_malformed() -> None:
    talk = fresh()
    for octets in (b"", b"\x02", b"\x02\x01\x00\x03", b"\x09\x01\x00\x05\x01", b"\x02\x01\x00\x04"):
        assert isinstance(talk.server.receive(octets), Ignored)
        assert isinstance(talk.peer.receive(octets), PeerIgnored)
    talk.accepted()


def test_a_conversation_that_is_over_hears_nothing_more() -> None:
    talk = fresh()
    accepted, _ = talk.accepted()
    for eap in talk.responses:
        assert isinstance(talk.server.receive(eap), Ignored)
    for eap in [*talk.requests, accepted.eap]:
        assert isinstance(talk.peer.receive(eap), PeerIgnored)


def test_a_conversation_has_so_many_round_trips_and_no_more() -> None:
    """Whose server or whose peer makes them is the same."""
    talk = Conversation(supplicant(), network(), fragment_octets=100, options={"round_trips": 20})
    outcome, heard = talk.run()
    errors = [outcome.verdict] if isinstance(outcome, Rejected) else []
    errors += [heard.reason] if isinstance(heard, PeerFailed) else []
    assert [error.limit for error in errors if isinstance(error, LimitExceeded)] == [EAP_ROUND_TRIPS.name] * len(errors)
    assert errors
    server = ScriptedServer(supplicant(), network())
    for _ in range(EAP_ROUND_TRIPS.default):
        assert isinstance(server.ask(EapType.IDENTITY) if server.identifier < 255 else again(server), PeerReply)
    assert isinstance(again(server), PeerFailed)


def again(server: ScriptedServer) -> object:
    """Identifiers begin again after 255."""
    server.identifier = (server.identifier + 1) % 256
    return server.peer.receive(EapPacket.request(server.identifier, EapType.IDENTITY).to_wire())
