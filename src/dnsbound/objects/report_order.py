"""Where a report stands among those its signer sent before: next, after a gap, late, or nowhere.

A receiver keeps, for each signer, the highest sequence number it took, those it took, and a floor below which it has
forgotten them. Whether a report follows is judged by that alone, without a clock or a store: reports may be lost, come
late and come twice, and a signer that lost its memory starts again where nobody was.
"""

from dataclasses import dataclass
from enum import StrEnum

from dnsbound.errors import Reason, Refused
from dnsbound.object_limits import REPORT_GAP
from dnsbound.objects.report import Report


class Order(StrEnum):
    """How a report that is taken follows."""

    FIRST = "first"
    """The first of this signer that this receiver took."""
    NEXT = "next"
    GAP = "gap"
    """Reports before it are missing: lost, or still to come."""
    LATE = "late"
    """One that was missing."""
    RESTART = "restart"
    """After a gap, and it names no report before it: its signer has forgotten what it sent."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Neighbours:
    """What is known of the reports of one signer around one sequence number."""

    highest: int = 0
    """Taken so far; 0 before the first."""
    floor: int = 0
    """Nothing is known any more of reports up to here."""
    before: bytes | None = None
    """Digest of the report that stands directly before, if it was taken."""
    named_by_next: bytes | None = None
    """`prev` of the report that stands directly after, if it was taken and has one."""


def order_of(report: Report, digest: bytes, known: Neighbours, *, gap: int = REPORT_GAP.default) -> Order:
    """digest: SHA-256 of the report as it was sent. The sequence number itself must not have been taken before.

    Refused(OUT_OF_SEQUENCE) when it lies where nothing is known any more, or too far ahead. Refused(FORKED) when its
    neighbours that were taken are not those it names, or do not name it: two histories under one name.
    """
    number = report.sequence
    if number <= known.floor:
        raise Refused(Reason.OUT_OF_SEQUENCE, f"reports up to {known.floor} are no longer taken, and this is {number}")
    if known.highest and number > known.highest + gap:
        raise Refused(Reason.OUT_OF_SEQUENCE, f"the report {number} is more than {gap} after {known.highest}")
    if known.before is not None and report.previous != known.before:
        raise Refused(Reason.FORKED, f"the report {number} does not name the report {number - 1} that was taken")
    if known.named_by_next is not None and known.named_by_next != digest:
        raise Refused(Reason.FORKED, f"the report {number + 1} that was taken does not name this report {number}")
    if not known.highest:
        return Order.FIRST
    if number < known.highest:
        return Order.LATE
    if number == known.highest + 1:
        return Order.NEXT
    return Order.RESTART if report.previous is None else Order.GAP
