"""Judging an archived report again: who signed it, and that it held when it was received, with no DNS.

    verify_archived(archive, names=["car54._device.cars.example"], receivers=["report.gov.example"], anchors=anchors)

The one engine judges, with its clock set to the time in question and the chain of the archive as its evidence. Whoever
asks says who may have signed and, unless they know the time themselves, whose word for the time they take: the
receiver's, by its receipt, which was signed with a DNS-bound key as well. What rests on what:

- that this name's key signed these octets: on the trust anchor of then, and on nobody having broken its keys since;
- that it was at this time, and not another while the chain's signatures held: on the receiver's word;
- that the record was there at all: on the zone's own signatures, which name the days between which they hold.

Nothing here says whether the identity was revoked later: a report that held then holds as of then.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from hashlib import sha256
from typing import Final

from dnsbound.dns.anchors import TrustAnchors
from dnsbound.dns.chain_judging import ChainLimits
from dnsbound.edge.object_verifier import EXPECTED, ObjectVerifier
from dnsbound.errors import Malformed, Misuse, Reason, Refused
from dnsbound.limits import CARRIED_OCTETS, CARRIED_RECORDS, CARRIED_SECONDS, CARRIED_SIGNATURES
from dnsbound.object_limits import REPORT_OCTETS, REPORT_SECONDS_TAKEN
from dnsbound.objects import report as reports
from dnsbound.objects.archive import Archive
from dnsbound.objects.jose import jws
from dnsbound.objects.jose.jwt import read_claims
from dnsbound.objects.receipt import TYP as RECEIPT_TYP
from dnsbound.objects.receipt import Receipt, Verdict
from dnsbound.objects.report import Report, ReportRules
from dnsbound.objects.signed import SignedObject, VerifiedObject
from dnsbound.times import Moment
from dnsbound.verify.access import AccessList, AccessSource
from dnsbound.verify.carried import CarriedChains

_SPEND: Final = ChainLimits(
    octets=CARRIED_OCTETS.maximum, records=CARRIED_RECORDS.maximum, signature_checks=CARRIED_SIGNATURES.maximum
)
"""A file that somebody asks about is that one's own cost."""


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifiedArchive:
    """An archived report, and the evidence for who signed it, as of `at`."""

    report: Report
    signed: VerifiedObject
    at: Moment
    receipt: Receipt | None
    """Verified; None when the time is the caller's own, and no receiver was named."""
    received: VerifiedObject | None
    """The evidence for who signed the receipt."""


def verify_archived(
    archive: Archive,
    *,
    names: Iterable[str] = (),
    access: AccessSource | None = None,
    door: str = EXPECTED,
    receivers: Iterable[str] = (),
    anchors: TrustAnchors | None = None,
    at: Moment | None = None,
) -> VerifiedArchive:
    """Judge an archive. names, or access and door: who may have signed the report. receivers: whose word is taken for
    when it was received; without them the caller says when, by `at`. anchors: those of that time, the root's by
    default. at: the moment to judge by, instead of when the receiver judged.

    Refused or Undecided as `ObjectVerifier.verify`; Refused(BAD_SIGNATURE) when the receipt vouches for something else
    than what is in the archive, or says no. Malformed for what is no report. Misuse when nobody may have signed, or
    nobody says when.
    """
    anchors = TrustAnchors.root() if anchors is None else anchors
    expected = list(names)
    if (access is None) == (not expected):
        raise Misuse("say who may have signed: either names, or an access list and a door")
    signers: AccessSource = AccessList.allowing(door, expected) if access is None else access
    trusted = list(receivers)
    if not trusted and at is None:
        raise Misuse("say when it was received (at), or whose word you take for that (receivers)")
    receipt, received = _receipt(archive, trusted, anchors) if trusted else (None, None)
    moment = at if at is not None else _time_of(receipt)
    signed = jws.parse(_bounded(archive.object), typ=reports.TYP)
    claims = read_claims(signed)
    report = Report.from_jwt(claims)
    verified = _judge(signed, archive.chain, signers, door, anchors, at=moment)
    audience = archive.receiver if received is None else received.name
    rules = ReportRules(audience=audience or report.audience[0], longest=REPORT_SECONDS_TAKEN.maximum)
    rules.check(claims, at=moment if receipt is None else min(moment, receipt.received_at))
    return VerifiedArchive(report=report, signed=verified, at=moment, receipt=receipt, received=received)


def _receipt(archive: Archive, receivers: list[str], anchors: TrustAnchors) -> tuple[Receipt, VerifiedObject]:
    """The receipt, once it is certain who signed it and that it vouches for what is here."""
    if archive.receipt is None or archive.receiver_chain is None:
        raise Refused(Reason.NO_CREDENTIAL, "the archive holds no receipt, so nobody says when it was received")
    signed = jws.parse(archive.receipt, typ=RECEIPT_TYP)
    receipt = Receipt.from_jwt(read_claims(signed))
    expected = AccessList.allowing(EXPECTED, receivers)
    verified = _judge(signed, archive.receiver_chain, expected, EXPECTED, anchors, at=receipt.judged_at)
    if receipt.digest != sha256(archive.object).digest() or receipt.evidence != sha256(archive.chain).digest():
        raise Refused(Reason.BAD_SIGNATURE, "the receipt vouches for another report, or for other evidence")
    if receipt.verdict is not Verdict.ACCEPTED:
        raise Refused(Reason.BAD_SIGNATURE, f"the receipt says that the report was refused: {receipt.reason}")
    return receipt, verified


def _time_of(receipt: Receipt | None) -> Moment:
    assert receipt is not None
    return receipt.judged_at


def _judge(
    signed: SignedObject, chain: bytes, access: AccessSource, door: str, anchors: TrustAnchors, *, at: Moment
) -> VerifiedObject:
    """By the chain alone. Its age does not count: it was young when it was put there, and its signatures bound it."""
    carried = CarriedChains([signed.name.canonical], anchors=anchors, max_age=CARRIED_SECONDS.maximum, spend=_SPEND)
    verifier = ObjectVerifier(access, None, door=door, clock=lambda: at, carried_chains=carried, danger_any_clock=True)
    return verifier.verify_blocking(signed, source="archive", carried_chain=chain)


def _bounded(octets: bytes) -> bytes:
    if len(octets) > REPORT_OCTETS.maximum:
        raise Malformed(f"archive: a report of {len(octets)} octets")
    return octets
