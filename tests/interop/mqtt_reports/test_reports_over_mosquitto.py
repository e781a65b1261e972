"""Reports and receipts through a real broker that nobody trusts: Mosquitto, with aiomqtt at both ends."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import aiomqtt
import pytest

from dnsbound.adapters.report_mqtt import report_over_mqtt, take_reports
from dnsbound.credential.credential import Credential
from dnsbound.edge.report_sender import Delivery
from dnsbound.errors import Reason
from dnsbound.provision.reports.outbox import Outbox, SentState
from dnsbound.provision.reports.reading import received_reports
from interop.daemon import free_port, started
from unit.reports.estate import CAR, NOW, Estate, run

TOPIC = "reports/report.gov.example"
SECONDS = 20.0

pytestmark = pytest.mark.peer("mosquitto")


@pytest.fixture(scope="module")
def port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """Of a broker that lets everybody in."""
    place = tmp_path_factory.mktemp("broker")
    number = free_port()
    (place / "broker.conf").write_text(f"listener {number} 127.0.0.1\nallow_anonymous true\npersistence false\n")
    with started(["mosquitto", "-c", str(place / "broker.conf")], place / "log") as daemon:

        def listens() -> bool:
            with socket.create_connection(("127.0.0.1", number), 1):
                return True

        daemon.wait_for(listens, "the broker")
        yield number


@pytest.fixture
def estate(tmp_path: Path) -> Iterator[Estate]:
    made = Estate(tmp_path)
    yield made
    made.close()


@contextlib.asynccontextmanager
async def both_ends(estate: Estate, port: int) -> AsyncIterator[aiomqtt.Client]:
    """The car's end, while the office takes reports."""
    async with aiomqtt.Client("127.0.0.1", port) as office, aiomqtt.Client("127.0.0.1", port) as car:
        await office.subscribe(TOPIC, qos=1)  # so that nothing is published before
        receiving = asyncio.create_task(take_reports(office, estate.receiver(), topic=TOPIC))
        try:
            yield car
        finally:
            receiving.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await receiving


def test_reports_get_their_receipts(estate: Estate, port: int) -> None:
    for number in range(3):
        estate.made({"number": number})

    async def report() -> Delivery:
        async with both_ends(estate, port) as car:
            return await report_over_mqtt(car, estate.sender(), topic=TOPIC, seconds=SECONDS)

    delivery = run(report())
    assert (delivery.accepted, delivery.waiting) == (3, 0)
    assert {report.state for report in estate.outbox.reports()} == {SentState.ACCEPTED}
    assert [report.sequence for report in received_reports(estate.intake.database)] == [1, 2, 3]


def test_mallory_publishes_as_the_car(estate: Estate, port: int) -> None:
    with Outbox.open(estate.place / "mallory.db", create=True) as outbox:
        mallory = estate.sender(Credential.generate(CAR, now=NOW), outbox)
        mallory.make({})

        async def report() -> Delivery:
            async with both_ends(estate, port) as car:
                reporting = asyncio.create_task(report_over_mqtt(car, mallory, topic=TOPIC, seconds=0.5))
                while not list(estate.intake.quarantine.reports()):  # noqa: ASYNC110 (rows set no event; `run` bounds it)
                    await asyncio.sleep(0.05)
                return await reporting

        delivery = run(report())
    assert (delivery.accepted, delivery.refused, delivery.waiting) == (0, 0, 1)
    [kept] = estate.intake.quarantine.reports()
    assert kept.reason is Reason.TLSA_MISMATCH
    assert list(received_reports(estate.intake.database)) == []
