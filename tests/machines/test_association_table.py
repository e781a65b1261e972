"""A datagram server's table: who is known, how many, for how long; cookies before anything is kept."""

import os
import ssl
from typing import Any

import pytest

from dnsbound.edge.association_table import DatagramLimits, Served
from dnsbound.edge.context_datagram import Datagrams
from dnsbound.edge.cookie_keys import CookieKeys
from dnsbound.edge.datagram_acceptor import DatagramAcceptor
from dnsbound.edge.handshake_slots import HandshakeOutcome
from dnsbound.edge.spent_hellos import SpentHellos
from dnsbound.errors import Misuse, Reason, Refused
from dnsbound.tls.association import Phase
from dnsbound.tls.errors import TLSMisuse
from dnsbound.verify.claim import Claim
from machines.association_pairs import (
    HERE,
    Keeper,
    begin,
    carry,
    datagram_client,
    datagram_door,
    let_time_pass,
    met,
    table,
)
from machines.native_pairs import SERVER
from machines.shim_pairs import client, credential, door, evidence

THERE = ("192.0.2.55", 4711)
ELSEWHERE = ("198.51.100.7", 4711)


def test_an_unknown_address_gets_less_than_it_sent_and_is_not_kept() -> None:
    far = table()
    (first,) = begin().take()
    far.table.receive(first, HERE, far.now)
    ((answer, address),) = far.sent
    assert address == HERE
    assert len(answer) < len(first)
    assert len(far.table) == 0
    far.sent.clear()
    for datagram in (b"", os.urandom(100), b"\x17" + first[1:], first[:40]):
        far.table.receive(datagram, HERE, far.now)
    assert far.sent == []
    assert len(far.table) == 0


def test_a_cookie_is_no_use_to_another_address() -> None:
    far = table()
    near = begin()
    far.table.receive(near.take()[0], HERE, far.now)
    near.receive(far.taken()[0])
    (second,) = near.take()
    far.table.receive(second, THERE, far.now)
    assert len(far.table) == 0
    far.table.receive(second, HERE, far.now)
    assert len(far.table) == 1


def test_cookie_keys_change_and_the_last_one_still_verifies() -> None:
    made = [bytes((number,)) * 32 for number in range(9)]
    keys = CookieKeys(seconds=60, make=iter(made).__next__)
    assert keys.at(100.0) == (made[0],)
    assert keys.at(159.9) == (made[0],)
    assert keys.at(160.0) == (made[1], made[0])
    assert keys.at(219.0) == (made[1], made[0])
    assert keys.at(220.0) == (made[2], made[1])
    # Both have had their time when nobody asked for so long.
    assert keys.at(340.0) == (made[3],)


def test_an_old_cookie_opens_nothing() -> None:
    """OpenSSL's client does not heed a second HelloVerifyRequest: it gives up in the end, and begins again."""
    far = table()
    near = begin()
    far.table.receive(near.take()[0], HERE, far.now)
    near.receive(far.taken()[0])
    (second,) = near.take()
    far.now += 300
    far.table.receive(second, HERE, far.now)
    assert len(far.table) == 0
    assert len(far.taken()) == 1
    met(far)


@pytest.mark.parametrize(
    "bounds", [DatagramLimits(associations=1), DatagramLimits(associations_per_source=1)], ids=["all", "source"]
)
def test_a_full_table_answers_nobody_new(bounds: DatagramLimits) -> None:
    far = table(bounds=bounds)
    met(far)
    (first,) = begin().take()
    far.table.receive(first, THERE, far.now)
    assert far.taken(THERE) == []
    assert far.table.turned_away == 1
    far.table.receive(first, ELSEWHERE, far.now)
    assert len(far.taken(ELSEWHERE)) == (0 if bounds.associations == 1 else 1)


def test_unfinished_handshakes_of_one_source_are_limited() -> None:
    far = table(datagram_door(handshakes_per_source=1), judge=None)
    near = begin()
    carry(near, far)
    (first,) = begin().take()
    far.table.receive(first, THERE, far.now)
    assert far.taken(THERE) == []
    ((served, claim),) = far.judging
    far.table.settle(served, evidence(claim), far.now)
    far.table.receive(first, THERE, far.now)
    assert len(far.taken(THERE)) == 1


def test_a_client_that_begins_again_needs_no_second_slot() -> None:
    context = datagram_door(handshakes_per_source=1)
    far = table(context, judge=None)
    carry(begin(), far)
    again = begin()
    carry(again, far)
    assert len(far.table) == context.handshake_slots.unfinished == 1
    (_, (served, claim)) = far.judging
    far.table.settle(served, evidence(claim), far.now)
    carry(again, far)
    assert again.phase is Phase.OPEN
    assert context.handshake_slots.unfinished == 0
    counts = context.handshake_slots.counts()
    assert (counts[HandshakeOutcome.GONE], counts[HandshakeOutcome.ADMITTED]) == (1, 1)


def test_unfinished_handshakes_are_limited_and_counted() -> None:
    context = datagram_door(handshakes_at_once=1)
    far = table(context, judge=None)
    near, other = begin(), begin()
    carry(near, far)
    assert context.handshake_slots.unfinished == 1
    carry(other, far, ELSEWHERE)
    assert len(far.table) == 1
    assert context.handshake_slots.counts()[HandshakeOutcome.TURNED_AWAY] >= 1
    ((served, claim),) = far.judging
    far.table.settle(served, evidence(claim), far.now)
    assert context.handshake_slots.unfinished == 0
    assert context.handshake_slots.counts()[HandshakeOutcome.ADMITTED] == 1
    let_time_pass(other)
    carry(other, far, ELSEWHERE)
    assert len(far.judging) == 2


def test_an_idle_association_is_closed() -> None:
    far = table(bounds=DatagramLimits(idle_seconds=100))
    near, served = met(far)
    far.now += 60
    near.send(b"still here")
    carry(near, far)
    far.now += 60
    far.table.run_due(far.now)
    assert served.association.phase is Phase.OPEN
    assert far.table.next_due() == 1000.0 + 60 + 100
    far.now += 60
    far.table.run_due(far.now)
    assert served.association.phase is Phase.CLOSED
    assert len(far.table) == 0
    assert far.table.next_due() is None
    assert far.gone == [served]
    carry(near, far)
    assert (near.phase, near.error) == (Phase.CLOSED, None)


def test_a_host_that_cannot_serve_a_client_hears_no_more_of_it() -> None:
    """Even where the first message came with the flight that opened the association."""

    class Full(Keeper):
        def opened(self, served: Served, claim: Claim | None) -> None:
            super().opened(served, claim)
            served.association._messages.append(b"early")
            self.table.drop(served, self.now)

    far = Full()
    far.table = table().table
    far.table._host = far
    carry(begin(), far)
    assert far.gone == far.open
    assert len(far.gone) == 1
    assert (far.arrivals, len(far.table)) == (0, 0)


def test_what_anybody_can_send_keeps_nothing_alive() -> None:
    far = table(bounds=DatagramLimits(idle_seconds=100))
    near, served = met(far)
    near.send(b"x")
    (whole,) = near.take()
    for forged in (whole[:-1] + bytes((whole[-1] ^ 1,)), b"\x16" * 40, whole[:20], b""):
        far.now += 30
        far.table.receive(forged, HERE, far.now)
    far.table.run_due(far.now)
    assert served.association.phase is Phase.CLOSED
    assert far.gone == [served]


def test_no_verdict_in_time_is_a_refusal() -> None:
    context = datagram_door(handshake_seconds=5)
    far = table(context, judge=None)
    near = begin()
    carry(near, far)
    far.now += 5
    far.table.run_due(far.now)
    carry(near, far)
    assert near.phase is Phase.CLOSED
    assert near.error is not None
    ((served, claim),) = far.judging
    far.table.settle(served, evidence(claim), far.now)
    assert served.association.phase is Phase.REFUSED
    assert context.handshake_slots.counts()[HandshakeOutcome.TIMED_OUT] == 1
    far.now += 60
    far.table.run_due(far.now)
    assert len(far.table) == 0


def test_a_client_that_vanishes_in_the_handshake_is_forgotten() -> None:
    context = datagram_door(handshake_seconds=5)
    far = table(context)
    near = begin()
    far.table.receive(near.take()[0], HERE, far.now)
    near.receive(far.taken()[0])
    far.table.receive(near.take()[0], HERE, far.now)
    assert len(far.table) == 1
    assert far.table.next_due() is not None
    far.now += 5
    far.table.run_due(far.now)
    assert len(far.table) == 0
    assert context.handshake_slots.unfinished == 0


def test_a_hello_begins_one_association() -> None:
    """Whoever has seen a verified hello, or a network that delivers it twice, ends nothing with it, and its server does
    not answer it again."""
    far = table()
    early = begin()
    far.table.receive(early.take()[0], HERE, far.now)
    early.receive(far.taken()[0])
    (verified,) = early.take()
    far.table.receive(verified, HERE, far.now)
    assert far.taken() != []
    near, served = met(far)
    far.now += 100
    far.table.receive(verified, HERE, far.now)
    assert far.taken() == []
    assert served.association.phase is Phase.OPEN
    near.send(b"still here")
    carry(near, far)
    assert served.association.next_message() == b"still here"
    far.table.drop(served, far.now)
    far.taken()
    far.table.receive(verified, HERE, far.now)
    assert (far.taken(), len(far.table)) == ([], 0)
    far.table.receive(verified, THERE, far.now)
    assert len(far.taken(THERE)) == 1, "at another address it is a hello like any other, and its cookie is none"
    # Once its cookie is old, it is a new client's.
    far.now += 200
    far.table.receive(verified, HERE, far.now)
    assert (len(far.taken()), len(far.table)) == (1, 0)


def test_spent_hellos_are_forgotten_with_their_cookies_and_have_a_limit() -> None:
    spent = SpentHellos(seconds=120.0, most=2)
    spent.add(HERE, b"a", now=0.0)
    assert spent.holds(HERE, b"a", now=119.0)
    assert not spent.holds(HERE, b"a", now=120.0)
    assert not spent.holds(THERE, b"a", now=1.0)
    spent.add(HERE, b"b", now=100.0)
    spent.add(HERE, b"c", now=101.0)
    assert (len(spent), spent.holds(HERE, b"a", now=101.0), spent.holds(HERE, b"b", now=101.0)) == (2, False, True)
    spent.add(HERE, b"d", now=500.0)
    assert len(spent) == 1


def test_a_client_that_begins_again_replaces_its_association_after_the_cookie() -> None:
    far = table()
    _, before = met(far)
    again = begin()
    (first,) = again.take()
    far.table.receive(first, HERE, far.now)
    assert before.association.phase is Phase.OPEN
    again.receive(far.taken()[0])
    carry(again, far)
    assert again.phase is Phase.OPEN
    assert before.association.phase is Phase.CLOSED
    assert far.gone == [before]
    assert len(far.table) == 1


def test_a_repeated_hello_of_an_open_association_changes_nothing() -> None:
    far = table()
    near = begin()
    far.table.receive(near.take()[0], HERE, far.now)
    near.receive(far.taken()[0])
    (second,) = near.take()
    far.table.receive(second, HERE, far.now)
    for answer in far.taken():
        near.receive(answer)
    carry(near, far)
    (served,) = far.open
    far.table.receive(second, HERE, far.now)
    assert served.association.phase is Phase.OPEN
    near.send(b"x")
    carry(near, far)
    assert served.association.next_message() == b"x"


def test_a_known_address_says_nothing_for_another_one() -> None:
    """A client whose address changes is unknown: DTLS 1.2 here has no connection ids."""
    far = table()
    near, served = met(far)
    near.send(b"moved")
    for datagram in near.take():
        far.table.receive(datagram, THERE, far.now)
    assert served.association.next_message() is None
    assert far.taken(THERE) == []


def test_plans_of_the_dead_do_not_pile_up() -> None:
    far = table(judge=lambda _claim: Refused(Reason.NO_TLSA))
    for port in range(1, 90):
        near = begin()
        carry(near, far, ("192.0.2.9", port))
        far.table.drop(far.judging[-1][0], far.now)
    assert len(far.table) == 0
    assert len(far.table._due) <= 130


def test_limits_have_ranges() -> None:
    for wrong in ({"associations": 0}, {"idle_seconds": 0}, {"queue": 0}):
        with pytest.raises(Misuse):
            DatagramLimits(**wrong)
    for wrong in ({"octets": 100}, {"retransmit_first": 1}, {"retransmit_longest": 10**6}):
        with pytest.raises(Misuse):
            Datagrams(**wrong)
    with pytest.raises(TLSMisuse, match="no later"):
        Datagrams(retransmit_first=2000, retransmit_longest=1000)
    with pytest.raises(TLSMisuse, match="constrained"):
        Datagrams(danger_ccm_8=True)


def test_what_a_context_for_datagrams_does_not_take() -> None:
    constrained = datagram_client(datagram=Datagrams(constrained=True))
    plain = datagram_client()
    plain.set_ciphers("ECDHE-ECDSA-AES128-GCM-SHA256")
    calls: list[Any] = [
        lambda: constrained.set_ciphers("ECDHE-ECDSA-AES128-GCM-SHA256"),
        lambda: constrained.set_groups("P-256"),
        lambda: setattr(plain, "minimum_version", ssl.TLSVersion.TLSv1_3),
        lambda: setattr(plain, "maximum_version", ssl.TLSVersion.TLSv1_2),
        lambda: plain.wrap_bio(ssl.MemoryBIO(), ssl.MemoryBIO(), server_hostname=SERVER),
        lambda: datagram_door().accept(ssl.MemoryBIO(), ssl.MemoryBIO()),
        lambda: datagram_door(ticket_lifetime=60).engine_config(),
        lambda: datagram_door(profiles=["ca13"]),
        lambda: datagram_door(policy="optional", ask="signalled"),
        lambda: client(credential(), datagram=True),
    ]
    for call in calls:
        with pytest.raises(TLSMisuse):
            call()


def test_streams_and_datagrams_have_contexts_of_their_own() -> None:
    with pytest.raises(Misuse, match="datagram"):
        DatagramAcceptor(door())
    with pytest.raises(Misuse, match="datagram"):
        begin(client())
    with pytest.raises(Misuse, match="datagram"):
        DatagramAcceptor(datagram_client())


@pytest.mark.parametrize("danger", [False, True])
def test_constrained_suites(danger: bool) -> None:
    constrained = Datagrams(constrained=True, danger_ccm_8=danger)
    far = table(datagram_door(datagram=constrained))
    near = begin(datagram_client(datagram=constrained))
    carry(near, far)
    cipher = near.shim.cipher()
    assert cipher is not None
    assert cipher[0] == ("ECDHE-ECDSA-AES128-CCM8" if danger else "ECDHE-ECDSA-AES128-CCM")
    assert near.shim.group() == "x25519"
    assert near.phase is Phase.OPEN
    # The two do not meet, and an ordinary end meets neither by accident with less than it asks for.
    other = begin(datagram_client(datagram=Datagrams(constrained=True, danger_ccm_8=not danger)))
    carry(other, far, THERE)
    assert other.phase is Phase.CLOSED
