"""Contexts of exported authenticators: each once in a connection, each answer to one request (EA-03, EA-08)."""

import pytest

from dnsbound.errors import LimitExceeded, Misuse
from dnsbound.limits import AUTHENTICATOR_SECONDS
from dnsbound.tls.authenticator_contexts import (
    TRANSITIONS,
    AuthenticatorContexts,
    ContextEvent,
    ContextState,
    ReusedContext,
)
from dnsbound.tls.authenticator_request import AuthenticatorRequest, Role

AWAITED, NEW, USED = ContextState.AWAITED, ContextState.NEW, ContextState.USED


def asked(context: bytes, requester: Role = Role.SERVER) -> AuthenticatorRequest:
    return AuthenticatorRequest.build(requester, context)


def in_state(state: ContextState, context: bytes) -> AuthenticatorContexts:
    made = AuthenticatorContexts()
    if state is AWAITED:
        made.sent(asked(context), now=0.0)
    elif state is USED:
        made.received(context)
    assert made.state(context) is state
    return made


def test_the_table_leads_on_and_nothing_is_new_again() -> None:
    assert {state for state, _ in TRANSITIONS} == {NEW, AWAITED}
    assert set(TRANSITIONS.values()) == {AWAITED, USED}
    assert {event for _, event in TRANSITIONS} == set(ContextEvent)


@pytest.mark.parametrize("state", list(ContextState))
def test_every_event_in_every_state(state: ContextState) -> None:
    """All but the three pairs of the table are errors."""
    fresh = in_state(state, b"c")
    if state is NEW:
        fresh.sent(asked(b"c"), now=0.0)
        assert fresh.state(b"c") is AWAITED
    else:
        with pytest.raises(Misuse):
            fresh.sent(asked(b"c"), now=0.0)
    fresh = in_state(state, b"c")
    if state is NEW:
        fresh.received(b"c")
        assert fresh.state(b"c") is USED
    else:
        with pytest.raises(ReusedContext):
            fresh.received(b"c")
    fresh = in_state(state, b"c")
    if state is AWAITED:
        assert fresh.answered(b"c", now=1.0) == asked(b"c")
        assert fresh.state(b"c") is USED
    else:
        with pytest.raises(ReusedContext):
            fresh.answered(b"c", now=1.0)


def test_ea_03_a_context_is_used_once_over_both_kinds_of_request() -> None:
    made = AuthenticatorContexts()
    made.sent(asked(b"one"), now=0.0)
    for requester in Role:
        with pytest.raises(Misuse):
            made.sent(asked(b"one", requester), now=0.0)
    with pytest.raises(ReusedContext):
        made.received(b"one")
    made.answered(b"one", now=0.0)
    with pytest.raises(Misuse):
        made.sent(asked(b"one"), now=0.0)


def test_ea_08_an_answer_that_was_seen_is_refused() -> None:
    made = AuthenticatorContexts()
    made.sent(asked(b"one"), now=0.0)
    made.sent(asked(b"two"), now=0.0)
    assert [request.context for request in made.awaited] == [b"one", b"two"]
    made.answered(b"two", now=0.0)
    with pytest.raises(ReusedContext):
        made.answered(b"two", now=0.0)
    assert made.answered(b"one", now=0.0).context == b"one"
    assert made.awaited == ()


@pytest.mark.parametrize(
    ("after", "in_time"), [(0, True), (AUTHENTICATOR_SECONDS.default, True), (60.5, False), (-1, False)]
)
def test_a_request_waits_for_a_time(after: float, in_time: bool) -> None:
    made = AuthenticatorContexts()
    made.sent(asked(b"one"), now=100.0)
    if in_time:
        assert made.answered(b"one", now=100.0 + after).context == b"one"
    else:
        with pytest.raises(ReusedContext):
            made.answered(b"one", now=100.0 + after)
    assert made.state(b"one") is USED, "whatever became of the answer"


def test_freshness_is_half_of_that_time() -> None:
    made = AuthenticatorContexts(seconds=10)
    made.sent(asked(b"one"), now=0.0)
    assert [made.is_fresh(asked(b"one"), now=now) for now in (0.0, 5.0, 5.1)] == [True, True, False]
    made.answered(b"one", now=1.0)
    assert not made.is_fresh(asked(b"one"), now=1.0)
    assert not made.is_fresh(asked(b"two"), now=1.0)


def test_one_connection_remembers_so_many() -> None:
    made = AuthenticatorContexts(limit=3)
    made.sent(asked(b"1"), now=0.0)
    made.received(b"2")
    made.answered(b"1", now=0.0)
    made.received(b"3")
    with pytest.raises(LimitExceeded):
        made.received(b"4")
    with pytest.raises(LimitExceeded):
        made.sent(asked(b"4"), now=0.0)
    assert made.state(b"4") is NEW
