"""Disconnect and change of authorisation, both sides: what is asked, what is believed, what an answer means."""

import pytest

from dnsbound.errors import Malformed, Misuse
from dnsbound.iana import ErrorCause, RadiusAttribute, RadiusCode
from dnsbound.protocols.radius import Discard, Discarded, RadiusPacket, answer_to, read_answer, read_request, request_of
from dnsbound.protocols.radius_attributes import Attributes
from dnsbound.protocols.radius_dynamic import (
    MEANING_OF_CAUSE,
    TIME_WINDOW,
    DynamicAnswer,
    Meaning,
    dynamic_answer,
    dynamic_attributes,
    read_dynamic_request,
)
from unit.radius_requests import SECRET, access_request

NOW = 1_790_000_000.7
SESSION: Attributes = (
    (RadiusAttribute.NAS_IDENTIFIER, b"ap-3"),
    (RadiusAttribute.USER_NAME, b"car54._device.cars.example"),
    (RadiusAttribute.CALLING_STATION_ID, b"00-1A-2B-3C-4D-5E"),
    (RadiusAttribute.ACCT_SESSION_ID, b"5F3A"),
)


def made(code: RadiusCode = RadiusCode.DISCONNECT_REQUEST, *, now: float = NOW, changes: Attributes = ()) -> bytes:
    return request_of(code, 9, dynamic_attributes(SESSION, now=now, changes=changes), SECRET)


def answer_of(octets: bytes, request: bytes, secret: bytes = SECRET) -> DynamicAnswer:
    return DynamicAnswer.of(read_answer(octets, request, secret))


DISCONNECT = made()


def why(octets: bytes, now: float = NOW) -> Discard:
    with pytest.raises(Discarded) as caught:
        read_dynamic_request(octets, SECRET, now=now)
    return caught.value.why


def test_da_01_a_disconnect_request_is_proved_like_accounting() -> None:
    request = read_dynamic_request(DISCONNECT, SECRET, now=NOW)
    assert request.code is RadiusCode.DISCONNECT_REQUEST
    with pytest.raises(Discarded) as caught:
        read_dynamic_request(DISCONNECT, b"another secret", now=NOW)
    assert caught.value.why is Discard.WRONG_REQUEST_AUTHENTICATOR
    assert why(access_request()) is Discard.NOT_A_REQUEST


@pytest.mark.parametrize("late", [-TIME_WINDOW - 1, TIME_WINDOW + 1, 10**9])
def test_da_03_a_request_of_another_time_ends_nothing(late: int) -> None:
    assert why(DISCONNECT, NOW + late) is Discard.OUT_OF_TIME


@pytest.mark.parametrize("late", [-TIME_WINDOW + 1, 0, TIME_WINDOW - 1])
def test_da_03_clocks_may_differ_by_five_minutes(late: int) -> None:
    assert read_dynamic_request(DISCONNECT, SECRET, now=NOW + late).identifier == 9


def test_da_03_a_request_without_time_is_none() -> None:
    assert why(request_of(RadiusCode.DISCONNECT_REQUEST, 9, SESSION, SECRET)) is Discard.NO_TIME
    short = ((RadiusAttribute.EVENT_TIMESTAMP, b"\1"),)
    with pytest.raises(Malformed):
        read_dynamic_request(request_of(RadiusCode.COA_REQUEST, 9, short, SECRET), SECRET, now=NOW)


@pytest.mark.parametrize("cause", [None, *ErrorCause])
@pytest.mark.parametrize("code", [RadiusCode.DISCONNECT_REQUEST, RadiusCode.COA_REQUEST])
def test_da_04_answers_of_both_kinds_are_read(cause: ErrorCause | None, code: RadiusCode) -> None:
    octets = made(code)
    answer = dynamic_answer(read_dynamic_request(octets, SECRET, now=NOW), SECRET, cause=cause)
    assert answer_of(answer, octets) == DynamicAnswer(acknowledged=cause is None, cause=cause)


def test_da_04_an_answer_of_somebody_else_is_none() -> None:
    answer = dynamic_answer(read_request(DISCONNECT, SECRET), SECRET)
    other = made(now=NOW + 1)
    for octets, secret in ((other, SECRET), (DISCONNECT, b"another secret")):
        with pytest.raises(Discarded) as caught:
            answer_of(answer, octets, secret)
        assert caught.value.why is Discard.WRONG_RESPONSE_AUTHENTICATOR


def test_da_05_every_cause_has_a_meaning() -> None:
    assert set(MEANING_OF_CAUSE) == set(ErrorCause)
    assert MEANING_OF_CAUSE[ErrorCause.SESSION_CONTEXT_NOT_FOUND] is Meaning.GONE
    assert MEANING_OF_CAUSE[ErrorCause.RESOURCES_UNAVAILABLE] is Meaning.LATER
    assert set(Meaning) == {*MEANING_OF_CAUSE.values()}


@pytest.mark.parametrize(
    ("answer", "meaning", "text"),
    [
        (DynamicAnswer(acknowledged=True, cause=None), Meaning.DONE, "acknowledged"),
        (DynamicAnswer(acknowledged=False, cause=503), Meaning.GONE, "session-context-not-found"),
        (DynamicAnswer(acknowledged=False, cause=None), Meaning.REFUSED, "refused"),
        (DynamicAnswer(acknowledged=False, cause=599), Meaning.REFUSED, "refused, cause 599"),
    ],
)
def test_da_05_what_an_answer_means(answer: DynamicAnswer, meaning: Meaning, text: str) -> None:
    assert (answer.meaning, answer.text) == (meaning, text)


def test_da_05_a_cause_that_is_no_number() -> None:
    request = read_request(DISCONNECT, SECRET)
    answer = answer_to(request, RadiusCode.DISCONNECT_NAK, ((RadiusAttribute.ERROR_CAUSE, b"\1"),), SECRET)
    with pytest.raises(Malformed):
        answer_of(answer, DISCONNECT)


def test_da_06_server_and_session_are_identified_and_the_time_is_told() -> None:
    request = read_dynamic_request(DISCONNECT, SECRET, now=NOW)
    assert request.attributes[1:] == (*SESSION, (RadiusAttribute.EVENT_TIMESTAMP, int(NOW).to_bytes(4, "big")))


@pytest.mark.parametrize(
    "nobody",
    [(), ((RadiusAttribute.NAS_IDENTIFIER, b"ap-3"),), ((RadiusAttribute.CALLED_STATION_ID, b"ap-3:public"),)],
)
def test_da_06_a_request_that_names_no_session_is_not_made(nobody: Attributes) -> None:
    with pytest.raises(Misuse):
        dynamic_attributes(nobody, now=NOW)


def test_da_07_a_refusal_says_its_cause_and_proxies_get_their_state_back() -> None:
    attributes = (*SESSION, (RadiusAttribute.PROXY_STATE, b"proxy"))
    request = read_request(request_of(RadiusCode.DISCONNECT_REQUEST, 9, attributes, SECRET), SECRET)
    answer = dynamic_answer(request, SECRET, cause=ErrorCause.UNSUPPORTED_ATTRIBUTE)
    assert RadiusPacket.from_wire(answer).attributes[1:] == (
        (RadiusAttribute.ERROR_CAUSE, b"\0\0\1\x91"),
        (RadiusAttribute.PROXY_STATE, b"proxy"),
    )


def test_da_08_a_change_carries_what_an_acceptance_would() -> None:
    changes = ((int(RadiusAttribute.FILTER_ID), b"walled-garden"),)
    octets = made(RadiusCode.COA_REQUEST, changes=changes)
    request = read_dynamic_request(octets, SECRET, now=NOW)
    assert request.code is RadiusCode.COA_REQUEST
    assert request.attributes[-1:] == changes
    assert request.first(RadiusAttribute.ACCT_SESSION_ID) == b"5F3A"
