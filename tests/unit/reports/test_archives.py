"""A report judged again when its signer's records are long gone: by its own evidence, by the anchors of then."""

import json
from dataclasses import replace
from hashlib import sha256
from typing import Any

import pytest

from dnsbound.credential.credential import Credential
from dnsbound.dns.anchors import TrustAnchors
from dnsbound.edge.report_archive import VerifiedArchive, verify_archived
from dnsbound.edge.report_receiver import Standing
from dnsbound.errors import LimitExceeded, Malformed, Misuse, Reason, Refused, Undecided
from dnsbound.names import ClientName
from dnsbound.objects.archive import Archive, is_archive
from dnsbound.objects.receipt import TYP as RECEIPT_TYP
from dnsbound.objects.receipt import Receipt
from dnsbound.objects.report_claims import sign_claims
from dnsbound.objects.report_order import Order
from dnsbound.provision.reports.reading import received_reports, whole_report
from unit.reports.estate import CAR, NOW, OFFICE, Estate

DAY = 86_400.0


@pytest.fixture
def archive(estate: Estate) -> Archive:
    answer = estate.received(estate.made({"route": [7]}).token, archive=True)
    assert answer.standing is Standing.ACCEPTED
    [taken] = received_reports(estate.intake.database)
    assert taken.archived
    found = whole_report(estate.intake.database, taken.number).archive
    assert found is not None
    return found


def judge(estate: Estate, archive: Archive, **options: Any) -> VerifiedArchive:
    chosen: dict[str, Any] = {"names": [CAR], "receivers": [OFFICE], "anchors": estate.world.anchors}
    return verify_archived(archive, **(chosen | options))


def refusal(estate: Estate, archive: Archive, **options: Any) -> Reason:
    with pytest.raises((Refused, Undecided)) as caught:
        judge(estate, archive, **options)
    return caught.value.reason


def test_rq_12_an_archive_holds_after_revocation_and_without_the_dns(estate: Estate, archive: Archive) -> None:
    estate.car.revoke()
    estate.office.revoke()
    estate.clock.now += 3650 * DAY
    verified = judge(estate, archive)
    assert (verified.signed.name.text, verified.at) == (CAR, NOW)
    assert verified.report.content["route"] == [7]
    assert verified.receipt is not None
    assert (verified.receipt.receiver.text, verified.receipt.received_at) == (OFFICE, NOW)


def test_rq_12_a_time_may_be_given_instead(estate: Estate, archive: Archive) -> None:
    verified = judge(estate, archive, receivers=[], at=NOW + 60)
    assert verified.receipt is None
    assert verified.at == NOW + 60
    for at in (NOW - 10 * DAY, NOW + 10 * DAY):
        assert refusal(estate, archive, receivers=[], at=at) is Reason.BOGUS


def test_a_time_after_the_end_of_the_report(estate: Estate) -> None:
    answer = estate.received(estate.sender(lifetime=60).make({}).token, archive=True)
    assert answer.standing is Standing.ACCEPTED
    found = whole_report(estate.intake.database, 1).archive
    assert found is not None
    assert refusal(estate, found, receivers=[], at=NOW + 1000) is Reason.STALE
    judge(estate, found)


def test_somebody_must_be_expected_and_somebody_must_say_when(estate: Estate, archive: Archive) -> None:
    with pytest.raises(Misuse):
        judge(estate, archive, names=[])
    with pytest.raises(Misuse):
        judge(estate, archive, receivers=[])


def test_others_than_those_who_are_expected(estate: Estate, archive: Archive) -> None:
    assert refusal(estate, archive, names=["truck1._device.trucks.example"]) is Reason.NOT_PERMITTED
    assert refusal(estate, archive, receivers=["other.gov.example"]) is Reason.NOT_PERMITTED


def test_other_anchors(estate: Estate, archive: Archive) -> None:
    assert refusal(estate, archive, anchors=TrustAnchors.root()) is Reason.BOGUS


def test_rq_11_a_receipt_vouches_for_report_time_and_evidence_together(estate: Estate, archive: Archive) -> None:
    estate.clock.now += 1
    answer = estate.received(estate.made({"route": [8]}).token, archive=True)
    assert answer.standing is Standing.ACCEPTED
    other = whole_report(estate.intake.database, 2).archive
    assert other is not None
    assert refusal(estate, replace(archive, object=other.object)) is Reason.BAD_SIGNATURE
    estate.clock.now += 10_000
    chain = estate.world.chain(CAR, at=NOW + 100).octets
    assert chain != archive.chain
    assert refusal(estate, replace(archive, chain=chain)) is Reason.BAD_SIGNATURE


def test_mallory_makes_an_archive(estate: Estate, archive: Archive) -> None:
    mallory = Credential.generate(CAR, now=NOW)
    token = estate.sender(mallory).make({"route": []}).token
    forged = replace(archive, object=token)
    assert refusal(estate, forged, receivers=[], at=NOW) is Reason.TLSA_MISMATCH


def test_a_receipt_by_another_key_than_the_receivers(estate: Estate, archive: Archive) -> None:
    forger = Credential.generate(OFFICE, now=NOW)
    report = judge(estate, archive).report
    receipt = Receipt.of(
        report,
        sha256(archive.object).digest(),
        receiver=ClientName.parse(OFFICE),
        received_at=NOW,
        judged_at=NOW,
        outcome=Order.FIRST,
        evidence=sha256(archive.chain).digest(),
    )
    forged = replace(archive, receipt=sign_claims(receipt.to_claims(), forger, typ=RECEIPT_TYP))
    assert refusal(estate, forged) is Reason.TLSA_MISMATCH


def test_a_receipt_that_says_no(estate: Estate, archive: Archive) -> None:
    report = judge(estate, archive).report
    receipt = Receipt.of(
        report,
        sha256(archive.object).digest(),
        receiver=ClientName.parse(OFFICE),
        received_at=NOW,
        judged_at=NOW,
        outcome=Reason.STALE,
        evidence=sha256(archive.chain).digest(),
    )
    said = replace(archive, receipt=sign_claims(receipt.to_claims(), estate.office.credential, typ=RECEIPT_TYP))
    assert refusal(estate, said) is Reason.BAD_SIGNATURE


def test_no_receipt_in_the_archive(estate: Estate, archive: Archive) -> None:
    bare = replace(archive, receipt=None, receiver=None, receiver_chain=None)
    assert refusal(estate, bare) is Reason.NO_CREDENTIAL
    assert judge(estate, bare, receivers=[], at=NOW).signed.name.text == CAR
    with pytest.raises(Misuse):
        replace(archive, receipt=None)


def test_the_file_is_what_it_was(archive: Archive) -> None:
    octets = archive.to_wire()
    assert is_archive(octets)
    assert Archive.from_wire(octets) == archive
    bare = replace(archive, receipt=None, receiver=None, receiver_chain=None)
    assert Archive.from_wire(bare.to_wire()) == bare


@pytest.mark.parametrize(
    "change",
    [
        {"dnsbound-archive": 2},
        {"dnsbound-archive": True},
        {"signer": "car"},
        {"signer": 7},
        {"object": ""},
        {"object": "a"},
        {"object": None},
        {"chain": "é"},
        {"receipt": 7},
        {"receiver": None},
        {"more": 1},
    ],
)
def test_what_is_no_archive(archive: Archive, change: dict[str, Any]) -> None:
    members = json.loads(archive.to_wire()) | change
    with pytest.raises(Malformed):
        Archive.from_wire(json.dumps(members).encode())


@pytest.mark.parametrize("missing", ["object", "signer", "chain", "receipt", "receiver", "receiver_chain"])
def test_an_archive_with_something_missing(archive: Archive, missing: str) -> None:
    members = json.loads(archive.to_wire())
    del members[missing]
    with pytest.raises(Malformed):
        Archive.from_wire(json.dumps(members).encode())


def test_an_archive_that_is_too_long() -> None:
    with pytest.raises(LimitExceeded):
        Archive.from_wire(b" " * 25_165_825)


def test_without_evidence_nothing_is_taken_where_evidence_is_kept(estate: Estate) -> None:
    token = estate.made().token
    receiver_name = OFFICE
    estate.office.revoke()
    answer = estate.received(token, archive=True)
    assert (answer.standing, answer.reason, answer.kept) == (Standing.UNDECIDED, Reason.INDETERMINATE, True)
    assert receiver_name in answer.detail
    estate.office.publish()
    assert estate.received(token, archive=True).standing is Standing.ACCEPTED
    assert list(estate.intake.quarantine.reports()) == []


def test_one_chain_serves_many_reports(estate: Estate) -> None:
    for _ in range(5):
        assert estate.received(estate.made().token, archive=True).standing is Standing.ACCEPTED
    archives = [whole_report(estate.intake.database, number).archive for number in range(1, 6)]
    assert len({found.chain for found in archives if found is not None}) == 1
    assert estate.intake.prune(before=NOW + 1, now=NOW + 2 * DAY) == 5
    with estate.intake.database.reading() as connection:
        assert connection.exec_driver_sql("SELECT count(*) FROM chains").scalar_one() == 0
