"""PowerDNS ended in the middle of publishing, and the same changes sent again to the one that comes after it."""

from pathlib import Path

import pytest

from dnsbound.provision.publish.publisher import OutcomeKind
from interop.daemon import ask, program, run, started
from interop.primaries import ZONE
from interop.publishers.ways import NEW, TTL, applied, change, powerdns_api

pytestmark = [pytest.mark.peer("pdns_server"), pytest.mark.peer("pdnsutil")]

BATCH = 100
NAMES = [f"car{number}._device" for number in range(4 * BATCH)]


def test_killed_behind_the_first_batch(tmp_path: Path) -> None:
    with powerdns_api(tmp_path) as way, way.publisher() as publisher:
        before = way.server.transfer()
        outcomes = publisher.apply([change(name, after=(NEW,)) for name in NAMES])
        first = [next(outcomes) for _ in range(BATCH)]
        way.server.daemon.process.kill()
        way.server.daemon.process.wait(10)
        rest = list(outcomes)
        assert {outcome.kind for outcome in first} == {OutcomeKind.DONE}
        assert {outcome.kind for outcome in rest} == {OutcomeKind.UNDECIDED}
        assert len(rest) == len(NAMES) - BATCH
        command = [program("pdns_server"), f"--config-dir={tmp_path}", "--daemon=no", "--guardian=no"]
        with started(command, tmp_path / "again.log") as again:
            again.wait_for(lambda: bool(ask(way.server.port, ZONE, "SOA").answer), "it answers")
            assert set(applied(publisher, *[change(name, after=(NEW,)) for name in NAMES])) == {OutcomeKind.DONE}
            after = way.server.transfer()
            ours = {(f"{name}.{ZONE}", "TLSA"): (TTL, frozenset({NEW})) for name in NAMES}
            assert after == {**before, **ours}
            checked = run([program("pdnsutil"), f"--config-dir={tmp_path}", "check-zone", ZONE])
            assert checked.returncode == 0, checked.stdout
