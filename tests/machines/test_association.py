"""One DTLS association without any input or output: phases, messages, verdicts, ends."""

import itertools

import pytest

from dnsbound.errors import LimitExceeded, Misuse, Reason, Refused, Undecided
from dnsbound.tls.association import TRANSITIONS, Phase
from dnsbound.tls.errors import TLSAlertReceived, TLSMisuse, TLSRefused
from dnsbound.tls.server_shim import Authentication
from machines.association_pairs import (
    HERE,
    begin,
    carry,
    datagram_client,
    datagram_door,
    let_time_pass,
    met,
    table,
)
from machines.shim_pairs import NAME, Doorkeeper, client, credential, evidence


def test_the_table_of_phases_is_total() -> None:
    assert set(TRANSITIONS) == set(Phase)
    assert all(following <= set(Phase) for following in TRANSITIONS.values())


@pytest.mark.parametrize(("before", "after"), list(itertools.product(Phase, Phase)))
def test_a_phase_leads_only_where_the_table_says(before: Phase, after: Phase) -> None:
    association = begin()
    association.phase = before
    if after in TRANSITIONS[before]:
        association._become(after)
        assert association.phase is after
    else:
        with pytest.raises(TLSMisuse):
            association._become(after)


def test_leg_02_messages_flow_after_the_verdict_and_the_name_is_the_hellos() -> None:
    far = table()
    near, served = met(far)
    (_, claim), *_ = far.judging
    assert (claim.name.text, claim.protocol, claim.source) == (NAME, "DTLSv1.2 cid07", HERE[0])
    assert near.shim.version() == "DTLSv1.2"
    near.send(b"reading 1")
    near.send(b"reading 2")
    carry(near, far)
    assert [served.association.next_message() for _ in range(3)] == [b"reading 1", b"reading 2", None]
    served.association.send(b"ok")
    far.table.follow(served, far.now)
    carry(near, far)
    assert near.next_message() == b"ok"
    assert (served.peer.current() or served).name.text == NAME  # type: ignore[union-attr]


def test_nothing_flows_before_the_verdict() -> None:
    far = table(judge=None)
    near = begin()
    carry(near, far)
    ((served, claim),) = far.judging
    assert (near.phase, served.association.phase) == (Phase.HANDSHAKE, Phase.VERDICT)
    with pytest.raises(TLSMisuse):
        served.association.send(b"x")
    with pytest.raises(TLSMisuse):
        near.send(b"x")
    for _ in range(2):
        let_time_pass(near)
        carry(near, far)
        assert near.phase is Phase.HANDSHAKE
    far.table.settle(served, evidence(claim), far.now)
    carry(near, far)
    assert near.phase is Phase.OPEN
    assert far.open == [served]


def test_a_refused_client_is_told_even_when_the_first_alert_is_lost() -> None:
    far = table(judge=lambda _claim: Refused(Reason.NO_TLSA))
    near = begin()
    for _ in range(3):
        for datagram in near.take():
            far.table.receive(datagram, HERE, far.now)
        if far.judging:
            break
        for answer in far.taken():
            near.receive(answer)
    assert len(far.taken()) == 1
    let_time_pass(near)
    carry(near, far)
    assert near.phase is Phase.CLOSED
    assert isinstance(near.error, TLSAlertReceived)
    served = far.judging[0][0]
    assert served.association.phase is Phase.REFUSED
    assert isinstance(served.association.error, TLSRefused)
    assert served.association.error.reason is Reason.NO_TLSA
    assert far.open == far.gone == []


def test_undecided_is_no_yes() -> None:
    far = table(judge=lambda _claim: Undecided(Reason.DNS_FAILED))
    near = begin()
    carry(near, far)
    assert isinstance(near.error, TLSAlertReceived)
    assert far.open == []


def test_a_lost_last_flight_is_sent_again() -> None:
    far = table(judge=None)
    near = begin()
    carry(near, far)
    ((served, claim),) = far.judging
    far.table.settle(served, evidence(claim), far.now)
    assert far.taken()  # lost
    assert served.association.phase is Phase.OPEN
    let_time_pass(near)
    carry(near, far)
    assert near.phase is Phase.OPEN


def test_a_client_without_a_credential_comes_in_where_the_door_allows_it() -> None:
    far = table(datagram_door(policy="optional"))
    near = begin(client(datagram=True))
    carry(near, far)
    assert near.phase is Phase.OPEN
    assert far.judging == []
    assert far.open[0].peer.current() is None


def test_a_client_without_a_credential_stays_out_elsewhere() -> None:
    keeper = Doorkeeper()
    far = table(datagram_door(keeper))
    near = begin(client(datagram=True))
    carry(near, far)
    assert isinstance(near.error, TLSAlertReceived)
    assert keeper.turned == [(Reason.NO_CREDENTIAL, HERE[0])]


@pytest.mark.parametrize("raw", [False, True])
@pytest.mark.parametrize("kind", ["p256", "ed25519"])
def test_certificates_and_raw_keys_of_either_kind(raw: bool, kind: str) -> None:
    far = table()
    own = credential(kind=kind)
    near = begin(datagram_client(own=own, raw_public_key=raw))
    carry(near, far)
    (_, claim), *_ = far.judging
    assert (claim.presented.raw_public_key is not None) == raw
    assert near.phase is Phase.OPEN


def test_a_message_has_to_fit_one_datagram() -> None:
    near, _ = met()
    assert 1100 < near.message_octets < 1200
    near.send(b"x" * near.message_octets)
    (datagram,) = near.take()
    assert len(datagram) <= 1200
    for message in (b"", b"x" * (near.message_octets + 1)):
        with pytest.raises(LimitExceeded):
            near.send(message)


def test_a_full_queue_drops_and_counts() -> None:
    far = table()
    near, served = met(far)
    served.association._queue = 2  # type: ignore[misc]
    for number in range(5):
        near.send(bytes((number,)))
    carry(near, far)
    assert [served.association.next_message() for _ in range(3)] == [b"\0", b"\1", None]
    assert served.association.dropped == 3


def test_close_notify_ends_the_other_side_in_order() -> None:
    far = table()
    near, served = met(far)
    near.send(b"last words")
    near.close()
    carry(near, far)
    assert served.association.next_message() == b"last words"
    assert served.association.phase is Phase.CLOSED
    assert served.association.error is None
    assert far.gone == [served]
    with pytest.raises(Misuse):
        served.association.send(b"x")


def test_a_cut_client_hears_close_notify_and_its_messages_are_not_delivered() -> None:
    far = table()
    near, served = met(far)
    near.send(b"too late")
    carry(near, far)
    far.table.cut(served, Refused(Reason.NO_TLSA), far.now)
    assert served.association.next_message() is None
    assert isinstance(served.association.error, TLSRefused)
    carry(near, far)
    assert (near.phase, near.error) == (Phase.CLOSED, None)
    with pytest.raises(Refused) as caught:
        served.peer.current()
    assert caught.value.reason is Reason.NO_TLSA
    assert far.gone == [served]


def test_a_late_verdict_changes_nothing() -> None:
    far = table(judge=None)
    near = begin()
    carry(near, far)
    ((served, claim),) = far.judging
    far.table.drop(served, far.now)
    far.table.settle(served, evidence(claim), far.now)
    assert served.association.phase is Phase.CLOSED
    assert far.open == []


def test_leg_05_a_datagram_client_says_its_name_only_where_it_may() -> None:
    context = datagram_client()
    with pytest.raises(TLSMisuse, match="clear_name_to"):
        context.client_shim(None, "another.example")  # type: ignore[arg-type]
    with pytest.raises(TLSMisuse, match="clear_name_to"):
        begin(client(credential(), datagram=True))


def test_a_server_knows_who_it_talks_to() -> None:
    far = table()
    _, served = met(far)
    shim = served.association.shim
    assert shim.authentication is Authentication.VERIFIED  # type: ignore[attr-defined]
