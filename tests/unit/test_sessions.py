"""Live sessions: when they are asked about, what keeps them and what cuts them (CA-32; DESIGN section 1)."""

import weakref
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dnsbound.errors import LimitExceeded, Misuse, Reason, Refused, Undecided
from dnsbound.verify.access import AccessList
from dnsbound.verify.engine import Verifier
from dnsbound.verify.peer import VerifiedPeer
from dnsbound.verify.sessions import LONGEST_LEAD, SHORTEST_INTERVAL, Action, Session, Sessions
from unit.claims import CREDENTIAL, DOOR, NAME, NOW, answer, claim

ACCESS = AccessList.allowing(DOOR, [NAME])
DNS_DOWN = Undecided(Reason.DNS_FAILED)


def peer(now: float = NOW, ttl: float = 60.0, *, access: AccessList = ACCESS, **fields: Any) -> VerifiedPeer:
    given_answer = answer(NAME, CREDENTIAL.tlsa(), ttl=ttl, validated_at=now, **({"earliest_expiry": None} | fields))
    return Verifier(access, door=DOOR).begin(claim(), now=now).answer(given_answer, now=now)


def enter(sessions: Sessions, admitted: VerifiedPeer | None = None, handle: object = None, now: float = NOW) -> Session:
    return sessions.register(admitted or peer(now), claim(), handle, now=now)


def test_a_session_is_asked_about_some_time_before_its_evidence_ends() -> None:
    sessions = Sessions()
    session = enter(sessions)
    assert sessions.next_due() == NOW + 60 - LONGEST_LEAD
    assert sessions.due(now=NOW + 60 - LONGEST_LEAD - 0.1) == []
    assert sessions.due(now=NOW + 60 - LONGEST_LEAD) == [session]


@pytest.mark.parametrize(
    ("ttl", "after"), [(2.0, 1.0), (10.0, 5.0), (1.0, SHORTEST_INTERVAL), (0.0, SHORTEST_INTERVAL)]
)
def test_short_evidence_is_asked_about_at_its_half_and_not_without_pause(ttl: float, after: float) -> None:
    sessions = Sessions()
    enter(sessions, peer(ttl=ttl))
    assert sessions.next_due() == NOW + after


def test_each_session_is_given_out_once_until_it_is_settled() -> None:
    sessions = Sessions()
    session = enter(sessions)
    assert sessions.due(now=NOW + 55) == [session]
    assert sessions.due(now=NOW + 56, generation=-1) == []
    assert sessions.settle(session, peer(NOW + 56), now=NOW + 56) is Action.KEEP
    assert sessions.due(now=NOW + 57) == []
    assert sessions.due(now=NOW + 56 + 50) == [session]


def test_new_evidence_keeps_and_is_kept() -> None:
    sessions = Sessions()
    session = enter(sessions)
    renewed = peer(NOW + 50, ttl=600)
    sessions.due(now=NOW + 50)
    assert sessions.settle(session, renewed, now=NOW + 50) is Action.KEEP
    assert session.peer is renewed
    assert sessions.ends_at(session) == NOW + 650


@pytest.mark.parametrize("reason", [Reason.NO_TLSA, Reason.TLSA_MISMATCH, Reason.NOT_PERMITTED, Reason.INSECURE])
def test_no_cuts_at_once_even_while_evidence_holds_and_grace_is_long(reason: Reason) -> None:
    sessions = Sessions(grace=10_000)
    session = enter(sessions)
    assert sessions.settle(session, Refused(reason), now=NOW + 1) is Action.CUT
    assert len(sessions) == 0
    assert sessions.due(now=NOW + 1000) == []


def test_undecided_keeps_until_the_evidence_ends() -> None:
    sessions = Sessions()
    session = enter(sessions)
    for moment in (NOW + 50, NOW + 55, NOW + 59.9):
        sessions.due(now=moment)
        assert sessions.settle(session, DNS_DOWN, now=moment) is Action.KEEP
        due = sessions.next_due()
        assert due is not None
        assert min(moment + SHORTEST_INTERVAL, NOW + 60) <= due <= NOW + 60
    assert sessions.settle(session, DNS_DOWN, now=NOW + 60) is Action.CUT
    assert list(sessions) == []


def test_grace_prolongs_undecided_but_never_past_a_signatures_expiry() -> None:
    sessions = Sessions(grace=30)
    without_limit, bounded = enter(sessions), enter(sessions, peer(earliest_expiry=NOW + 70))
    assert (sessions.ends_at(without_limit), sessions.ends_at(bounded)) == (NOW + 90, NOW + 70)
    assert sessions.settle(bounded, DNS_DOWN, now=NOW + 69.9) is Action.KEEP
    assert sessions.settle(bounded, DNS_DOWN, now=NOW + 70) is Action.CUT
    assert sessions.settle(without_limit, DNS_DOWN, now=NOW + 89.9) is Action.KEEP
    assert sessions.settle(without_limit, DNS_DOWN, now=NOW + 90) is Action.CUT


def test_grace_puts_no_question_off() -> None:
    """It is asked before the evidence ends, however long the grace, and in the grace again and again."""
    patient, strict = Sessions(grace=10_000), Sessions()
    session = enter(patient)
    enter(strict)
    assert patient.next_due() == strict.next_due()
    moments = []
    while len(moments) < 20:
        due = patient.next_due()
        assert due is not None
        moments.append(due)
        assert patient.due(now=due) == [session]
        assert patient.settle(session, DNS_DOWN, now=due) is Action.KEEP
    gaps = [later - sooner for sooner, later in pairwise(moments)]
    assert moments[0] < NOW + 60
    assert min(gaps) > 0
    assert max(gaps) <= LONGEST_LEAD


def test_a_question_that_nobody_answers_keeps_nobody_in() -> None:
    """Its own name server is slow, or those before it are: `due` gives it out once, and then there is silence."""
    sessions = Sessions(patience=5)
    session = enter(sessions)
    assert sessions.due(now=NOW + 50) == [session]
    assert sessions.next_due() == NOW + 60 + 5
    assert sessions.due(now=NOW + 65) == []
    assert sessions.overdue(now=NOW + 64.9) == []
    assert sessions.overdue(now=NOW + 65) == [session]
    assert sessions.overdue(now=NOW + 65) == []
    assert sessions.settle(session, DNS_DOWN, now=NOW + 65) is Action.CUT
    # The answer that comes after all changes nothing.
    assert sessions.settle(session, peer(NOW + 66), now=NOW + 66) is Action.LEAVE
    assert (len(sessions), sessions.next_due()) == (0, None)


def test_an_answer_in_time_is_not_overdue() -> None:
    sessions = Sessions(patience=5)
    session = enter(sessions)
    assert sessions.due(now=NOW + 50) == [session]
    assert sessions.settle(session, peer(NOW + 63), now=NOW + 63) is Action.KEEP
    assert sessions.overdue(now=NOW + 70) == []
    assert sessions.due(now=NOW + 70, generation=-1) == [session]
    assert sessions.overdue(now=NOW + 63 + 60 + 5) == [session]


def test_a_question_that_was_broken_off_is_asked_again() -> None:
    """Whoever asked is gone, with its event loop: the session is somebody else's to ask about."""
    sessions = Sessions()
    session = enter(sessions, peer(ttl=3600))
    newer = AccessList.allowing(DOOR, [NAME])
    assert sessions.due(now=NOW + 1, generation=newer.generation) == [session]
    sessions.give_back(session, now=NOW + 2)
    assert sessions.due(now=NOW + 2) == [session]
    sessions.remove(session)
    sessions.give_back(session, now=NOW + 3)
    assert (sessions.due(now=NOW + 3), sessions.next_due()) == ([], None)


def test_a_changed_access_list_makes_every_session_due() -> None:
    sessions = Sessions()
    session = enter(sessions)
    assert sessions.due(now=NOW, generation=ACCESS.generation) == []
    newer = AccessList.allowing(DOOR, [NAME])
    assert sessions.due(now=NOW, generation=newer.generation) == [session]
    assert sessions.settle(session, peer(access=newer), now=NOW) is Action.KEEP
    assert sessions.due(now=NOW, generation=newer.generation) == []


def test_sessions_of_several_lists_are_told_apart() -> None:
    sessions = Sessions()
    newer = AccessList.allowing(DOOR, [NAME])
    old, new, gone = enter(sessions), enter(sessions, peer(access=newer)), enter(sessions)
    sessions.remove(gone)
    assert sessions.due(now=NOW, generation=newer.generation) == [old]
    assert sessions.settle(old, DNS_DOWN, now=NOW) is Action.KEEP
    assert sessions.due(now=NOW, generation=newer.generation) == [old]
    assert sessions.settle(old, Refused(Reason.NO_TLSA), now=NOW) is Action.CUT
    assert sessions.due(now=NOW, generation=newer.generation) == []
    assert list(sessions) == [new]


def test_a_session_due_by_time_and_by_list_is_given_out_once() -> None:
    sessions = Sessions()
    session = enter(sessions)
    assert sessions.due(now=NOW + 1000, generation=-1) == [session]


def test_a_connection_that_ended_by_itself_is_forgotten() -> None:
    sessions = Sessions()
    session, other = enter(sessions), enter(sessions)
    sessions.remove(session)
    sessions.remove(session)
    assert list(sessions) == [other]
    assert sessions.due(now=NOW + 1000) == [other]
    assert sessions.settle(session, peer(), now=NOW) is Action.LEAVE
    sessions.remove(other)
    assert sessions.next_due() is None


def test_one_that_ends_while_it_is_asked_about_stays_ended() -> None:
    sessions = Sessions()
    session = enter(sessions)
    sessions.due(now=NOW + 1000)
    sessions.remove(session)
    assert sessions.settle(session, peer(NOW + 1000), now=NOW + 1000) is Action.LEAVE
    assert len(sessions) == 0


def test_evidence_for_another_name_keeps_nobody_in() -> None:
    sessions = Sessions()
    session = enter(sessions)
    other = "car55._device.cars.example"
    access = AccessList.allowing(DOOR, [other])
    foreign = Verifier(access, door=DOOR).begin(claim(other), now=NOW).answer(answer(other, CREDENTIAL.tlsa()), now=NOW)
    assert sessions.settle(session, foreign, now=NOW) is Action.CUT


def test_the_registry_is_bounded_and_grace_is_a_time() -> None:
    sessions = Sessions(limit=2)
    enter(sessions)
    first = enter(sessions)
    with pytest.raises(LimitExceeded):
        enter(sessions)
    sessions.remove(first)
    enter(sessions, handle="driver's own")
    assert "driver's own" in [session.handle for session in sessions]
    with pytest.raises(Misuse):
        Sessions(grace=-1)
    with pytest.raises(Misuse):
        Sessions(patience=-1)


class Connection:
    """Something that weighs."""


def test_an_ended_session_keeps_its_connection_no_longer() -> None:
    sessions = Sessions()
    connection = Connection()
    gone = weakref.ref(connection)
    session = enter(sessions, peer(ttl=3600), handle=connection)
    sessions.remove(session)
    del session, connection
    assert gone() is None


def test_connections_that_come_and_go_leave_nothing_behind_a_session_that_stays() -> None:
    sessions = Sessions()
    stays = enter(sessions, peer(ttl=60))
    admitted = peer(ttl=3600)
    for _ in range(5000):
        sessions.remove(enter(sessions, admitted))
    assert len(sessions._planned) < 2000
    assert sessions.due(now=NOW + 60) == [stays]
    assert sessions.settle(stays, peer(NOW + 60), now=NOW + 60) is Action.KEEP
    assert sessions.next_due() == NOW + 60 + 50


OUTCOMES = st.sampled_from(["yes", "no", "undecided", "gone"])


@given(st.lists(st.tuples(st.floats(0.5, 40), OUTCOMES), max_size=20), st.sampled_from([0.0, 25.0]))
def test_a_session_lives_exactly_as_long_as_the_rules_say(steps: list[tuple[float, str]], grace: float) -> None:
    """Against the rules said plainly: one variable for the end of the evidence, one for whether it is in."""
    sessions = Sessions(grace=grace)
    session = enter(sessions)
    moment, end, alive = NOW, NOW + 60, True
    for seconds, what in steps:
        moment += seconds
        if what == "yes":
            action = sessions.settle(session, peer(moment), now=moment)
            end = moment + 60 if alive else end
        elif what == "no":
            action = sessions.settle(session, Refused(Reason.NO_TLSA), now=moment)
            alive = False
        elif what == "undecided":
            action = sessions.settle(session, DNS_DOWN, now=moment)
            alive = alive and moment < end + grace
        else:
            sessions.remove(session)
            alive, action = False, Action.CUT
        assert (action is Action.KEEP) is alive
        assert (session in list(sessions)) is alive
        assert (sessions.next_due() is not None) is alive
