"""`dnsbound check` and its metrics: against a real primary, and against the authority of this package."""

import json
import re
import sqlite3
import threading
import urllib.request
from pathlib import Path

import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from dnsbound.cli.metrics import COUNTED, RunnerCollector, served_metrics
from dnsbound.provision.inventory import Inventory
from dnsbound.provision.runner.counters import Counters
from dnsbound.provision.runner.mover import Report
from interop.daemon import free_port, run
from interop.primaries import ZONE, knot, nsd_secondary, write_key

CAR = f"car54._device.{ZONE}"


@pytest.fixture
def fleet(dnsbound, tmp_path):
    """A Knot primary with one published car; yields how to check it, and the server."""
    with knot(tmp_path) as server:
        key = write_key(tmp_path)
        (tmp_path / "targets.toml").write_text(
            f'[publish."{ZONE}"]\nto = "rfc2136"\nserver = "{server.address}"\nkey_file = "{key}"\n'
            f'servers = ["{server.address}"]\n'
        )
        (tmp_path / "anchors.txt").write_text(server.ds)
        assert dnsbound("id", "new", CAR, "--ttl", "60", "--out", str(tmp_path / "keys")).code == 0
        assert dnsbound("publish", "--targets", tmp_path / "targets.toml").code == 0

        def check(*arguments):
            ran = dnsbound(
                "check", "--json", "--targets", tmp_path / "targets.toml", "--anchors", tmp_path / "anchors.txt",
                "--resolver", server.address, *arguments,
            )  # fmt: skip
            assert ran.err == "", ran.err
            facts = json.loads(ran.out)
            return ran.code, {entry["check"]: entry for entry in facts["checks"]}

        yield check, server


def update(server, *lines):
    """Change the zone behind the inventory's back."""
    secret = write_key(server.directory, name="behind.key").read_text().strip()
    script = "\n".join([f"server 127.0.0.1 {server.port}", f"zone {ZONE}", *lines, "send", "quit"]) + "\n"
    path = server.directory / "update.txt"
    path.write_text(script)
    done = run(["knsupdate", "-y", secret, str(path)])
    assert done.returncode == 0, done.stderr


@pytest.mark.peer("knotd")
def test_a_fleet_in_order(fleet):
    check, server = fleet
    code, found = check()
    assert code == 0
    assert found[f"chain to {ZONE}"]["level"] == "ok"
    assert found[f"names of {ZONE}"]["found"] == "all 1 served by every server, signed"
    assert found[f"signatures of {ZONE}"]["level"] == "ok"
    assert found[f"TTLs of {ZONE}"]["found"] == "from 60 to 60 seconds"
    assert found[f"server 127.0.0.1 port {server.port} of {ZONE}"]["level"] == "ok"
    assert found["keys"]["found"] == "the records of all 1 identities match their keys"
    assert found[f"denials of {ZONE}"]["level"] == "warn"  # this Knot signs with NSEC
    others = {"outbox of cars.example", "rolls", "leases", "transfers", "wildcards"}
    assert {found[name]["level"] for name in others} == {"ok"}


@pytest.mark.peer("knotd")
@pytest.mark.peer("knsupdate")
def test_a_record_of_somebody_else_at_our_name(fleet):
    check, server = fleet
    update(server, f"update add {CAR}. 60 TLSA 3 1 1 {'ab' * 32}")
    code, found = check()
    assert code == 1
    assert found[CAR]["level"] == "fail"
    assert found[CAR]["found"].endswith("1 records stand there that should not")
    assert found[f"names of {ZONE}"]["level"] == "fail"


@pytest.mark.peer("knotd")
@pytest.mark.peer("knsupdate")
def test_a_record_that_was_lost(fleet):
    check, server = fleet
    update(server, f"update delete {CAR}. TLSA")
    code, found = check()
    assert (code, found[CAR]["level"]) == (1, "fail")


@pytest.mark.peer("knotd")
def test_a_revocation_nobody_published(fleet, dnsbound):
    check, _ = fleet
    assert dnsbound("revoke", CAR, "--yes", "--no-publish").code == 0
    code, found = check()
    assert code == 1
    assert found[CAR]["found"].endswith("1 records that were removed are still there")
    assert found[f"outbox of {ZONE}"]["level"] == "warn"


@pytest.mark.peer("knotd")
def test_signatures_that_end_soon_are_late_only_for_their_kind(fleet):
    """Knot signs for two weeks; of that much less than an eighth must be left before it is late."""
    check, _ = fleet
    code, found = check("--warn", "999d")
    assert (code, found[f"signatures of {ZONE}"]["level"]) == (0, "ok")
    assert "14.1 days" in found[f"signatures of {ZONE}"]["found"]


@pytest.mark.peer("knotd")
def test_a_record_of_no_key_in_the_inventory(fleet, tmp_path):
    check, _ = fleet
    database = sqlite3.connect(tmp_path / "share" / "dnsbound" / "inventory.db")
    with database:
        database.execute("UPDATE records SET rdata = ? WHERE rdtype = 'TLSA'", (f"3 1 1 {'cd' * 32}",))
    database.close()
    code, found = check()
    assert (code, found["keys"]["level"]) == (1, "fail")


@pytest.mark.peer("knotd")
def test_records_of_certificates_and_authorities_are_no_fault(fleet, dnsbound, tmp_path):
    check, _ = fleet
    device = tmp_path / "keys" / f"{CAR}.pem"
    second = f"car55._device.{ZONE}"
    made = dnsbound("id", "new", second, "--cert", device, "--usage", "3", "--selector", "0", "--ttl", "60")
    assert made.code == 0, made.err
    assert dnsbound("publish", "--targets", tmp_path / "targets.toml").code == 0
    code, found = check()
    assert (code, found["keys"]["level"]) == (0, "ok")


@pytest.mark.peer("knotd")
@pytest.mark.peer("nsd")
def test_a_secondary_that_is_behind_and_one_that_is_silent(dnsbound, tmp_path):
    for name in ("primary", "secondary"):
        (tmp_path / name).mkdir()
    with knot(tmp_path / "primary") as primary, nsd_secondary(tmp_path / "secondary", primary.port) as secondary:
        key = write_key(tmp_path)
        silent = free_port()
        (tmp_path / "targets.toml").write_text(
            f'[publish."{ZONE}"]\nto = "rfc2136"\nserver = "{primary.address}"\nkey_file = "{key}"\n'
            f'servers = ["{primary.address}", "{secondary.address}", "127.0.0.1:{silent}"]\n'
        )
        (tmp_path / "anchors.txt").write_text(primary.ds)
        options = ["--targets", tmp_path / "targets.toml"]
        assert dnsbound("id", "new", CAR, "--out", str(tmp_path)).code == 0
        assert dnsbound("publish", *options).code == 0
        ran = dnsbound(
            "check", "--json", *options, "--anchors", tmp_path / "anchors.txt", "--resolver", primary.address
        )
    found = {entry["check"]: entry for entry in json.loads(ran.out)["checks"]}
    assert ran.code == 1  # the secondary is told of nothing, so it serves the zone of before
    assert found[CAR]["level"] == "fail"
    assert str(secondary.port) in found[CAR]["found"]
    assert found[f"serials of {ZONE}"]["level"] == "warn"
    assert found[f"server 127.0.0.1 port {silent} of {ZONE}"]["level"] == "unknown"


def test_servers_that_cannot_be_asked_are_undecided(dnsbound, tmp_path):
    (tmp_path / "targets.toml").write_text(
        f'[publish."{ZONE}"]\nto = "embedded"\nservers = ["127.0.0.1:{free_port()}"]\n'
    )
    assert dnsbound("zone", "create", ZONE).code == 0
    options = ["--targets", tmp_path / "targets.toml", "--resolver", f"127.0.0.1:{free_port()}"]
    ran = dnsbound("check", "--json", *options)
    assert ran.code == 3
    levels = {entry["check"]: entry["level"] for entry in json.loads(ran.out)["checks"]}
    assert levels[f"chain to {ZONE}"] == "unknown"


@pytest.mark.parametrize(
    "arguments", [["other.example"], ["--warn", "soon"], ["--sample", "0"], ["--patience", "-1"], ["a..b"]]
)
def test_wrong_use_is_one_line(dnsbound, arguments):
    assert dnsbound("zone", "create", ZONE).code == 0
    ran = dnsbound("check", *arguments)
    assert (ran.code, len(ran.err.splitlines())) == (2, 1)


def families(text):
    return {
        (sample.name, *sorted(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


@pytest.mark.peer("knotd")
def test_metrics_in_a_file(fleet, tmp_path):
    check, _ = fleet
    path = tmp_path / "dnsbound.prom"
    assert check("--metrics", path)[0] == 0
    told = families(path.read_text())
    assert told["dnsbound_zone_names", ("zone", ZONE)] == 1
    assert told["dnsbound_zone_names_lacking", ("why", "behind"), ("zone", ZONE)] == 0
    assert told["dnsbound_check_findings", ("level", "fail")] == 0
    assert told["dnsbound_check_findings", ("level", "ok")] > 5
    assert told["dnsbound_zone_signed_until_timestamp_seconds", ("zone", ZONE)] > 0
    assert not any(CAR in str(key) for key in told)
    assert [entry.name for entry in tmp_path.glob("*.prom*")] == ["dnsbound.prom"]


def test_a_metrics_file_that_cannot_be_written(dnsbound, tmp_path):
    assert dnsbound("zone", "create", ZONE).code == 0
    options = ["--resolver", f"127.0.0.1:{free_port()}", "--metrics", tmp_path / "absent" / "x.prom"]
    ran = dnsbound("check", *options)
    assert ran.code == 2
    assert len(ran.err.splitlines()) == 1


def test_metrics_of_a_runner_over_http(tmp_path):
    counters = Counters()
    counters.worked("rolls", Report(moved=3, refused=1), at=1000.0)
    counters.failed("outbox")
    with Inventory.open(tmp_path / "inventory.db", create=True) as store:
        before = threading.active_count()
        with served_metrics(f"127.0.0.1:{free_port()}", RunnerCollector(counters, store)) as url:
            told = families(urllib.request.urlopen(url, timeout=5).read().decode())
            store.close()
            Path(tmp_path / "inventory.db").write_bytes(b"no database at all" * 100)
            after = families(urllib.request.urlopen(url, timeout=5).read().decode())
        assert threading.active_count() == before
    assert told["dnsbound_run_moved_total", ("mover", "rolls")] == 3
    assert told["dnsbound_run_refused_total", ("mover", "rolls")] == 1
    assert told["dnsbound_run_failures_total", ("mover", "outbox")] == 1
    assert told["dnsbound_run_worked_timestamp_seconds", ("mover", "rolls")] == 1000.0
    assert told[("dnsbound_inventory_up",)] == 1
    assert told[("dnsbound_outbox_names",)] == 0
    assert told["dnsbound_rolls", ("state", "switch")] == 0
    assert after[("dnsbound_inventory_up",)] == 0
    assert ("dnsbound_outbox_names",) not in after


@pytest.mark.parametrize("address", ["nonsense::", "127.0.0.1:99999"])
def test_an_address_that_is_none(dnsbound, tmp_path, address):
    assert dnsbound("zone", "create", ZONE).code == 0
    ran = dnsbound("run", "--once", "--metrics-listen", address)
    assert (ran.code, len(ran.err.splitlines())) == (2, 1)


ROOT = Path(__file__).resolve().parents[3]


def test_every_metric_is_told_of_and_the_alerts_use_no_other():
    sources = "".join((ROOT / "src" / "dnsbound" / "cli" / name).read_text() for name in ("metrics.py",))
    made = {f"dnsbound_run_{word}_total" for word in COUNTED} | set(re.findall(r'"(dnsbound_[a-z_]+)"', sources))
    page = (ROOT / "docs" / "howto" / "monitoring.md").read_text()
    of_other_services = ("dnsbound_radius_", "dnsbound_gate_", "dnsbound_authz_")
    assert {name for name in re.findall(r"`(dnsbound_[a-z_]+)", page) if not name.startswith(of_other_services)} == made
    rules = yaml.safe_load((ROOT / "examples" / "alerts.yml").read_text())["groups"][0]["rules"]
    used = {name for rule in rules for name in re.findall(r"dnsbound_[a-z_]+", rule["expr"])}
    assert len(rules) == 5
    assert used <= made
