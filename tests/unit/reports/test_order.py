"""How a report follows those that were taken, as a table."""

from typing import Any

import pytest

from dnsbound.errors import Reason, Refused
from dnsbound.names import ClientName
from dnsbound.object_limits import REPORT_GAP
from dnsbound.objects.report import Report
from dnsbound.objects.report_order import Neighbours, Order, order_of

OWN, BEFORE, OTHER = b"o" * 32, b"b" * 32, b"x" * 32


def report(sequence: int, previous: bytes | None = BEFORE) -> Report:
    return Report(
        issuer=ClientName.parse("car54._device.cars.example"),
        audience=(ClientName.parse("report.gov.example"),),
        issued_at=1.0,
        expires_at=2.0,
        identifier=b"i" * 16,
        sequence=sequence,
        previous=previous,
    )


@pytest.mark.parametrize(
    ("sequence", "previous", "known", "order"),
    [
        (1, None, {}, Order.FIRST),
        (500, BEFORE, {}, Order.FIRST),
        (8, BEFORE, {"highest": 7, "before": BEFORE}, Order.NEXT),
        (8, BEFORE, {"highest": 7, "floor": 7}, Order.NEXT),
        (9, BEFORE, {"highest": 7}, Order.GAP),
        (7 + REPORT_GAP.default, BEFORE, {"highest": 7}, Order.GAP),
        (9, None, {"highest": 7}, Order.RESTART),
        (5, BEFORE, {"highest": 7}, Order.LATE),
        (5, BEFORE, {"highest": 7, "before": BEFORE, "named_by_next": OWN}, Order.LATE),
        (5, None, {"highest": 7, "floor": 4}, Order.LATE),
    ],
)
def test_rq_06_a_report_follows(sequence: int, previous: bytes | None, known: dict[str, Any], order: Order) -> None:
    assert order_of(report(sequence, previous), OWN, Neighbours(**known)) is order


@pytest.mark.parametrize(
    ("sequence", "previous", "known", "reason"),
    [
        (4, BEFORE, {"highest": 7, "floor": 4}, Reason.OUT_OF_SEQUENCE),
        (8 + REPORT_GAP.default, BEFORE, {"highest": 7}, Reason.OUT_OF_SEQUENCE),
        (8, OTHER, {"highest": 7, "before": BEFORE}, Reason.FORKED),
        (8, None, {"highest": 7, "before": BEFORE}, Reason.FORKED),
        (5, BEFORE, {"highest": 7, "named_by_next": OTHER}, Reason.FORKED),
        (5, OTHER, {"highest": 7, "before": BEFORE, "named_by_next": OWN}, Reason.FORKED),
    ],
)
def test_rq_07_a_report_follows_nothing(
    sequence: int, previous: bytes | None, known: dict[str, Any], reason: Reason
) -> None:
    with pytest.raises(Refused) as caught:
        order_of(report(sequence, previous), OWN, Neighbours(**known))
    assert caught.value.reason is reason
