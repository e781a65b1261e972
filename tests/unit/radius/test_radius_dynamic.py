"""Disconnect and change of authorisation, both sides: what is asked, what is believed, what an answer means."""

import pytest

from dnsbound.errors import Malformed, Misuse
from dnsbound.iana import ErrorCause, RadiusAttribute, RadiusCode
from dnsbound.protocols.radius import Discard, Discarded, RadiusPacket, answer_to, read_request, request_of
from dnsbound.protocols.radius_dynamic import (
    MEANING_OF_CAUSE,
    TIME_WINDOW,
    DynamicAnswer,
    Meaning,
    SessionIdentity,
    coa_request,
    disconnect_request,
    dynamic_answer,
    read_dynamic_answer,
    read_dynamic_request,
)
from unit.radius_requests import SECRET, access_request

NOW = 1_790_000_000.7
SESSION = SessionIdentity(
    nas_identifier=b"ap-3",
    nas_address="192.0.2.7",
    user_name=b"car54._device.cars.example",
    calling_station_id=b"00-1A-2B-3C-4D-5E",
    acct_session_id=b"5F3A",
)
DISCONNECT = disconnect_request(9, SESSION, SECRET, now=NOW)


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
    assert why(request_of(RadiusCode.DISCONNECT_REQUEST, 9, SESSION.to_attributes(), SECRET)) is Discard.NO_TIME
    short = ((RadiusAttribute.EVENT_TIMESTAMP, b"\1"),)
    with pytest.raises(Malformed):
        read_dynamic_request(request_of(RadiusCode.COA_REQUEST, 9, short, SECRET), SECRET, now=NOW)


@pytest.mark.parametrize("cause", [None, *ErrorCause])
@pytest.mark.parametrize("changes", [None, ((RadiusAttribute.SESSION_TIMEOUT, b"\0\0\0\1"),)])
def test_da_04_answers_of_both_kinds_are_read(
    cause: ErrorCause | None, changes: tuple[tuple[int, bytes]] | None
) -> None:
    octets = DISCONNECT if changes is None else coa_request(9, SESSION, changes, SECRET, now=NOW)
    answer = dynamic_answer(read_dynamic_request(octets, SECRET, now=NOW), SECRET, cause=cause)
    assert RadiusPacket.from_wire(answer).code in (
        *(RadiusCode.DISCONNECT_ACK, RadiusCode.DISCONNECT_NAK, RadiusCode.COA_ACK, RadiusCode.COA_NAK),
    )
    assert read_dynamic_answer(answer, octets, SECRET) == DynamicAnswer(acknowledged=cause is None, cause=cause)


def test_da_04_an_answer_of_somebody_else_is_none() -> None:
    answer = dynamic_answer(read_request(DISCONNECT, SECRET), SECRET)
    other = disconnect_request(9, SESSION, SECRET, now=NOW + 1)
    for octets, secret in ((other, SECRET), (DISCONNECT, b"another secret")):
        with pytest.raises(Discarded) as caught:
            read_dynamic_answer(answer, octets, secret)
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
        read_dynamic_answer(answer, DISCONNECT, SECRET)


def test_da_06_server_and_session_are_identified() -> None:
    assert SESSION.to_attributes() == (
        (RadiusAttribute.NAS_IP_ADDRESS, bytes((192, 0, 2, 7))),
        (RadiusAttribute.NAS_IDENTIFIER, b"ap-3"),
        (RadiusAttribute.USER_NAME, b"car54._device.cars.example"),
        (RadiusAttribute.CALLING_STATION_ID, b"00-1A-2B-3C-4D-5E"),
        (RadiusAttribute.ACCT_SESSION_ID, b"5F3A"),
    )
    other = SessionIdentity(
        nas_address="2001:db8::7",
        nas_port=5,
        called_station_id=b"public",
        acct_multi_session_id=b"m",
        chargeable_user_identity=b"c",
    )
    assert [number for number, _ in other.to_attributes()] == [
        RadiusAttribute.NAS_IPV6_ADDRESS,
        RadiusAttribute.NAS_PORT,
        RadiusAttribute.CALLED_STATION_ID,
        RadiusAttribute.ACCT_MULTI_SESSION_ID,
        RadiusAttribute.CHARGEABLE_USER_IDENTITY,
    ]


@pytest.mark.parametrize(
    "nobody",
    [SessionIdentity(), SessionIdentity(nas_identifier=b"ap-3"), SessionIdentity(called_station_id=b"ap-3:public")],
)
def test_da_06_a_request_that_names_no_session_is_not_made(nobody: SessionIdentity) -> None:
    with pytest.raises(Misuse):
        disconnect_request(9, nobody, SECRET, now=NOW)


def test_da_07_a_refusal_says_its_cause_and_proxies_get_their_state_back() -> None:
    attributes = (*SESSION.to_attributes(), (RadiusAttribute.PROXY_STATE, b"proxy"))
    request = read_request(request_of(RadiusCode.DISCONNECT_REQUEST, 9, attributes, SECRET), SECRET)
    answer = dynamic_answer(request, SECRET, cause=ErrorCause.UNSUPPORTED_ATTRIBUTE)
    assert RadiusPacket.from_wire(answer).attributes[1:] == (
        (RadiusAttribute.ERROR_CAUSE, b"\0\0\1\x91"),
        (RadiusAttribute.PROXY_STATE, b"proxy"),
    )


def test_da_08_a_change_carries_what_an_acceptance_would() -> None:
    changes = ((int(RadiusAttribute.FILTER_ID), b"walled-garden"),)
    octets = coa_request(9, SESSION, changes, SECRET, now=NOW)
    request = read_dynamic_request(octets, SECRET, now=NOW)
    assert request.code is RadiusCode.COA_REQUEST
    assert request.attributes[-1:] == changes
    assert request.first(RadiusAttribute.ACCT_SESSION_ID) == b"5F3A"
