"""Peers of EAP-TLS that mean harm: what each gets is the exact reason, and what is kept of them is bounded.

Nobody is asked about a peer that has not proved its key, and no packet raises anything.
"""

import tracemalloc
import weakref
from collections.abc import Callable
from typing import Any

import pytest

from dnsbound.edge.context import Context
from dnsbound.edge.eap_connection import served_eap_tls
from dnsbound.errors import DnsboundError, LimitExceeded, Malformed, PeerError, Reason, Refused
from dnsbound.iana import AlertDescription, EapCode, EapType
from dnsbound.limits import EAP_ROUND_TRIPS, EAP_TLS_MESSAGE_OCTETS
from dnsbound.protocols.eap import EapPacket
from dnsbound.protocols.eap_server import Accepted, EapServer, Ignored, Judge, Rejected, Reply, Stage
from dnsbound.protocols.eap_tls_framing import EMPTY, TlsFragment
from dnsbound.tls.errors import TLSAlertReceived, TLSPeerError
from machines.eap_pairs import IDENTITY, VERSIONS, Conversation, network, supplicant
from machines.eap_scripts import WHOLE, ScriptedPeer
from machines.shim_pairs import credential, evidence, refusing


def server(far: Context | None = None, opened: list[Any] | None = None, **options: int) -> EapServer:
    """opened: filled with what TLS was begun."""
    at = far or network()

    def open_tls() -> Any:
        tls = served_eap_tls(at, source="192.0.2.54")
        if opened is not None:
            opened.append(tls)
        return tls

    return EapServer(open_tls, fragment_octets=WHOLE, **options)


def begun(**options: Any) -> ScriptedPeer:
    """A peer that EAP-TLS was offered to."""
    peer = ScriptedPeer(supplicant(), server(**options))
    assert isinstance(peer.begin(), Reply)
    return peer


# --- fragments


def test_a_bomb_of_tiny_fragments_ends_with_the_round_trips() -> None:
    opened: list[Any] = []
    peer = begun(opened=opened)
    total = EAP_TLS_MESSAGE_OCTETS.default
    outcome = peer.fragment(TlsFragment(total=total, more=True, data=b"\x16"))
    sent = 0
    while isinstance(outcome, Reply):
        outcome = peer.fragment(TlsFragment(more=True, data=b"\x00"))
        sent += 1
    assert isinstance(outcome, Rejected)
    assert isinstance(outcome.verdict, LimitExceeded)
    assert outcome.verdict.limit == EAP_ROUND_TRIPS.name
    assert sent < EAP_ROUND_TRIPS.default
    assert opened == [], "no TLS before the message is whole"


def test_a_bomb_of_large_fragments_ends_with_the_message() -> None:
    opened: list[Any] = []
    peer = begun(opened=opened)
    outcome, sent = peer.fragment(TlsFragment(total=EAP_TLS_MESSAGE_OCTETS.default, more=True, data=bytes(4000))), 4000
    while isinstance(outcome, Reply):
        outcome = peer.fragment(TlsFragment(more=True, data=bytes(4000)))
        sent += 4000
    assert isinstance(outcome, Rejected)
    assert type(outcome.verdict) is PeerError
    assert sent <= EAP_TLS_MESSAGE_OCTETS.default + 4000
    assert opened == []


@pytest.mark.parametrize(
    ("fragments", "error"),
    [
        ([b"\xc0\xff\xff\xff\xffx"], LimitExceeded),
        ([b"\x80\x00\x00\x00\x02x"], PeerError),
        ([b"\x80\x00\x00\x00\x00x"], PeerError),
        ([b"\x80\x00\x00\x00\x00"], PeerError),
        ([b"\x40x"], PeerError),
        ([b"\xc0\x00\x00\x00\x05"], PeerError),
        ([b"\xc0\x00\x00\x00\x05abc", b"\xc0\x00\x00\x00\x06def"], PeerError),
        ([b"\xc0\x00\x00\x00\x05abc", b"\x00d"], PeerError),
        ([b"\xc0\x00\x00\x00\x05abc", b"\x00defg"], PeerError),
        ([b"\xc0\x00\x00\x00\x05abc", b"\x00"], PeerError),
        ([b"\x20"], PeerError),
        ([b"\x00"], PeerError),
        ([b""], Malformed),
        ([b"\x80\x00"], Malformed),
    ],
    ids=[
        *("4 GiB", "more announced", "none announced", "empty with length", "unannounced", "empty first"),
        *("growing", "short", "long", "given up", "start", "empty", "no flags", "half a length"),
    ],
)
def test_et_03_lies_about_lengths_end_before_tls_begins(fragments: list[bytes], error: type[DnsboundError]) -> None:
    opened: list[Any] = []
    peer = begun(opened=opened)
    *before, last = fragments
    for data in before:
        assert isinstance(peer.answer(EapType.TLS, data), Reply)
    outcome = peer.answer(EapType.TLS, last)
    assert isinstance(outcome, Rejected)
    assert type(outcome.verdict) is error
    assert outcome.eap == EapPacket(code=EapCode.FAILURE, identifier=peer.identifier).to_wire()
    assert opened == []


def cut(flight: bytes, size: int) -> list[TlsFragment]:
    pieces = [flight[at : at + size] for at in range(0, len(flight), size)]
    return [
        TlsFragment(total=None if at else len(flight), more=at + 1 < len(pieces), data=piece)
        for at, piece in enumerate(pieces)
    ]


def test_reordered_fragments_are_no_hello() -> None:
    """Fragments have no offsets: in another order they are another message."""
    peer = begun()
    fragments = cut(peer.flight(), 200)
    data = [fragment.data for fragment in fragments]
    data[1], data[2] = data[2], data[1]
    outcome: Any = None
    for fragment, octets in zip(fragments, data, strict=True):
        outcome = peer.fragment(TlsFragment(total=fragment.total, more=fragment.more, data=octets))
    assert isinstance(outcome, Reply)
    assert isinstance(peer.server.verdict, TLSPeerError)
    assert isinstance(peer.fragment(EMPTY), Rejected)


def test_overlapping_fragments_are_too_many_octets() -> None:
    peer = begun()
    first, second, *_ = cut(peer.flight(), 200)
    assert isinstance(peer.fragment(first), Reply)
    assert isinstance(peer.fragment(second), Reply)
    outcome: Any = peer.fragment(second)
    while isinstance(outcome, Reply):
        outcome = peer.fragment(second)
    assert isinstance(outcome, Rejected)
    assert type(outcome.verdict) is PeerError


def test_a_fragment_repeated_with_its_identifier_counts_once() -> None:
    peer = begun()
    outcome: Any = None
    for fragment in cut(peer.flight(), 200):
        wire = EapPacket.response(peer.identifier, EapType.TLS, fragment.to_wire()).to_wire()
        outcome = peer.heard(peer.server.receive(wire))
        if fragment.more:
            assert [peer.server.receive(wire) for _ in range(3)] == [outcome] * 3
    assert isinstance(outcome, Reply)
    judge = peer.say(peer.flight())
    assert isinstance(judge, Judge)


def test_data_in_place_of_an_acknowledgement_ends_the_conversation() -> None:
    peer = ScriptedPeer(supplicant(), EapServer(lambda: served_eap_tls(network()), fragment_octets=100))
    peer.begin()
    reply = peer.say(peer.flight())
    assert isinstance(reply, Reply)
    outcome = peer.say(b"\x16\x03\x03\x00\x00")
    assert isinstance(outcome, Rejected)
    assert type(outcome.verdict) is PeerError


# --- what is kept of strangers


def test_an_announced_length_takes_no_memory() -> None:
    """Of 200 conversations that announced all that is allowed and sent an octet of it."""
    far = network()
    announced = TlsFragment(total=EAP_TLS_MESSAGE_OCTETS.default, more=True, data=b"\x16").to_wire()
    kept = []
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        for _ in range(200):
            made = server(far)
            made.receive(EapPacket.response(1, EapType.IDENTITY, IDENTITY).to_wire())
            assert isinstance(made.receive(EapPacket.response(2, EapType.TLS, announced).to_wire()), Reply)
            kept.append(made)
        used = tracemalloc.get_traced_memory()[0] - before
    finally:
        tracemalloc.stop()
    assert used / len(kept) < 8192


@pytest.mark.parametrize("version", VERSIONS)
def test_a_peer_that_stops_anywhere_leaves_nothing(version: str) -> None:
    """Dropping the conversation is enough, at every step: nothing refers to it in a circle."""
    for step in range(1, 9):
        talk = Conversation(supplicant(version=version), network(), fragment_octets=WHOLE)
        talk.run(until=lambda made, step=step: len(made.requests) == step)  # type: ignore[misc]
        gone = weakref.ref(talk.server)
        shims = [] if talk.server._tls is None else [weakref.ref(talk.server._tls.shim)]
        finished = talk.server.stage is Stage.OVER
        talk.server = talk.peer = None  # type: ignore[assignment]
        assert gone() is None
        assert [shim() for shim in shims] == [None] * len(shims)
        if finished:
            break
    assert step > 3


def test_a_conversation_that_is_over_keeps_no_tls() -> None:
    for judge in (evidence, refusing(Reason.NO_TLSA)):
        talk = Conversation(supplicant(), network(), judge=judge)
        talk.run()
        assert talk.server.stage is Stage.OVER
        assert (talk.server._tls, talk.server._outgoing, talk.server._answered) == (None, None, None)


# --- who is asked about


def test_nobody_is_asked_about_a_peer_that_does_not_hold_its_key() -> None:
    """The signature is over another transcript: its flight is of another conversation."""
    near, far = supplicant(), network()
    honest = ScriptedPeer(near, server(far))
    honest.begin()
    honest.say(honest.flight())
    stolen = honest.flight()
    thief = ScriptedPeer(near, server(far))
    thief.begin()
    thief.say(thief.flight())
    outcome = thief.say(stolen)
    assert not isinstance(outcome, Judge)
    assert isinstance(thief.server.verdict, TLSPeerError)


def test_an_identity_that_disagrees_with_the_certificate_gives_nobody_more() -> None:
    """The list holds car54 alone; who says so and shows the key of another is not car54."""

    def listed(claim: Any) -> Any:
        if claim.name.text != "car54._device.cars.example":
            raise Refused(Reason.NOT_PERMITTED)
        return evidence(claim)

    near = supplicant(credential("car77._device.cars.example"))
    talk = Conversation(near, network(), judge=listed, identity=b"car54._device.cars.example")
    rejected, _ = talk.rejected()
    assert isinstance(rejected.verdict, Refused)
    assert rejected.verdict.reason is Reason.NOT_PERMITTED


# --- alerts, successes, failures and noise at every step


def alert_record(description: int) -> bytes:
    return TlsFragment(data=bytes((21, 3, 3, 0, 2, 2, description))).to_wire()


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("description", [AlertDescription.HANDSHAKE_FAILURE, AlertDescription.ACCESS_DENIED])
def test_an_alert_at_any_step_ends_in_failure(description: int, version: str) -> None:
    """In clear: read as what it is until records are sealed, and as a broken record from then on."""
    for step in range(2, 20):
        talk = Conversation(supplicant(version=version), network(), fragment_octets=WHOLE)
        outcome, _ = talk.run(until=lambda made, step=step: len(made.requests) == step)  # type: ignore[misc]
        if not isinstance(outcome, Reply):
            break
        proven = talk.server.stage is Stage.PROVEN
        identifier = talk.requests[-1][1]
        ended = talk.server.receive(EapPacket.response(identifier, EapType.TLS, alert_record(description)).to_wire())
        if isinstance(ended, Reply):
            ended = talk.server.receive(EapPacket.response(ended.eap[1], EapType.TLS, b"\x00").to_wire())
        assert isinstance(ended, Rejected)
        assert isinstance(ended.verdict, TLSPeerError)
        assert isinstance(ended.verdict, TLSAlertReceived) or step == 2 or proven
        assert ended.eap[0] == EapCode.FAILURE
    assert step > 3


NOISE: dict[str, Callable[[int], bytes]] = {
    "success": lambda identifier: bytes((EapCode.SUCCESS, identifier, 0, 4)),
    "failure": lambda identifier: bytes((EapCode.FAILURE, identifier, 0, 4)),
    "request": lambda identifier: EapPacket.request(identifier, EapType.TLS, b"\x20").to_wire(),
    "identity": lambda identifier: EapPacket.response(identifier, EapType.IDENTITY, b"root").to_wire(),
    "another method": lambda identifier: EapPacket.response(identifier, 25, b"\x00").to_wire(),
    "another identifier": lambda identifier: EapPacket.response(identifier + 7 & 0xFF, EapType.TLS, b"\x00").to_wire(),
    "cut": lambda identifier: EapPacket.response(identifier, EapType.TLS, b"\x00").to_wire()[:-1],
    "nothing": lambda _: b"",
}


@pytest.mark.parametrize("noise", NOISE)
def test_noise_beside_a_conversation_changes_nothing(noise: str) -> None:
    """Whoever is near can send such packets; the honest peer gets in, with as many round trips as without."""
    talk = Conversation(supplicant(), network(), fragment_octets=300)
    outcome: Any = talk.server.receive(EapPacket.response(9, EapType.IDENTITY, IDENTITY).to_wire())
    while isinstance(outcome, Reply):
        for _ in range(3):
            assert isinstance(talk.server.receive(NOISE[noise](outcome.eap[1])), Ignored)
        heard = talk.peer.receive(outcome.eap)
        outcome = talk.settled(talk.server.receive(heard.eap))  # type: ignore[union-attr]
    assert isinstance(outcome, Accepted)
    quiet = Conversation(supplicant(), network(), fragment_octets=300)
    quiet.accepted()
    assert talk.server.round_trips + 1 == quiet.server.round_trips


def test_an_earlier_response_is_no_answer_to_a_later_request() -> None:
    """Replay of everything said so far, at every step."""
    talk = Conversation(supplicant(), network(), fragment_octets=300)
    outcome: Any = talk.server.begin()
    said: list[bytes] = []
    while isinstance(outcome, Reply):
        for eap in said[:-1]:
            assert isinstance(talk.server.receive(eap), Ignored)
        heard: Any = talk.peer.receive(outcome.eap)
        said.append(heard.eap)
        outcome = talk.settled(talk.server.receive(heard.eap))
    assert isinstance(outcome, Accepted)
    assert len(said) > 10
