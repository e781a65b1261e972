"""What is shown of a roll: a line for people, facts for programs."""

import hashlib
from typing import TYPE_CHECKING

from dnsbound.cli.exit_codes import printable
from dnsbound.times import Moment, iso

if TYPE_CHECKING:
    from dnsbound.provision.lifecycle.roll import Roll


def line(roll: "Roll") -> str:
    """Name, state, and what it waits for."""
    told = f"{roll.name}  {roll.state.value} since {iso(roll.entered_at)}"
    waits_for = waiting_for(roll)
    if waits_for:
        told += f": {waits_for}"
    return f"{told} ({printable(roll.problem)})" if roll.problem else told


def waiting_for(roll: "Roll") -> str:
    """One sentence without its full stop; empty for a roll that is over."""
    from dnsbound.provision.lifecycle.machine import RollState, earliest_end

    until = earliest_end(roll.state, roll.evidence)
    if roll.state is RollState.STABLE:
        return "waits for every server to show the present records"
    if roll.state is RollState.SWITCH:
        said = "may use the new key now; waits for word that it does"
        return said + _last_seen(roll)
    if roll.state in (RollState.PREPUBLISH, RollState.RETIRE):
        what = "both keys' records" if roll.state is RollState.PREPUBLISH else "the new records alone"
        if until is None:
            return f"waits for every server to show {what}"
        return f"every server shows {what}; waits for caches to forget, until {iso(until)} at the earliest"
    return ""


def _last_seen(roll: "Roll") -> str:
    seen = roll.evidence.old_key_seen_at
    return "" if seen is None else f" (last seen with the old key {iso(seen)})"


def facts(roll: "Roll") -> dict[str, object]:
    """For `--json`."""
    from dnsbound.provision.lifecycle.machine import earliest_end

    return {
        "name": roll.name.text,
        "kind": roll.kind.value,
        "state": roll.state.value,
        "since": iso(roll.entered_at),
        "started": iso(roll.started_at),
        "waits_for": waiting_for(roll),
        "until": _iso(earliest_end(roll.state, roll.evidence)),
        "problem": roll.problem,
        "old_key": hashlib.sha256(roll.old_spki).hexdigest(),
        "new_key": roll.new_digest.hex(),
        "parameters": roll.target,
        "expected": [record.to_text() for record in sorted(roll.expected)],
        "old_key_seen": _iso(roll.evidence.old_key_seen_at),
        "new_key_seen": _iso(roll.evidence.new_key_seen_at),
        "confirmed": _iso(roll.confirmed_at),
        "confirmed_by": roll.confirmed_by,
    }


def _iso(moment: Moment | None) -> str | None:
    return None if moment is None else iso(moment)
