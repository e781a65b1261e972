"""Where reports, their receipts and their archives are read: octets of strangers, before anybody's key is looked up."""

from functools import cache

from dnsbound.credential.credential import Credential
from dnsbound.errors import Reason
from dnsbound.names import ClientName
from dnsbound.objects import receipt as receipts
from dnsbound.objects import report as reports
from dnsbound.objects.archive import Archive
from dnsbound.objects.jose import jws
from dnsbound.objects.jose.jwt import read_claims
from dnsbound.objects.receipt import Receipt
from dnsbound.objects.report import Report
from dnsbound.objects.report_claims import sign_claims
from dnsbound.objects.report_order import Order
from fuzz.target import Target

NOW = 1_790_000_000.0
CAR = ClientName.parse("car54._device.cars.example")
OFFICE = ClientName.parse("report.gov.example")


@cache
def credential() -> Credential:
    return Credential.generate(CAR, now=NOW)


def report(sequence: int = 1, previous: bytes | None = None) -> Report:
    return Report(
        issuer=CAR,
        audience=(OFFICE,),
        issued_at=NOW,
        expires_at=NOW + 86_400,
        identifier=b"i" * 16,
        sequence=sequence,
        previous=previous,
        not_before=NOW,
        event_at=NOW - 0.5,
        content={"km": 12, "route": [[52.5, 13.4]]},
    )


@cache
def report_tokens() -> list[bytes]:
    claims = [report().to_claims(), report(2**53 - 1, b"p" * 32).to_claims()]
    return [
        sign_claims(each, credential(), typ=reports.TYP, key_in_band=number > 0) for number, each in enumerate(claims)
    ]


@cache
def receipt_tokens() -> list[bytes]:
    made = [
        Receipt.of(
            report(),
            b"d" * 32,
            receiver=CAR,
            received_at=NOW,
            judged_at=NOW + 0.5,
            outcome=outcome,
            evidence=b"e" * 32,
        )
        for outcome in (Order.GAP, Reason.STALE)
    ]
    return [sign_claims(each.to_claims(), credential(), typ=receipts.TYP) for each in made]


def archives() -> list[bytes]:
    bare = Archive(object=report_tokens()[0], signer=CAR, chain=b"c" * 64)
    full = Archive(
        object=report_tokens()[1],
        signer=CAR,
        chain=b"c" * 64,
        receipt=receipt_tokens()[0],
        receiver=OFFICE,
        receiver_chain=b"r" * 64,
    )
    return [bare.to_wire(), full.to_wire()]


def read_report(octets: bytes) -> Report:
    found = Report.from_jwt(read_claims(jws.parse(octets, typ=reports.TYP)))
    found.to_claims()
    return found


def read_receipt(octets: bytes) -> Receipt:
    found = Receipt.from_jwt(read_claims(jws.parse(octets, typ=receipts.TYP)))
    found.to_claims()
    return found


REPORT_TARGETS: dict[str, Target] = {
    "report": Target(read_report, report_tokens),
    "receipt": Target(read_receipt, receipt_tokens),
    "archive": Target(Archive.from_wire, archives),
}
