"""The states of a roll and what it knows: transitions, waits on clocks that are never set, evidence that reads back."""

import subprocess
import sys

import pytest

from dnsbound.errors import Malformed
from dnsbound.provision.errors import RollRefused
from dnsbound.provision.lifecycle import machine
from dnsbound.provision.lifecycle.evidence import WATCHES, Evidence, Reading, Watch
from dnsbound.provision.lifecycle.machine import Behind, RollEvent, RollState, Served, Unknown
from dnsbound.provision.lifecycle.steady_clock import steady_reading

NOW = 1_800_000_000.0


def look(state, evidence, seen, *, seconds=0.0, clock="boot", same_key=False):
    steady = Reading(clock=clock, seconds=seconds)
    return machine.look(state, evidence, seen, same_key=same_key, now=NOW, steady=steady)


def test_every_pair_leads_where_the_table_says_or_is_refused():
    for state in RollState:
        for event in RollEvent:
            if (state, event) in machine.TRANSITIONS:
                assert machine.after(state, event) is machine.TRANSITIONS[state, event]
            else:
                with pytest.raises(RollRefused):
                    machine.after(state, event)


def test_only_a_confirmation_leads_out_of_the_switch_forward():
    forward = {event for (state, event), to in machine.TRANSITIONS.items() if state is RollState.SWITCH}
    assert forward == {RollEvent.CONFIRMED, RollEvent.CANCELLED, RollEvent.COMPROMISED, RollEvent.REVOKED}
    assert RollState.SWITCH not in machine.ASKED_ABOUT_SERVERS


def test_the_largest_ttl_counts():
    step = look(RollState.STABLE, Evidence(old_ttl=600), Served(ttl=60))
    assert (step.event, step.evidence.old_ttl) == (RollEvent.MEASURED, 600)
    step = look(RollState.STABLE, Evidence(old_ttl=60), Served(ttl=600), same_key=True)
    assert (step.event, step.evidence.old_ttl) == (RollEvent.MEASURED_SAME_KEY, 600)
    assert machine.wait_seconds(RollState.PREPUBLISH, step.evidence) == 1200
    assert machine.wait_seconds(RollState.RETIRE, Evidence(old_ttl=60, both_ttl=90)) == 90


def test_what_is_behind_breaks_the_wait_and_what_is_unknown_does_not():
    begun = look(RollState.PREPUBLISH, Evidence(old_ttl=50), Served(ttl=50), seconds=7.0)
    assert (begun.event, begun.again_in) == (None, 100.0)
    unknown = look(RollState.PREPUBLISH, begun.evidence, Unknown(server="s", why="w"), seconds=500.0)
    assert unknown.event is None
    assert look(RollState.PREPUBLISH, unknown.evidence, Served(ttl=50), seconds=107.0).event is RollEvent.WAITED
    behind = look(RollState.PREPUBLISH, begun.evidence, Behind(server="s", why="w"), seconds=500.0)
    assert (behind.event, behind.evidence.watches) == (None, ())
    assert look(RollState.PREPUBLISH, behind.evidence, Served(ttl=50), seconds=501.0).again_in == 100.0


def test_a_steady_clock_that_went_back_begins_anew():
    begun = Evidence(old_ttl=50).with_watch(Reading(clock="boot", seconds=1000.0), now=NOW)
    back = begun.with_watch(Reading(clock="boot", seconds=5.0), now=NOW)
    assert back.waited(Reading(clock="boot", seconds=6.0)) == 1.0
    assert begun.waited(Reading(clock="another", seconds=1e9)) == 0.0


def test_watches_are_bounded():
    evidence = Evidence()
    for number in range(3 * WATCHES):
        evidence = evidence.with_watch(Reading(clock=f"boot {number}", seconds=1.0), now=NOW)
    assert [watch.clock for watch in evidence.watches] == [f"boot {number}" for number in range(16, 24)]


def test_evidence_reads_back():
    evidence = Evidence(
        old_ttl=300,
        both_ttl=0,
        signed_until=NOW + 0.1,
        watches=(Watch(clock="boot", since=1 / 3, at=NOW),),
        old_key_seen_at=NOW,
        new_key_seen_at=NOW + 1,
        new_key_seen_by="api",
    )
    assert Evidence.from_text(evidence.to_text()) == evidence
    assert Evidence.from_text(Evidence().to_text()) == Evidence()


@pytest.mark.parametrize(
    "text",
    [
        *("", "null", "[]", "{}", "7", "[" * 9999),
        Evidence().to_text().replace("-1", "-2"),
        Evidence().to_text().replace("-1", "true"),
        Evidence().to_text().replace("null", "NaN"),
        Evidence().to_text().replace("null", '"x"'),
        Evidence().to_text().replace("[]", "[[1, 2, 3]]"),
        Evidence().to_text().replace("[]", '[["boot", null, 1]]'),
        Evidence().to_text().replace("[]", '[["boot", 1]]'),
    ],
)
def test_evidence_that_is_none(text):
    with pytest.raises(Malformed):
        Evidence.from_text(text)


def test_processes_of_one_machine_count_on_one_clock():
    program = (
        "from dnsbound.provision.lifecycle.steady_clock import steady_reading as r; x = r(); print(x.clock, x.seconds)"
    )
    before = steady_reading()
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60)
    after = steady_reading()
    clock, seconds = done.stdout.rsplit(maxsplit=1)
    if sys.platform == "linux":
        assert clock == before.clock == after.clock
        assert before.seconds < float(seconds) < after.seconds
    else:
        assert clock != before.clock
