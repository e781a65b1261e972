"""Metrics of `serve radius`: what they say, as a file and over HTTP, and that all of them are told of."""

import re
import urllib.request
from collections import Counter
from pathlib import Path

import pytest
import yaml

from dnsbound.cli import radius_metrics, told_metrics
from dnsbound.cli.radius_metrics import RadiusCollector
from dnsbound.edge.counted_lookups import LookupCounts
from dnsbound.edge.radius_counters import LATENCY_BOUNDS, RadiusCounters
from dnsbound.edge.radius_totals import RadiusTotals, SessionCounts
from dnsbound.edge.shared_snapshots import SharedSnapshots
from dnsbound.edge.worker_exchange import ExchangeCounts
from dnsbound.errors import Misuse
from interop.daemon import free_port
from interop.radius_processes import samples

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture
def snapshots():
    made = SharedSnapshots(2)
    total = RadiusTotals(
        radius=RadiusCounters(
            authentications=Counter({("public", "refused", "not-permitted"): 3}),
            dropped=Counter({"malformed": 4}),
            conversations=5,
            latency=[1, 2, *[0] * (len(LATENCY_BOUNDS) - 2), 6],
            latency_seconds=90.5,
        ),
        lookups=LookupCounts(at_hand=7, asked=Counter({("secure", "records"): 8})),
        sessions=SessionCounts(sessions=2, disconnected=Counter({"done": 9}), written=10, down=1),
        exchange=ExchangeCounts(asked=11),
        starts=1,
    )
    for worker in range(2):
        made.put(worker, total.to_octets())
    yield made
    made.close()


def check(found):
    """All is added up over both workers."""
    assert found["dnsbound_radius_authentications_total", "public", "not-permitted", "refused"] == 6
    assert found["dnsbound_radius_dropped_total", "malformed"] == 8
    assert found["dnsbound_radius_conversations",] == 10
    buckets = [found["dnsbound_radius_authentication_seconds_bucket", str(bound)] for bound in LATENCY_BOUNDS]
    assert buckets == [2, *[6] * (len(LATENCY_BOUNDS) - 1)]
    assert found["dnsbound_radius_authentication_seconds_bucket", "+Inf"] == 18
    assert found["dnsbound_radius_authentication_seconds_count",] == 18
    assert found["dnsbound_radius_authentication_seconds_sum",] == 181
    assert found["dnsbound_radius_lookups_total", "records", "secure"] == 16
    assert found["dnsbound_radius_lookups_spared_total",] == 14
    assert found["dnsbound_radius_sessions",] == 4
    assert found["dnsbound_radius_disconnects_total", "done"] == 18
    assert found["dnsbound_radius_accounting_rows_total", "written"] == 20
    assert found["dnsbound_radius_accounting_database_down",] == 2
    assert found["dnsbound_radius_exchange_asked_total",] == 22
    assert found["dnsbound_radius_worker_starts_total",] == 2


def test_a_file_and_http_say_the_same(snapshots, tmp_path, capsys):
    address = f"127.0.0.1:{free_port()}"
    with radius_metrics.radius_metrics(snapshots, file=tmp_path / "radius.prom", listen=address):
        check(samples((tmp_path / "radius.prom").read_text()))
        assert f"Metrics at http://{address}/metrics" in capsys.readouterr().err
        with urllib.request.urlopen(f"http://{address}/metrics", timeout=20) as answer:
            check(samples(answer.read().decode()))


def test_the_file_is_kept_up_to_date(snapshots, tmp_path, monkeypatch):
    from interop.daemon import eventually

    monkeypatch.setattr(told_metrics, "FILE_SECONDS", 0.01)
    path = tmp_path / "radius.prom"
    with radius_metrics.radius_metrics(snapshots, file=path, listen=None):
        snapshots.put(0, RadiusTotals(starts=40).to_octets())
        eventually(lambda: samples(path.read_text())["dnsbound_radius_worker_starts_total",] == 41, 30)


def test_a_file_that_cannot_be_written_is_told_at_once(snapshots, tmp_path):
    with (
        pytest.raises(Misuse, match="--metrics"),
        radius_metrics.radius_metrics(snapshots, file=tmp_path / "none" / "radius.prom", listen=None),
    ):
        raise AssertionError


def test_nothing_is_told_where_nothing_was_asked_for(snapshots):
    with radius_metrics.radius_metrics(snapshots, file=None, listen=None):
        pass


def test_every_metric_is_told_of_and_the_alerts_use_no_other(snapshots):
    made = set()
    for family in RadiusCollector(snapshots).collect():
        suffix = {"counter": "_total", "gauge": "", "histogram": "_seconds"}[family.type]
        made.add(family.name.removesuffix("_seconds") + suffix)
    page = (ROOT / "docs" / "howto" / "monitoring.md").read_text()
    assert set(re.findall(r"`(dnsbound_radius_[a-z_]+)", page)) == made
    rules = yaml.safe_load((ROOT / "examples" / "alerts.yml").read_text())["groups"][1]["rules"]
    used = {name for rule in rules for name in re.findall(r"dnsbound_radius_[a-z_]+", rule["expr"])}
    assert len(rules) == 6
    assert {name.removesuffix("_bucket") for name in used} <= made
