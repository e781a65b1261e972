"""Reports of access servers: what they must say, counters that came round, when it happened."""

import pytest

from dnsbound.errors import Malformed
from dnsbound.iana import AcctStatusType, AcctTerminateCause, RadiusAttribute, RadiusCode
from dnsbound.protocols.radius_accounting import OF_A_SESSION, AccountingEvent
from dnsbound.protocols.radius_attributes import Attributes, integer
from dnsbound.protocols.radius_nas import NasFacts
from unit.radius_requests import asked

A = RadiusAttribute
RECEIVED = 1_790_000_000.0


def report(attributes: Attributes) -> AccountingEvent:
    return AccountingEvent.of(asked(attributes, code=RadiusCode.ACCOUNTING_REQUEST))


def status(which: int, *more: tuple[int, bytes]) -> Attributes:
    return ((A.ACCT_STATUS_TYPE, integer(which)), *more)


SESSION = (int(A.ACCT_SESSION_ID), b"5F3A")


@pytest.mark.parametrize("which", sorted(OF_A_SESSION))
def test_racc_03_a_report_says_of_which_session_it_is(which: AcctStatusType) -> None:
    event = report(status(which, SESSION))
    assert (event.status, event.session_id) == (which, b"5F3A")
    for without in (status(which), (SESSION,)):
        with pytest.raises(Malformed):
            report(without)


@pytest.mark.parametrize("number", [0, 4, 6, 9, 15, 2**32 - 1])
def test_racc_03_reports_of_other_kinds_are_not_read(number: int) -> None:
    with pytest.raises(Malformed):
        report(status(number, SESSION))


def test_racc_03_another_packet_is_no_report() -> None:
    with pytest.raises(Malformed):
        AccountingEvent.of(asked())


def test_racc_04_counters_that_came_round() -> None:
    event = report(
        status(
            2,
            SESSION,
            (A.ACCT_INPUT_OCTETS, integer(5)),
            (A.ACCT_INPUT_GIGAWORDS, integer(3)),
            (A.ACCT_OUTPUT_OCTETS, integer(2**32 - 1)),
        )
    )
    assert (event.input_octets, event.output_octets) == (3 * 2**32 + 5, 2**32 - 1)
    assert report(status(2, SESSION, (A.ACCT_OUTPUT_GIGAWORDS, integer(1)))).output_octets == 2**32
    assert report(status(2, SESSION)).input_octets is None


@pytest.mark.parametrize("which", sorted(set(AcctStatusType) - OF_A_SESSION))
def test_racc_05_an_access_server_that_starts_or_stops_has_no_session(which: AcctStatusType) -> None:
    event = report(status(which, (A.NAS_IDENTIFIER, b"ap-3")))
    assert (event.status, event.session_id, event.nas.nas_identifier) == (which, b"", "ap-3")


@pytest.mark.parametrize(
    ("said", "happened"),
    [
        ((), RECEIVED),
        (((A.ACCT_DELAY_TIME, integer(90)),), RECEIVED - 90),
        (((A.EVENT_TIMESTAMP, integer(1_789_999_000)),), 1_789_999_000),
        (((A.EVENT_TIMESTAMP, integer(1_789_999_000)), (A.ACCT_DELAY_TIME, integer(90))), 1_789_999_000),
        (((A.EVENT_TIMESTAMP, integer(1_790_009_000)), (A.ACCT_DELAY_TIME, integer(90))), RECEIVED - 90),
    ],
)
def test_racc_06_when_it_happened(said: Attributes, happened: float) -> None:
    assert report(status(1, SESSION, *said)).happened(RECEIVED) == happened


def test_racc_07_an_interim_report_says_all_that_a_last_one_does() -> None:
    said = status(
        3,
        SESSION,
        (A.ACCT_MULTI_SESSION_ID, b"multi"),
        (A.USER_NAME, b"car54._device.cars.example"),
        (A.FRAMED_IP_ADDRESS, bytes((192, 0, 2, 99))),
        (A.ACCT_SESSION_TIME, integer(600)),
        (A.ACCT_INPUT_PACKETS, integer(7)),
        (A.ACCT_OUTPUT_PACKETS, integer(8)),
        (A.CHARGEABLE_USER_IDENTITY, b"handle"),
        (A.CALLING_STATION_ID, b"001a2b3c4d5e"),
    )
    event = report(said)
    assert (event.session_seconds, event.input_packets, event.output_packets) == (600, 7, 8)
    assert (event.multi_session_id, event.user_text) == (b"multi", "car54._device.cars.example")
    assert (event.framed_address, event.chargeable_user_identity) == ("192.0.2.99", b"handle")
    assert event.nas.calling_station == "00-1A-2B-3C-4D-5E"


def test_racc_08_the_classes_of_the_acceptance_come_back_in_order() -> None:
    assert report(status(1, SESSION, (A.CLASS, b"one"), (A.CLASS, b"two"))).classes == (b"one", b"two")


@pytest.mark.parametrize("number", [0, 1, 22, 4711])
def test_why_a_session_ended(number: int) -> None:
    event = report(status(2, SESSION, (A.ACCT_TERMINATE_CAUSE, integer(number))))
    known = number in set(AcctTerminateCause)
    assert event.cause_text == (
        AcctTerminateCause(number).name.lower().replace("_", "-") if known else f"cause {number}"
    )
    assert report(status(2, SESSION)).cause_text == ""


@pytest.mark.parametrize("number", [A.ACCT_SESSION_TIME, A.ACCT_INPUT_OCTETS, A.ACCT_DELAY_TIME, A.FRAMED_IP_ADDRESS])
def test_numbers_of_the_wrong_length(number: RadiusAttribute) -> None:
    with pytest.raises(Malformed):
        report(status(1, SESSION, (number, b"\0")))


def test_what_an_access_server_says_is_what_is_read() -> None:
    event = AccountingEvent(
        status=AcctStatusType.STOP,
        session_id=b"5F3A",
        nas=NasFacts(),
        multi_session_id=b"multi",
        user_name=b"car54",
        classes=(b"one", b"two"),
        chargeable_user_identity=b"handle",
        framed_address="192.0.2.99",
        session_seconds=600,
        input_octets=2**40 + 1,
        output_octets=0,
        input_packets=7,
        output_packets=8,
        terminate_cause=AcctTerminateCause.LOST_CARRIER,
        delay=3,
        timestamp=1_789_999_000,
    )
    assert report(event.to_attributes()) == event
