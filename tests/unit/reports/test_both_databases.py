"""The same story in either database: taken, again, after a gap, in quarantine, judged again, archived, forgotten."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from dnsbound.edge.report_receiver import Standing
from dnsbound.errors import Reason
from dnsbound.objects.report_order import Order
from dnsbound.provision.reports.outbox import Outbox
from dnsbound.provision.reports.reading import received_reports, whole_report
from unit.reports.estate import NOW, Estate, run


@pytest.fixture
def estate(tmp_path: Path, report_place: str) -> Iterator[Estate]:
    made = Estate(tmp_path, store=report_place)
    yield made
    made.close()


def test_a_receivers_story(estate: Estate) -> None:
    tokens = [estate.made().token for _ in range(4)]
    orders = [estate.received(tokens[number], archive=True).order for number in (0, 3, 2)]
    assert orders == [Order.FIRST, Order.GAP, Order.LATE]
    assert estate.received(tokens[0]).again
    with Outbox.open(estate.place / "twin.db", create=True) as twin:
        assert estate.received(estate.sender(outbox=twin).make({}).token).reason is Reason.REPLAYED
    estate.lookups.down = True
    assert estate.received(tokens[1]).standing is Standing.UNDECIDED
    estate.lookups.down = False
    estate.clock.now += 1
    assert [answer.order for answer in run(estate.receiver().judge_again())] == [Order.LATE]
    assert [kept.reason for kept in estate.intake.quarantine.reports()] == [Reason.REPLAYED]
    assert [report.sequence for report in received_reports(estate.intake.database)] == [1, 4, 3, 2]
    assert whole_report(estate.intake.database, 1).archive is not None
    assert estate.intake.quarantine.prune(before=NOW + 10) == 1
    assert estate.intake.prune(before=NOW + 10, now=NOW + 1_000_000) == 4
    assert list(received_reports(estate.intake.database)) == []


def test_a_senders_story(tmp_path: Path, report_place: str, estate: Estate) -> None:
    with Outbox.open(report_place) as outbox:
        sender = estate.sender(outbox=outbox)
        assert [sender.make({}).sequence for _ in range(3)] == [1, 2, 3]
        assert run(sender.send_waiting(estate.by_hand)).accepted == 3
        assert outbox.prune(before=NOW + 1) == 3
        assert sender.make({}).sequence == 4


def test_what_was_forgotten_is_not_taken_again(estate: Estate) -> None:
    token = estate.sender(lifetime=60).make({}).token
    assert estate.received(token).standing is Standing.ACCEPTED
    estate.clock.now += 1000
    assert estate.intake.prune(before=NOW + 1, now=NOW + 1000) == 1
    assert estate.received(token).reason is Reason.STALE
    estate.clock.now = NOW  # as if the clock were set back: nothing that was taken says so any more, but the count
    answer = estate.received(token)
    assert (answer.standing, answer.reason) == (Standing.REFUSED, Reason.OUT_OF_SEQUENCE)
