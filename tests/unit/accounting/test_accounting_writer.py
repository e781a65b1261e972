"""The thread that writes accounting: what is acknowledged is written, and a database that is down stops nobody."""

import threading
import time
from contextlib import closing

import pytest
from sqlalchemy.exc import IntegrityError

from dnsbound.edge.accounting_writer import AccountingWriter
from dnsbound.errors import LimitExceeded
from dnsbound.provision.accounting.entries import AdmissionState, Ended, Renewed
from dnsbound.provision.accounting.ledger import Ledger
from dnsbound.provision.accounting.reading import Wanted, find
from dnsbound.provision.errors import AccountingFailed
from unit.accounting.entries import NOW, admitted, reported

WAIT = 20.0


class Kept:
    """A ledger in memory that can be down, slow, or refuse an entry."""

    def __init__(self):
        self.entries = []
        self.batches = []
        self.down = False
        self.refused = ()
        self.gate = threading.Event()
        self.gate.set()
        self.entered = threading.Event()
        self.tried = threading.Semaphore(0)
        self.pruned = []

    def write(self, entries):
        self.entered.set()
        assert self.gate.wait(WAIT)
        self.tried.release()
        if self.down:
            raise AccountingFailed("down")
        if any(entry in self.refused for entry in entries):
            raise AccountingFailed("refused") from IntegrityError("", None, Exception("constraint"))
        self.batches.append(len(entries))
        self.entries += entries

    def prune(self, *, before):
        self.pruned.append(before)
        return 0


@pytest.fixture
def kept():
    return Kept()


@pytest.fixture
def writer(kept):
    with closing(AccountingWriter(kept, retry_seconds=0.01)) as made:
        yield made
        kept.gate.set()
        kept.down = False


def report(number):
    return reported("START", at=NOW + number, session=f"s{number}")


def test_racc_12_a_report_is_acknowledged_when_it_is_written(kept, writer):
    """RFC 2866 section 2: the server acknowledges what it has recorded."""
    kept.gate.clear()
    written = writer.report(report(1))
    assert kept.entered.wait(WAIT)
    assert not written.done()
    kept.gate.set()
    written.result(WAIT)
    assert kept.entries == [report(1)]


def test_racc_13_a_report_is_not_acknowledged_while_the_database_is_down(kept, writer):
    """RFC 2866 section 3: what cannot be recorded gets no answer, so that the access server repeats it."""
    kept.down = True
    with pytest.raises(AccountingFailed):
        writer.report(report(1)).result(WAIT)
    assert (writer.counters.is_down, writer.counters.unacknowledged) == (True, 1)
    kept.down = False
    deadline = time.monotonic() + WAIT
    while time.monotonic() < deadline:
        try:
            writer.report(report(2)).result(WAIT)
            break
        except AccountingFailed:
            continue
    assert kept.entries == [report(2)]
    assert not writer.counters.is_down


def test_what_this_server_did_waits_for_the_database_in_order(kept, writer):
    kept.down = True
    entries = [admitted(), Ended(access_class=b"one", state=AdmissionState.EXPIRED, at=NOW), admitted(b"two")]
    for entry in entries:
        writer.keep(entry)
    for _ in range(3):
        assert kept.tried.acquire(timeout=WAIT)
    kept.down = False
    writer.close()
    assert kept.entries == entries


def test_reports_are_written_behind_what_they_belong_to(kept, writer):
    kept.gate.clear()
    writer.keep(admitted())
    written = writer.report(report(1))
    kept.gate.set()
    written.result(WAIT)
    assert kept.entries == [admitted(), report(1)]


def test_what_waits_is_written_together(kept):
    with closing(AccountingWriter(kept, batch=10)) as writer:
        kept.gate.clear()
        first = writer.report(report(0))
        assert kept.entered.wait(WAIT)
        others = [writer.report(report(number)) for number in range(1, 26)]
        kept.gate.set()
        for written in (first, *others):
            written.result(WAIT)
    assert kept.batches == [1, 10, 10, 5]


def test_an_entry_that_is_refused_fails_alone(kept, writer):
    kept.refused = (report(1),)
    kept.gate.clear()
    first = writer.report(report(0))
    assert kept.entered.wait(WAIT)
    bad, good = writer.report(report(1)), writer.report(report(2))
    kept.gate.set()
    with pytest.raises(AccountingFailed):
        bad.result(WAIT)
    good.result(WAIT)
    first.result(WAIT)
    assert (writer.counters.refused, writer.counters.is_down) == (1, False)


def test_a_flood_of_reports_has_a_bound(kept):
    with closing(AccountingWriter(kept, queue=16, batch=1)) as writer:
        kept.gate.clear()
        futures = [writer.report(report(number)) for number in range(1000)]
        full = [future for future in futures if future.done() and isinstance(future.exception(), LimitExceeded)]
        assert len(full) == 1000 - 16
        assert writer.counters.waiting <= 16
        # What this server does is not crowded out.
        writer.keep(admitted())
        kept.gate.set()
    assert admitted() in kept.entries
    assert writer.counters.unacknowledged == 1000 - 16


def test_what_cannot_be_kept_any_longer_is_counted(kept):
    with closing(AccountingWriter(kept, kept=16, retry_seconds=0.01)) as writer:
        kept.gate.clear()
        writer.keep(admitted())
        assert kept.entered.wait(WAIT)
        for number in range(20):
            writer.keep(admitted(f"{number}".encode()))
        assert writer.counters.lost == 4
        kept.gate.set()


def test_of_newer_evidence_only_the_newest_is_written(kept, writer):
    for number in range(100):
        writer.renew(b"one", NOW + number)
        writer.renew(b"two", NOW)
    writer.close()
    assert sorted(kept.entries, key=lambda entry: entry.access_class) == [
        Renewed(access_class=b"one", holds_until=NOW + 99),
        Renewed(access_class=b"two", holds_until=NOW),
    ]


def test_what_is_old_is_forgotten_now_and_then(kept):
    with closing(AccountingWriter(kept, keep_seconds=100.0, clock=lambda: NOW)) as writer:
        writer.report(report(1)).result(WAIT)
        writer.report(report(2)).result(WAIT)
    assert kept.pruned == [NOW - 100.0]


def test_it_ends_in_bounded_time_when_the_database_is_down(kept):
    writer = AccountingWriter(kept, retry_seconds=0.01)
    kept.down = True
    writer.keep(admitted())
    assert kept.tried.acquire(timeout=WAIT)
    writer.close()
    assert not writer._thread.is_alive()
    assert writer.report(report(1)).exception(0) is not None


def test_with_a_real_database(accounting_place):
    with Ledger.open(accounting_place, create=True) as ledger:
        with closing(AccountingWriter(ledger)) as writer:
            writer.keep(admitted())
            writer.report(reported("START", at=NOW + 1)).result(WAIT)
        [row] = find(ledger, Wanted())
        assert row.report.started_at == NOW + 1
