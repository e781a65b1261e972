"""`dnsbound serve radius` in two processes: wpa_supplicant's peer gets in whichever of them its packets come to."""

import os
import signal
import urllib.request
from pathlib import Path

import pytest

from dnsbound.testing.world import World
from interop.daemon import free_port
from interop.radius_eapol import RESUMING, TLS13, VERSIONS, eapol_test
from interop.radius_processes import radius_processes, samples
from interop.radius_server import SECRET

pytestmark = pytest.mark.peer("eapol_test")

MOST_RUNS = 60


@pytest.fixture
def world():
    with World() as made:
        yield made


@pytest.fixture
def car(world):
    return world.organisation("cars.example").device("car54", ttl=300)


@pytest.mark.parametrize("version", VERSIONS)
def test_conversations_reach_their_worker_from_whatever_socket(tmp_path, world, car, version):
    metrics = tmp_path / "radius.prom"
    with radius_processes(
        tmp_path, world, "--metrics-listen", f"127.0.0.1:{free_port()}", "--metrics", str(metrics)
    ) as running:
        assert len(running.workers()) == 2
        url = running.daemon.log.read_text().split("Metrics at ")[1].split()[0]

        def counted():
            with urllib.request.urlopen(url, timeout=20) as answer:
                return samples(answer.read().decode())

        supplicant = running.supplicant(car, phase1=VERSIONS[version])
        runs = 0
        while not counted()[("dnsbound_radius_exchange_answered_total",)] or runs < 6:
            assert runs < MOST_RUNS
            seen = eapol_test(tmp_path, supplicant, port=running.port, secret=SECRET)
            assert seen.admitted, seen.output
            assert seen.tls_version == version
            runs += 1
        admitted = ("dnsbound_radius_authentications_total", "public", "", "admitted")
        running.wait_for(lambda: counted().get(admitted) == runs, "all authentications in the metrics")
        running.wait_for(lambda: counted()[("dnsbound_radius_conversations",)] == 0, "no conversation is left")
        running.wait_for(lambda: len(running.events()) == runs, "a line for each authentication")
        found = counted()
        assert found[("dnsbound_radius_worker_starts_total",)] == 2
        assert found[("dnsbound_radius_sessions",)] >= 1
        assert found[("dnsbound_radius_authentication_seconds_count",)] == runs
        assert found[("dnsbound_radius_exchange_inbox_full_total",)] == 0
        # Each worker has a cache of its own.
        assert found[("dnsbound_radius_lookups_total", "records", "secure")] <= 2
        assert "dnsbound_radius_authentications_total" in metrics.read_text()
    assert " dnsbound.radius INFO ending" in running.daemon.log.read_text()


def test_a_session_is_resumed_at_whichever_worker(tmp_path, world, car):
    with radius_processes(tmp_path, world, settings="ticket_seconds = 3600\n") as running:
        supplicant = running.supplicant(car, phase1=TLS13 + RESUMING)
        seen = eapol_test(tmp_path, supplicant, port=running.port, secret=SECRET, again=8)
        assert seen.admitted, seen.output
        assert seen.resumed == (False, *[True] * 8)


def test_a_killed_worker_costs_its_conversations_alone(tmp_path, world, car):
    with radius_processes(tmp_path, world) as running:
        supplicant = running.supplicant(car)
        before = running.workers()
        for _ in range(2):
            assert eapol_test(tmp_path, supplicant, port=running.port, secret=SECRET).admitted
        os.kill(before[0], signal.SIGKILL)
        for _ in range(6):
            seen = eapol_test(tmp_path, supplicant, port=running.port, secret=SECRET)
            assert seen.admitted, seen.output
        assert "serves again" in running.daemon.log.read_text()
        after = running.workers()
        assert len(after) == 2
        assert set(after) & set(before) == {before[1]}


def test_sighup_reaches_every_worker(tmp_path, world, car):
    with radius_processes(tmp_path, world) as running:
        supplicant = running.supplicant(car)
        assert eapol_test(tmp_path, supplicant, port=running.port, secret=SECRET).admitted
        access = (tmp_path / "access.toml").read_text().replace("car54", "car1").replace("*._device", "car1._device")
        (tmp_path / "access.toml").write_text(access)
        os.kill(running.daemon.process.pid, signal.SIGHUP)
        running.wait_for(lambda: running.daemon.log.read_text().count("networks in force") == 2, "both have read it")
        for _ in range(6):
            assert eapol_test(tmp_path, supplicant, port=running.port, secret=SECRET).verdict == "refused"
        assert {event["reason"] for event in running.events() if event["verdict"] != "admitted"} == {"not-permitted"}


def test_whoever_takes_a_dead_workers_place_begins_with_what_is_in_force(tmp_path, world, car):
    with radius_processes(tmp_path, world) as running:
        path, read = tmp_path / "radius.toml", "networks in force"
        path.write_text(path.read_text().replace("[network.public]", "[network.guests]"))
        os.kill(running.daemon.process.pid, signal.SIGHUP)
        running.wait_for(lambda: running.daemon.log.read_text().count(read) == 2, "both have read it")
        for killed, pid in enumerate(running.workers(), 1):
            os.kill(pid, signal.SIGKILL)
            running.wait_for(
                lambda due=killed: running.daemon.log.read_text().count("serves again") == due, "a new one"
            )
        assert running.daemon.log.read_text().count(read) == 4
        assert eapol_test(tmp_path, running.supplicant(car), port=running.port, secret=SECRET).admitted
        assert {event["network"] for event in running.events()} == {"guests"}


def test_all_ends_at_sigterm(tmp_path, world):
    with radius_processes(tmp_path, world, workers=3) as running:
        workers = running.workers()
        assert len(workers) == 3
        running.daemon.process.send_signal(signal.SIGTERM)
        assert running.daemon.process.wait(60) == 0
        assert [pid for pid in workers if Path(f"/proc/{pid}").exists()] == []
