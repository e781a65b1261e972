"""A car reports, an office that never meets it receives; and years later somebody judges the report again.

Each is a program of its own in life: the car has its outbox, the office its store, and HTTP is between them.
"""

import asyncio
import time

import stage

import dnsbound
from dnsbound.edge.report_archive import verify_archived
from dnsbound.edge.report_chains import ReportChains
from dnsbound.edge.report_receiver import ReportReceiver
from dnsbound.edge.report_sender import ReportSender
from dnsbound.provision.reports.intake import Intake
from dnsbound.provision.reports.outbox import Outbox
from dnsbound.provision.reports.reading import whole_report

CAR = "car54._device.cars.example"
OFFICE = "report.gov.example"


async def main() -> None:
    with stage.stage() as at:
        resolver = at.world.resolver()
        office = at.world.organisation("gov.example").identity("report").credential
        car = dnsbound.load_credential(at.files / "car54.pem")

        with (
            Outbox.open(at.files / "out.db", create=True) as outbox,
            Intake.open(at.files / "in.db", create=True) as intake,
        ):
            access = dnsbound.AccessList.allowing("reports", ["*._device.cars.example"])
            verifier = dnsbound.ObjectVerifier(access, resolver, door="reports")
            receiver = ReportReceiver(office, intake, verifier, chains=ReportChains(resolver))

            async def deliver(token: bytes) -> bytes | None:  # in life: dnsbound.edge.report_http.http_delivery(url)
                return (await receiver.receive(token)).receipt

            receipts = dnsbound.ObjectVerifier.expecting([OFFICE], resolver)
            sender = ReportSender(car, outbox, OFFICE, receipts)
            sender.make({"route": [[52.52, 13.40], [52.39, 13.06]], "km": 35})
            print(await sender.send_waiting(deliver))  # Delivery(accepted=1, ...

            again = await receiver.receive(next(outbox.reports()).token)
            print(again.standing, again.again)  # accepted True: and taken once

            archive = whole_report(intake.database, 1).archive
            at.world.organisation("cars.example").remove(CAR)
            resolver.forget(CAR)  # in life its TTL ends
            late = sender.make({"route": []})
            print((await receiver.receive(late.token)).reason)  # no-tlsa: it is revoked

        assert archive is not None
        verified = verify_archived(archive, names=[CAR], receivers=[OFFICE], anchors=at.world.anchors)
        print(verified.signed.name, verified.report.content["km"], verified.at <= time.time())


if __name__ == "__main__":
    asyncio.run(main())
