"""A client logs in through the whole of a roll, past a resolver that caches: with the old key until it may switch, with
the new one from then on, and it is refused at no moment. The door's own log confirms the switch."""

import contextlib
import json
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from interop.daemon import eventually
from interop.rolls.roll_site import CAR, PATIENCE, Site

pytestmark = pytest.mark.timeout(400)
STEPS = ["register", "roll-begin", "roll-prepublish", "roll-switch", "roll-retire", "roll-done"]
SERVERS = [
    pytest.param(Site.serve_embedded, id="embedded", marks=pytest.mark.peer("unbound", "curl")),
    pytest.param(
        Site.serve_by_knot_and_nsd, id="knot and nsd", marks=pytest.mark.peer("unbound", "curl", "knotd", "nsd")
    ),
]


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    with contextlib.ExitStack() as running:
        yield Site(tmp_path, running)


@pytest.fixture(params=SERVERS)
def served(request: pytest.FixtureRequest, site: Site) -> Site:
    """A zone with car54 in it, served, a door that knows it, and a runner."""
    request.param(site)
    old = site.new_key("old.pem")
    made = site.dnsbound("id", "new", CAR, "--cert", old, "--ttl", "2")
    assert made.code == 0, made.err
    site.open_door()
    site.start_runner()
    eventually(lambda: site.is_let_in(old), PATIENCE, otherwise=lambda: str(site.decisions()[-1:]))
    return site


def test_nobody_is_refused_through_a_whole_roll(served: Site) -> None:
    site = served
    new = site.new_key("new.pem")
    begun = site.dnsbound("id", "roll", CAR, "--cert", new, "--reason", "yearly", "--json")
    assert (begun.code, json.loads(begun.out)["state"]) == (0, "stable"), begun.err

    assert site.log_in_until("switch", "old.pem") >= 1
    assert site.dnsbound("id", "confirm", CAR, "--key", "00" * 32).code == 1
    for _ in range(5):
        assert site.is_let_in("old.pem")  # it switches when it likes
        assert site.is_let_in(new)
    seen = site.dnsbound("id", "confirm", "--from-log", "door.log", "--json")
    assert (seen.code, seen.err) == (0, "")
    confirmed = json.loads(seen.out)
    assert (confirmed["state"], confirmed["confirmed_by"]) == ("retire", "door api")

    assert site.log_in_until("done", new) >= 1
    assert not site.is_let_in("old.pem")
    assert site.decisions()[-1]["reason"] == "tlsa-mismatch"
    shown = json.loads(site.dnsbound("id", "show", CAR, "--json").out)
    assert [event["action"] for event in shown["events"]] == STEPS
    assert len(shown["records"]) == 1


@pytest.mark.peer("unbound", "curl", "knotd", "nsd")
def test_runners_that_are_killed_and_a_server_that_lags(site: Site) -> None:
    """Two runners at one inventory; one is killed again and again. The copy of the zone lags: the roll waits and says
    for whom. Nobody is refused meanwhile, and every step is in the log once."""
    site.serve_by_knot_and_nsd()
    old, new = site.new_key("old.pem"), site.new_key("new.pem")
    assert site.dnsbound("id", "new", CAR, "--cert", old, "--ttl", "2").code == 0
    site.open_door()
    site.start_runner("steady runner")
    eventually(lambda: site.is_let_in(old), PATIENCE, otherwise=lambda: str(site.decisions()[-1:]))

    copy = site.copy
    copy.daemon.process.send_signal(signal.SIGSTOP)
    try:
        assert site.dnsbound("id", "roll", CAR, "--cert", new).code == 0
        # What serves goes on, what fetches the zone does not: the copy shows what stood before.
        eventually(lambda: copy.address.rpartition(":")[2] in site.status()["problem"], PATIENCE)
        for _ in range(10):
            assert site.is_let_in(old), site.decisions()[-1]
            assert site.status()["state"] == "prepublish"
    finally:
        copy.daemon.process.send_signal(signal.SIGCONT)

    deaths = 0
    while site.status()["state"] != "switch":
        victim = site.start_runner(f"victim {deaths}")
        assert site.is_let_in(old), site.decisions()[-1]
        victim.process.kill()
        deaths += 1
        assert deaths < 60, site.status()
    assert site.dnsbound("id", "confirm", CAR).code == 0
    assert site.log_in_until("done", new) >= 1
    shown = json.loads(site.dnsbound("id", "show", CAR, "--json").out)
    assert [event["action"] for event in shown["events"]] == STEPS
