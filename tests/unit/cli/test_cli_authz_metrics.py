"""Metrics of `serve authz`: what they say, that all of them are told of, and that no total falls back."""

import re
from collections import Counter
from pathlib import Path

import pytest

from dnsbound.cli import authz_metrics
from dnsbound.cli.authz_metrics import AuthzCollector, verdict_of_reason
from dnsbound.edge.authz_counters import LATENCY_BOUNDS, FrontCounters
from dnsbound.edge.authz_totals import AuthzTotals
from dnsbound.edge.counted_lookups import LookupCounts
from dnsbound.edge.shared_snapshots import SharedSnapshots
from dnsbound.edge.worker_totals import WorkerTotals
from dnsbound.errors import UNDECIDED_REASONS, Reason
from dnsbound.verify.decision import Verdict
from interop.radius_processes import samples

ROOT = Path(__file__).resolve().parents[3]


def counted() -> AuthzTotals:
    front = FrontCounters(
        answers=Counter({"": 5, "not-permitted": 3, "bogus": 1, "malformed": 2}),
        latency=[1, 2, *[0] * (len(LATENCY_BOUNDS) - 2), 6],
        latency_seconds=90.5,
        turned_away=Counter({"secret": 4}),
        connections=7,
    )
    lookups = LookupCounts(at_hand=7, asked=Counter({("secure", "records"): 8}))
    return AuthzTotals(fronts={"nginx": front}, lookups=lookups)


@pytest.fixture
def snapshots():
    made = SharedSnapshots(2)
    yield made
    made.close()


def told(snapshots, tmp_path):
    path = tmp_path / "authz.prom"
    with authz_metrics.authz_metrics(snapshots, file=path, listen=None):
        return samples(path.read_text())


def test_what_all_workers_counted_is_added_up(snapshots, tmp_path):
    for worker in range(2):
        WorkerTotals(AuthzTotals, snapshots, worker).leave(counted())
    found = told(snapshots, tmp_path)
    assert found["dnsbound_authz_answers_total", "nginx", "", "admitted"] == 10
    assert found["dnsbound_authz_answers_total", "nginx", "not-permitted", "refused"] == 6
    assert found["dnsbound_authz_answers_total", "nginx", "bogus", "undecided"] == 2
    assert found["dnsbound_authz_answers_total", "nginx", "malformed", "refused"] == 4
    assert found["dnsbound_authz_turned_away_total", "nginx", "secret"] == 8
    assert found["dnsbound_authz_connections", "nginx"] == 14
    assert found["dnsbound_authz_answer_seconds_count", "nginx"] == 18
    assert found["dnsbound_authz_answer_seconds_sum", "nginx"] == 181
    assert found["dnsbound_authz_lookups_total", "records", "secure"] == 16
    assert found["dnsbound_authz_lookups_spared_total",] == 14
    assert found["dnsbound_authz_worker_starts_total",] == 2


def test_a_worker_that_takes_a_dead_ones_place_counts_on(snapshots, tmp_path):
    WorkerTotals(AuthzTotals, snapshots, 0).leave(counted())
    WorkerTotals(AuthzTotals, snapshots, 0).leave(counted())
    found = told(snapshots, tmp_path)
    assert found["dnsbound_authz_answers_total", "nginx", "", "admitted"] == 10
    assert found["dnsbound_authz_worker_starts_total",] == 2
    assert found["dnsbound_authz_connections", "nginx"] == 7, "those of the dead worker are gone"


def test_every_metric_is_told_of(snapshots):
    WorkerTotals(AuthzTotals, snapshots, 0).leave(counted())
    page = (ROOT / "docs/howto/monitoring.md").read_text()
    documented = set(re.findall(r"`(dnsbound_authz_\w+?)(?:_total)?(?:\{[\w,]+\})?`", page))
    assert {family.name for family in AuthzCollector(snapshots).collect()} == documented


@pytest.mark.parametrize("reason", [*Reason])
def test_every_reason_has_its_verdict(reason):
    expected = Verdict.UNDECIDED if reason in UNDECIDED_REASONS else Verdict.REFUSED
    assert verdict_of_reason(reason.value) is expected
