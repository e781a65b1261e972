"""EAP and EAP-TLS for any octets, any cutting and any order: values that go round, and never an exception."""

from contextlib import suppress
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dnsbound.edge.eap_connection import opened_eap_tls, served_eap_tls
from dnsbound.errors import DnsboundError, Malformed
from dnsbound.iana import EapCode, EapType
from dnsbound.protocols.eap import EapPacket, desired_methods, is_nak
from dnsbound.protocols.eap_peer import EapPeer, PeerDone, PeerFailed, PeerIgnored, PeerReply
from dnsbound.protocols.eap_server import Accepted, EapServer, Ignored, Judge, Rejected, Reply
from dnsbound.protocols.eap_tls_framing import Incoming, Outgoing, TlsFragment
from dnsbound.protocols.nai import Nai
from machines.eap_pairs import IDENTITY, Conversation, network, supplicant
from machines.native_pairs import SERVER

OCTETS = st.binary(max_size=300)
FAR, NEAR = network(ticket_lifetime=300), supplicant()
OUTCOMES = (Reply, Accepted, Rejected, Ignored)
PEER_OUTCOMES = (PeerReply, PeerDone, PeerFailed, PeerIgnored)


@settings(deadline=None)
@given(OCTETS)
def test_a_packet_is_read_and_written_or_malformed(octets: bytes) -> None:
    try:
        packet = EapPacket.from_wire(octets)
    except Malformed:
        return
    wire = packet.to_wire()
    assert octets.startswith(wire)
    assert EapPacket.from_wire(wire) == packet
    if is_nak(packet):
        with suppress(Malformed):
            assert desired_methods(packet)


@settings(deadline=None)
@given(st.sampled_from([EapCode.REQUEST, EapCode.RESPONSE]), st.integers(0, 255), st.integers(0, 255), OCTETS, OCTETS)
def test_every_packet_goes_round_with_padding(
    code: EapCode, identifier: int, kind: int, data: bytes, pad: bytes
) -> None:
    packet = EapPacket(code=code, identifier=identifier, type=kind, data=data)
    assert EapPacket.from_wire(packet.to_wire() + pad) == packet


@settings(deadline=None)
@given(OCTETS)
def test_a_fragment_is_read_and_written_but_for_reserved_flags(octets: bytes) -> None:
    try:
        fragment = TlsFragment.from_wire(octets)
    except Malformed:
        return
    assert fragment.to_wire() == bytes((octets[0] & 0xE0,)) + octets[1:]
    assert TlsFragment.from_wire(fragment.to_wire()) == fragment


@settings(deadline=None)
@given(OCTETS)
def test_a_nai_goes_round_or_is_malformed(octets: bytes) -> None:
    try:
        nai = Nai.parse(octets)
    except Malformed:
        return
    assert nai.to_wire() == octets
    assert nai.user or nai.realm
    assert "@" not in nai.user + nai.realm


@settings(deadline=None)
@given(st.lists(st.binary(min_size=1, max_size=2000), min_size=1, max_size=4), st.integers(100, 3000))
def test_messages_come_through_in_packets_of_any_size(messages: list[bytes], packet_octets: int) -> None:
    incoming = Incoming()
    for message in messages:
        outgoing = Outgoing(message, packet_octets=packet_octets)
        came = None
        while not outgoing.is_done:
            assert came is None
            came = incoming.take(TlsFragment.from_wire(outgoing.take().to_wire()))
        assert came == message


@settings(deadline=None)
@given(st.binary(min_size=1, max_size=400), st.data())
def test_messages_come_through_however_they_are_cut(message: bytes, data: st.DataObject) -> None:
    """Fragments of uneven size, of which some say the length again."""
    places = sorted(data.draw(st.sets(st.integers(1, max(len(message) - 1, 1)), max_size=8)) - {len(message)})
    bounds = [0, *places, len(message)]
    incoming, came = Incoming(), None
    for start, end in pairwise(bounds):
        more = end < len(message)
        told = (start == 0 and more) or data.draw(st.booleans())
        fragment = TlsFragment(total=len(message) if told else None, more=more, data=message[start:end])
        came = incoming.take(fragment)
        assert (came is None) == more
    assert came == message


@settings(deadline=None)
@given(
    st.lists(
        st.builds(
            TlsFragment,
            total=st.none() | st.integers(0, 2**32 - 1),
            more=st.booleans(),
            start=st.booleans(),
            data=OCTETS,
        ),
        max_size=12,
    )
)
def test_whatever_is_taken_was_sent_in_that_order(fragments: list[TlsFragment]) -> None:
    incoming, sent = Incoming(), b""
    for fragment in fragments:
        sent += fragment.data
        try:
            message = incoming.take(fragment)
        except DnsboundError:
            return
        if message is not None:
            assert message == sent
            sent = b""


@settings(max_examples=25, deadline=None)
@given(st.integers(100, 1400), st.integers(100, 1400))
def test_both_ends_agree_whatever_their_sizes(servers: int, peers: int) -> None:
    talk = Conversation(NEAR, FAR)
    talk.server = EapServer(lambda: served_eap_tls(FAR), fragment_octets=servers)
    talk.peer = EapPeer(IDENTITY, lambda: opened_eap_tls(NEAR, SERVER), fragment_octets=peers)
    accepted, done = talk.accepted()
    assert accepted.keys == done.keys
    assert max(map(len, talk.requests)) <= servers
    assert max(map(len, talk.responses)) <= peers


HOSTILE = st.one_of(
    OCTETS,
    st.builds(lambda data: TlsFragment(data=data).to_wire(), OCTETS),
    st.builds(
        lambda total, data: TlsFragment(total=total, more=True, data=data).to_wire(), st.integers(0, 70_000), OCTETS
    ),
)


@settings(max_examples=100, deadline=None)
@given(
    st.integers(0, 6),
    st.lists(st.tuples(st.integers(0, 255) | st.none(), st.integers(0, 255) | st.just(13), HOSTILE), max_size=6),
)
def test_a_server_survives_anything_at_any_step(step: int, packets: list[tuple[int | None, int, bytes]]) -> None:
    """None of it is a yes: a peer is accepted by its honest flights alone, which are complete before."""
    talk = Conversation(NEAR, FAR, fragment_octets=1400)
    outcome: Any = talk.server.begin()
    for _ in range(step):
        heard = talk.peer.receive(outcome.eap)
        if not isinstance(heard, PeerReply):
            break
        outcome = talk.settled(talk.server.receive(heard.eap))
    honest = talk.server.stage.value in {"proven", "over"}
    last = getattr(outcome, "eap", b"\x00\x00")[1]
    for identifier, kind, data in packets:
        chosen = last if identifier is None else identifier
        answer = talk.server.receive(EapPacket.response(chosen, kind, data).to_wire())
        assert isinstance(answer, (*OUTCOMES, Judge))
        assert honest or not isinstance(answer, Accepted | Judge)
        last = answer.eap[1] if isinstance(answer, Reply) else last


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 6), st.lists(st.tuples(st.sampled_from([1, 3, 4]), st.integers(0, 255), HOSTILE), max_size=6))
def test_a_peer_survives_anything_at_any_step(step: int, packets: list[tuple[int, int, bytes]]) -> None:
    talk = Conversation(NEAR, FAR, fragment_octets=1400)
    outcome: Any = talk.server.begin()
    for _ in range(step):
        heard = talk.peer.receive(outcome.eap)
        if not isinstance(heard, PeerReply):
            break
        outcome = talk.settled(talk.server.receive(heard.eap))
    proven = talk.peer.stage.value in {"proven", "over"}
    for code, identifier, data in packets:
        if code == EapCode.REQUEST:
            answer = talk.peer.receive(EapPacket.request(identifier, EapType.TLS, data).to_wire())
        else:
            answer = talk.peer.receive(EapPacket(code=EapCode(code), identifier=identifier).to_wire())
        assert isinstance(answer, PEER_OUTCOMES)
        assert proven or not isinstance(answer, PeerDone)


@pytest.mark.parametrize("side", ["server", "peer"])
@settings(max_examples=200, deadline=None)
@given(octets=OCTETS)
def test_plain_noise_is_dropped_by(side: str, octets: bytes) -> None:
    talk = Conversation(NEAR, FAR)
    if side == "server":
        assert isinstance(talk.server.receive(octets), OUTCOMES)
    else:
        assert isinstance(talk.peer.receive(octets), PEER_OUTCOMES)
