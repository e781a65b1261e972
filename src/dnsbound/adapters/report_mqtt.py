"""Reports and receipts over MQTT: glue between a client of aiomqtt, or one like it, and a sender or receiver.

    async with aiomqtt.Client(...) as client:                     # the receiver
        await take_reports(client, receiver, topic="reports/report.gov.example")

    async with aiomqtt.Client(...) as client:                     # the sender
        await report_over_mqtt(client, sender, topic="reports/report.gov.example", seconds=20)

Reports go to one topic. Receipts come back to `receipts/` and the signer's name, where it listens. The broker proves
nothing here and need not be trusted: the signatures say who reported and who received. It may lose, repeat and reorder
what it likes; what has no receipt is sent again. Quality of service 1, nothing retained. MQTT 5 section 4.3.2.

What this is not: a client, or a way to let devices in at a broker (`dnsbound.adapters.amqtt`, the gate).
"""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Any, Final, Protocol

from dnsbound.edge.report_receiver import ReportReceiver
from dnsbound.edge.report_sender import Delivery, ReportSender
from dnsbound.errors import DnsboundError
from dnsbound.names import ClientName
from dnsbound.times import Seconds

RECEIPTS: Final = "receipts"
AT_LEAST_ONCE: Final = 1

_log: Final = logging.getLogger("dnsbound.reports")


class MqttClient(Protocol):
    """What is used of an `aiomqtt.Client` that is connected. Whatever it raises when it is not goes to the caller."""

    @property
    def messages(self) -> AsyncIterator[Any]:
        """Each has a `payload`."""

    async def publish(self, topic: str, payload: bytes, qos: int) -> Any: ...  # noqa: ANN401 (the client's own)

    async def subscribe(self, topic: str, qos: int) -> Any: ...  # noqa: ANN401 (the client's own)


def receipt_topic(name: ClientName, *, prefix: str = RECEIPTS) -> str:
    """Where receipts for reports of this name go. Names have no characters that mean anything in a topic."""
    return f"{prefix}/{name.canonical}"


async def take_reports(client: MqttClient, receiver: ReportReceiver, *, topic: str, receipts: str = RECEIPTS) -> None:
    """Receive whatever comes at a topic until this is cancelled, or the client fails. receipts: prefix of the topics
    where receipts go. What is no report is logged and dropped; so is one that cannot be written down, whose sender goes
    on sending."""
    await client.subscribe(topic, qos=AT_LEAST_ONCE)
    async for message in client.messages:
        try:
            answer = await receiver.receive(bytes(message.payload or b""), source="")
        except DnsboundError as error:
            _log.warning("nothing was taken from %s: %s", topic, error)
            continue
        if answer.receipt is not None:
            await client.publish(receipt_topic(answer.signer, prefix=receipts), answer.receipt, qos=AT_LEAST_ONCE)


async def report_over_mqtt(
    client: MqttClient, sender: ReportSender, *, topic: str, seconds: Seconds, receipts: str = RECEIPTS
) -> Delivery:
    """Publish every report that waits, and take receipts for so long, or until none waits any more. receipts: as at the
    receiver. What became of the reports; those that wait are published the next time again."""
    await client.subscribe(receipt_topic(sender.name, prefix=receipts), qos=AT_LEAST_ONCE)

    async def publish(token: bytes) -> None:
        await client.publish(topic, token, qos=AT_LEAST_ONCE)

    sent = await sender.send_waiting(publish)
    counted = {"accepted": sent.accepted, "refused": sent.refused}
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            while sum(counted.values()) < sent.waiting:
                message = await anext(client.messages)
                with suppress(DnsboundError):
                    receipt = await sender.take_receipt(bytes(message.payload or b""))
                    counted[receipt.verdict.value] += 1
    settled = sum(counted.values())
    return Delivery(
        accepted=counted["accepted"],
        refused=counted["refused"],
        waiting=sent.waiting - settled,
        expired=sent.expired,
        trouble=sent.trouble,
    )
