"""Senders and receivers of reports that are killed, run out of disk, or work on one store at once: no number is given
twice, no report is taken twice, and none is lost."""

import asyncio
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event, text

from dnsbound.credential.credential import Credential
from dnsbound.edge.report_receiver import ReportReceiver, Standing
from dnsbound.errors import LimitExceeded, Reason
from dnsbound.object_limits import REPORT_OCTETS
from dnsbound.provision.errors import ReportStoreFailed
from dnsbound.provision.reports.outbox import Outbox, SentState
from dnsbound.provision.reports.quarantine import Quarantine, QuarantineState, Unjudged
from unit.reports.estate import CAR, NOW, Estate, run

SENDER = """
import os, signal, sys
from dnsbound.edge.credential_files import load_credential
from dnsbound.edge.report_sender import ReportSender
from dnsbound.provision.reports.outbox import Outbox

place, key, count, moment = sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4]

class Mortal(ReportSender):
    def _signed(self, draft, place):
        token = super()._signed(draft, place)
        if moment == "signed":
            os.kill(os.getpid(), signal.SIGKILL)
        return token

with Outbox.open(place, create=True) as outbox:
    sender = Mortal(load_credential(key), outbox, "report.gov.example", None)
    for number in range(count):
        sender.make({"number": number})
        if moment == "kept":
            os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.fixture
def estate(tmp_path: Path) -> Iterator[Estate]:
    made = Estate(tmp_path)
    (tmp_path / "car.pem").write_bytes(made.car.credential.to_pem())
    (tmp_path / "car.pem").chmod(0o600)
    yield made
    made.close()


def begun(estate: Estate, count: int, moment: str = "") -> "subprocess.Popen[bytes]":
    arguments = [str(estate.place / "car.db"), str(estate.place / "car.pem"), str(count), moment]
    return subprocess.Popen([sys.executable, "-c", SENDER, *arguments])


def test_rq_08_a_sender_killed_before_its_report_is_kept_has_counted_nothing(estate: Estate) -> None:
    assert begun(estate, 1, "signed").wait(60) == -signal.SIGKILL
    assert list(estate.outbox.reports()) == []
    assert estate.made().sequence == 1


def test_rq_08_a_sender_killed_afterwards_sends_it_later(estate: Estate) -> None:
    assert begun(estate, 1, "kept").wait(60) == -signal.SIGKILL
    [kept] = estate.outbox.reports()
    assert (kept.sequence, kept.state) == (1, SentState.WAITING)
    # Made by the clock of this machine: its receiver has that one too.
    estate.clock.now = kept.made_at
    assert estate.made().sequence == 2
    assert [report.sequence for report in estate.outbox.reports()] == [1, 2]


def test_rq_08_two_senders_at_one_outbox_share_no_number(estate: Estate) -> None:
    processes = [begun(estate, 25) for _ in range(2)]
    assert [process.wait(60) for process in processes] == [0, 0]
    reports = list(estate.outbox.reports())
    assert [report.sequence for report in reports] == list(range(1, 51))
    # And each names the one before.
    estate.clock.now = reports[-1].made_at
    orders = Counter(str(estate.received(report.token).order) for report in reports)
    assert orders == {"first": 1, "next": 49}


class Died(Exception):
    """In place of SIGKILL within the receiver: everything after it is not done."""


def test_a_receiver_that_dies_before_it_wrote_takes_the_report_later(
    estate: Estate, monkeypatch: pytest.MonkeyPatch
) -> None:
    token = estate.made().token

    def die(*_arguments: Any) -> bytes:
        raise Died

    with monkeypatch.context() as patch:
        patch.setattr(ReportReceiver, "_receipt", die)
        with pytest.raises((Died, asyncio.CancelledError)):
            estate.received(token)
    answer = estate.received(token)
    assert (answer.standing, answer.again) == (Standing.ACCEPTED, False)


def test_a_receiver_that_dies_before_it_answered_gives_the_same_receipt(estate: Estate) -> None:
    token = estate.made().token
    first = estate.received(token)  # and nobody hears of it

    async def later(sent: bytes) -> bytes | None:
        answer = await estate.receiver().receive(sent)
        assert answer.again
        return answer.receipt

    assert estate.sent(later).accepted == 1
    [kept] = estate.outbox.reports()
    assert kept.receipt == first.receipt


def full_after(estate: Estate, pages: int) -> Any:
    """From here on the store has room for so many pages more."""
    engine = estate.intake.database.engine()

    def limit(connection: Any, _record: Any, _proxy: Any) -> None:
        [used] = connection.execute("PRAGMA page_count").fetchone()
        connection.execute(f"PRAGMA max_page_count = {used + pages}")

    event.listen(engine, "checkout", limit)
    return lambda: event.remove(engine, "checkout", limit)


@pytest.mark.parametrize("pages", [0, 1, 8, 32])
def test_a_full_disk_takes_nothing_by_halves(estate: Estate, pages: int) -> None:
    token = estate.made({"text": "a" * 180_000}).token
    lift = full_after(estate, pages)
    try:
        with pytest.raises(ReportStoreFailed):
            estate.received(token, archive=True)
    finally:
        lift()
    with estate.intake.database.writing() as connection:
        connection.execute(text("PRAGMA max_page_count = 1000000"))
    answer = estate.received(token, archive=True)
    assert (answer.standing, answer.again) == (Standing.ACCEPTED, False)


def test_many_at_once_are_each_taken_once(estate: Estate) -> None:
    tokens = [estate.made({"number": number}).token for number in range(30)]

    async def all_at_once() -> Counter[tuple[str, bool]]:
        receiver = estate.receiver()
        answers = await asyncio.gather(*(receiver.receive(token) for token in tokens * 3))
        await receiver.close()
        return Counter((answer.standing.value, answer.again) for answer in answers)

    assert run(all_at_once()) == {("accepted", False): 30, ("accepted", True): 60}


def unjudged(number: int, issuer: str = CAR, **fields: Any) -> Unjudged:
    token = f"token {number} of {issuer}".encode()
    return Unjudged(
        issuer=issuer, token=token, digest=sha256(token).digest(), received_at=NOW, source="192.0.2.7", **fields
    )


def test_rq_10_the_quarantine_is_bounded_for_each_and_for_all(estate: Estate) -> None:
    quarantine = Quarantine(estate.intake.database, per_signer=3, reports=10)

    def keep(what: Unjudged) -> bool:
        return quarantine.keep(what, QuarantineState.UNDECIDED, Reason.DNS_FAILED, "", now=NOW)

    assert [keep(unjudged(number)) for number in range(5)] == [True, True, True, False, False]
    assert keep(unjudged(0)), "what is there already needs no room"
    assert [keep(unjudged(number, "car55._device.cars.example")) for number in range(3)] == [True, True, False]
    assert quarantine.prune(before=NOW + 1) == 5
    assert keep(unjudged(9))


def test_rq_10_strangers_do_not_fill_the_share_of_a_key_that_is_known(estate: Estate) -> None:
    """With the DNS down nobody can tell Mallory from the car, but for the key the car has reported by before."""
    assert estate.received(estate.made().token).standing is Standing.ACCEPTED
    estate.lookups.down = True
    intake = estate.intake
    intake.quarantine = Quarantine(intake.database, per_signer=3)
    with Outbox.open(estate.place / "mallory.db", create=True) as outbox:
        mallory = estate.sender(Credential.generate(CAR, now=NOW), outbox)
        kept = [estate.received(mallory.make({}).token).kept for _ in range(5)]
    assert kept == [True, True, True, False, False]
    assert estate.received(estate.made().token).kept


def test_a_report_as_long_as_may_be(estate: Estate) -> None:
    room = REPORT_OCTETS.default * 3 // 4 - 1500
    assert estate.received(estate.made({"text": "a" * room}).token).standing is Standing.ACCEPTED


def test_a_receiver_with_too_much_to_do_says_so(estate: Estate) -> None:
    tokens = [estate.made().token for _ in range(3)]

    async def three() -> list[object]:
        receiver = estate.receiver(at_once=2)
        answers = await asyncio.gather(*(receiver.receive(token) for token in tokens), return_exceptions=True)
        await receiver.close()
        return [type(answer) for answer in answers]

    assert run(three()).count(LimitExceeded) == 1
