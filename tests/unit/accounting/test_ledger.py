"""The accounting database's contents: whatever the order, and however often, what happened is what is kept."""

import itertools

import pytest
from sqlalchemy import text

from dnsbound.iana import AcctTerminateCause
from dnsbound.provision.accounting.entries import LARGEST, AdmissionState, Ended, Marked, Renewed
from dnsbound.provision.accounting.ledger import CLASS, ROUTING, Ledger
from dnsbound.provision.accounting.reading import PAGE, Wanted, find, kept
from dnsbound.provision.errors import AccountingFailed
from unit.accounting.entries import NAME, NAS, NOW, admitted, claim, reported

OTHER = "car77._device.cars.example"


@pytest.fixture
def ledger(accounting_place):
    with Ledger.open(accounting_place, create=True, slack=600) as opened:
        yield opened


def only(ledger, **wanted):
    [row] = find(ledger, Wanted(**wanted))
    return row


def rows_of(ledger, table, columns="*"):
    with ledger.database.reading() as connection:
        return [tuple(row) for row in connection.execute(text(f"SELECT {columns} FROM {table} ORDER BY id"))]


START = reported("START", at=NOW + 1, user_name=NAME)
INTERIM = reported("INTERIM_UPDATE", at=NOW + 61, seconds=60, input_octets=10, output_octets=2**33)
STOP = reported("STOP", at=NOW + 121, seconds=120, input_octets=20, output_octets=2**34, cause=1)


@pytest.mark.parametrize(
    "order", [*itertools.permutations((START, INTERIM, STOP)), *itertools.permutations((STOP, START, STOP, INTERIM))]
)
def test_racc_09_reports_may_be_repeated_and_come_in_any_order(tmp_path, order):
    """RFC 2866 section 2: a report is sent until it is acknowledged."""
    with Ledger.open(tmp_path / "radius.db", create=True) as ledger:
        ledger.write([admitted()])
        for report in (*order, *order):
            ledger.write([report])
        row = only(ledger)
        assert (row.state, row.ended_at, row.why) == (AdmissionState.STOPPED, NOW + 121, "user-request")
        assert len(rows_of(ledger, "reports")) == 1
        report = row.report
        assert (report.started_at, report.stopped_at, report.cause) == (NOW + 1, NOW + 121, 1)
        assert (report.seconds, report.input_octets, report.output_octets) == (120, 20, 2**34)


def test_a_session_as_it_goes_on(ledger):
    ledger.write([admitted()])
    row = only(ledger, live=True)
    assert (row.state, row.report, row.expires_at) == (AdmissionState.LIVE, None, NOW + 4200)
    ledger.write([START, INTERIM])
    row = only(ledger, live=True)
    assert row.report.output_octets == 2**33
    assert row.expires_at == NOW + 61 + 3600 + 600  # heard of since
    ledger.write([Renewed(access_class=b"one", holds_until=NOW + 120)])
    assert only(ledger).holds_until == NOW + 120
    ledger.write([STOP])
    assert list(find(ledger, Wanted(live=True))) == []


def test_whoever_has_gone_leaves_no_certificates(ledger):
    ledger.write([admitted(), STOP])
    assert rows_of(ledger, "admissions", "claim, state") == [(None, "stopped")]


def test_what_became_of_a_session_that_had_to_end(ledger):
    ledger.write([admitted(), Marked(access_class=b"one", why="no-tlsa")])
    row = only(ledger, live=True)
    assert (row.state, row.why, row.ended_at) == (AdmissionState.CUTTING, "no-tlsa", None)
    ledger.write([Ended(access_class=b"one", state=AdmissionState.DISCONNECTED, at=NOW + 5)])
    row = only(ledger)
    assert (row.state, row.why, row.ended_at) == (AdmissionState.DISCONNECTED, "no-tlsa", NOW + 5)
    # What follows comes too late to change that.
    ledger.write([STOP, Marked(access_class=b"one", why="x"), Renewed(access_class=b"one", holds_until=NOW + 999)])
    row = only(ledger)
    assert (row.state, row.ended_at, row.holds_until) == (AdmissionState.DISCONNECTED, NOW + 5, NOW + 60)
    assert row.report.stopped_at == NOW + 121


def test_the_same_admission_twice_is_one(ledger):
    ledger.write([admitted(), admitted()])
    ledger.write([admitted(at=NOW + 5)])
    assert only(ledger).admitted_at == NOW


def test_a_report_of_another_client_touches_nothing(ledger):
    ledger.write([admitted(), reported("STOP", at=NOW + 9, client="isp")])
    assert only(ledger, live=True).report is None
    assert len(rows_of(ledger, "reports")) == 1  # kept as what it is: of that client, without an admission


def test_a_report_without_class_is_kept_and_ends_nothing(ledger):
    ledger.write([admitted(), reported("STOP", at=NOW + 9, access_class=None, user_name=NAME)])
    assert only(ledger).state is AdmissionState.LIVE


def test_an_identifier_that_is_used_again_is_another_session(ledger):
    ledger.write([admitted(), START, STOP, admitted(b"two", at=NOW + 500)])
    again = reported("START", at=NOW + 501, access_class=b"two")
    late = reported("INTERIM_UPDATE", at=NOW + 100, input_octets=15)
    ledger.write([again, late, again])
    [first, second] = find(ledger, Wanted())
    assert (first.report.stopped_at, first.report.input_octets) == (NOW + 121, 20)
    assert (second.report.started_at, second.report.stopped_at, second.report.input_octets) == (NOW + 501, None, 0)


def test_one_whose_end_was_lost_ends_when_it_was_last_heard_of(ledger):
    ledger.write([admitted(), START, INTERIM, reported("START", at=NOW + 9000, access_class=None)])
    assert rows_of(ledger, "reports", "started_at, stopped_at") == [(NOW + 1, NOW + 61), (NOW + 9000, None)]


@pytest.mark.parametrize("status", ["ACCOUNTING_ON", "ACCOUNTING_OFF"])
def test_racc_10_an_access_server_that_restarts_has_no_session_left(ledger, status):
    """RFC 2866 section 5.1. What began after that moment, and what is elsewhere, stays."""
    ledger.write(
        [
            admitted(),
            START,
            admitted(b"later", at=NOW + 50),
            admitted(b"elsewhere", nas="ap2.isp.example"),
            admitted(b"others", client="isp"),
            reported(status, at=NOW + 40, session="", access_class=None),
        ]
    )
    states = {row.access_class: (row.state, row.why) for row in find(ledger, Wanted())}
    assert states[b"one"] == (AdmissionState.GONE, "nas-reboot")
    assert {states[name][0] for name in (b"later", b"elsewhere", b"others")} == {AdmissionState.LIVE}
    [(stopped, cause)] = rows_of(ledger, "reports", "stopped_at, cause")
    assert (stopped, cause) == (NOW + 40, AcctTerminateCause.NAS_REBOOT)


def test_racc_11_gigawords_above_what_can_be_kept(ledger):
    ledger.write([admitted(), reported("STOP", at=NOW + 9, input_octets=2**64 - 1)])
    assert only(ledger).report.input_octets == LARGEST


def test_text_of_an_access_server_confuses_neither_database_nor_terminal(ledger):
    hostile = "a\x00b\x1b[31m\u202e'); DROP TABLE reports; --"
    ledger.write([reported("START", at=NOW, user_name=hostile, nas=hostile, session=hostile, calling_station=hostile)])
    [(user_name, nas)] = rows_of(ledger, "reports", "user_name, nas")
    assert user_name == nas == "a\\x00b\\x1b[31m\\x202e'); DROP TABLE reports; --"
    ledger.write([reported("STOP", at=NOW + 1, nas=hostile, session=hostile)])
    assert rows_of(ledger, "reports", "stopped_at") == [(NOW + 1,)]


def test_a_batch_is_written_wholly_or_not_at_all(ledger):
    broken = admitted(b"two", name=OTHER, network=None)  # what the table refuses
    with pytest.raises(AccountingFailed):
        ledger.write([admitted(), broken])
    assert list(find(ledger, Wanted())) == []


def test_what_is_looked_for(ledger):
    ledger.write(
        [
            admitted(),
            admitted(b"two", name=OTHER),
            admitted(b"three", network="staff"),
            Ended(access_class=b"two", state=AdmissionState.EXPIRED, at=NOW + 100),
        ]
    )

    def found(**wanted):
        return [row.access_class for row in find(ledger, Wanted(**wanted))]

    assert found() == [b"one", b"two", b"three"]
    assert found(name=OTHER) == [b"two"]
    assert found(network="staff") == [b"three"]
    assert found(live=True) == [b"one", b"three"]
    assert found(since=NOW + 101) == [b"one", b"three"]
    assert found(since=NOW + 100, network="visitors") == [b"one", b"two"]


def test_many_are_read_in_pages(ledger):
    ledger.write(admitted(f"{number}".encode(), worker=number % 2) for number in range(PAGE + 3))
    assert [row.access_class for row in find(ledger, Wanted())] == [f"{number}".encode() for number in range(PAGE + 3)]
    assert len(list(kept(ledger, worker=0, workers=1))) == PAGE + 3


def test_after_a_restart_each_session_falls_to_one_worker(ledger):
    ledger.write([admitted(bytes((number,)), worker=number) for number in range(6)])
    ledger.write([Ended(access_class=b"\x05", state=AdmissionState.EXPIRED, at=NOW)])
    shares = [{row.access_class for row in kept(ledger, worker=worker, workers=2)} for worker in range(2)]
    assert shares == [{b"\x00", b"\x02", b"\x04"}, {b"\x01", b"\x03"}]


def test_what_is_kept_says_who_it_is_and_how_its_access_server_knows_it(ledger):
    ledger.write([admitted(), START, Marked(access_class=b"one", why="no-tlsa")])
    [row] = kept(ledger, worker=0, workers=1)
    assert row.claim == claim()
    assert (row.state, row.why, row.nas) == (AdmissionState.CUTTING, "no-tlsa", NAS)
    assert row.identification == ((1, NAME.encode()), (31, b"02-00-00-00-00-01"), (44, b"s1"))


def test_a_damaged_claim_is_said_to_be_none(ledger):
    ledger.write([admitted()])
    with ledger.database.writing() as connection:
        connection.execute(text("UPDATE admissions SET claim = :damaged"), {"damaged": b"{}"})
    [row] = kept(ledger, worker=0, workers=1)
    assert (row.claim, row.access_class) == (None, b"one")


def test_secrets_are_made_once(ledger, accounting_place):
    first = ledger.secret(CLASS)
    with Ledger.open(accounting_place) as again:
        assert again.secret(CLASS) == first
        assert again.secret(ROUTING) != first
    assert len(first) == 32


def test_pruning_forgets_what_is_long_over_and_nothing_else(ledger):
    ledger.write(
        [admitted(), START, STOP, admitted(b"in"), reported("START", at=NOW + 1, session="s2", access_class=b"in")]
    )
    ledger.write([admitted(b"new", at=NOW + 900), reported("STOP", at=NOW + 901, session="s3", access_class=b"new")])
    ledger.write([reported("START", at=NOW, session="s4", access_class=None)])
    assert ledger.prune(before=NOW + 800) == 3
    assert [row.access_class for row in find(ledger, Wanted())] == [b"in", b"new"]
    assert rows_of(ledger, "reports", "session") == [("s2",), ("s3",)]
    assert ledger.prune(before=NOW + 800) == 0
