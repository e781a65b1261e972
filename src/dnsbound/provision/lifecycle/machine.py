"""The states of one roll, what moves it from one to the next, and the guards: functions of evidence, never of a clock.

    STABLE ──measured──► PREPUBLISH ──waited──► SWITCH ──confirmed──► RETIRE ──waited──► DONE

STABLE is the present key alone: what stands is measured at the servers before anything is changed. PREPUBLISH adds the
records of the new key and lasts until every authoritative server serves both and two TTLs of the old RRset have passed
since that was first seen. In SWITCH the client changes its key, whenever it likes: only word that the new key works
ends it, never a timer. RETIRE leaves the new key's records alone and lasts until no cache can hold the old ones. A roll
that changes only the form of the records, for a key that stays, goes from STABLE to RETIRE. A key that was stolen is
withdrawn at once: RETIRE is where such a roll begins.

Waits are counted on steady clocks (`Reading`), each for itself, so that setting the wall clock can neither shorten nor
end them: what was not watched on one clock from beginning to end has not passed. Not here: publishing, asking servers,
storage, the RRsets themselves (`plan`), the rule they keep (`invariant`).

Sections: RFC 7671 sections 8.1 (key rollover), 8.2 (from DANE-EE to DANE-TA), 8.4.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from types import MappingProxyType
from typing import Final, TypeAlias

from dnsbound.provision.errors import RollRefused
from dnsbound.provision.lifecycle.evidence import Evidence, Reading
from dnsbound.times import Moment, Seconds


class RollKind(StrEnum):
    """What a roll changes."""

    KEY = "key"
    """The key, and with it the records; perhaps their parameters too."""
    PARAMETERS = "parameters"
    """The parameters of the records, for the key and certificates that stay."""
    EMERGENCY = "emergency"
    """The key at once, because nobody may log in with the old one any more."""


class RollState(StrEnum):
    """Where a roll stands."""

    STABLE = "stable"
    """Nothing is changed yet: the RRset of before is being measured at every server."""
    PREPUBLISH = "prepublish"
    """The records of both keys stand; the client uses the old one."""
    SWITCH = "switch"
    """The records of both keys stand everywhere; the client changes its key."""
    RETIRE = "retire"
    """The new records stand alone; caches forget the old ones."""
    DONE = "done"
    CANCELLED = "cancelled"
    """Taken back: what stood before stands again."""


OPEN: Final = frozenset({RollState.STABLE, RollState.PREPUBLISH, RollState.SWITCH, RollState.RETIRE})
"""States of a roll that is not over."""


class RollEvent(StrEnum):
    """What moves a roll."""

    MEASURED = "measured"
    """Every server serves the RRset of before, and its largest TTL is known."""
    MEASURED_SAME_KEY = "measured-same-key"
    """The same, where no key changes: the new records match what the client uses already."""
    WAITED = "waited"
    """Every server serves what it should, for as long as caches may hold something else."""
    CONFIRMED = "confirmed"
    """The client works with the new key: it was seen, or somebody answers for it."""
    CANCELLED = "cancelled"
    COMPROMISED = "compromised"
    """The old key is no longer the client's alone."""
    REVOKED = "revoked"
    """The identity is gone, and with it whatever was to become of it."""


TRANSITIONS: Final[Mapping[tuple[RollState, RollEvent], RollState]] = MappingProxyType(
    {
        (RollState.STABLE, RollEvent.MEASURED): RollState.PREPUBLISH,
        (RollState.STABLE, RollEvent.MEASURED_SAME_KEY): RollState.RETIRE,
        (RollState.STABLE, RollEvent.CANCELLED): RollState.CANCELLED,
        (RollState.STABLE, RollEvent.COMPROMISED): RollState.RETIRE,
        (RollState.STABLE, RollEvent.REVOKED): RollState.CANCELLED,
        (RollState.PREPUBLISH, RollEvent.WAITED): RollState.SWITCH,
        (RollState.PREPUBLISH, RollEvent.CANCELLED): RollState.CANCELLED,
        (RollState.PREPUBLISH, RollEvent.COMPROMISED): RollState.RETIRE,
        (RollState.PREPUBLISH, RollEvent.REVOKED): RollState.CANCELLED,
        (RollState.SWITCH, RollEvent.CONFIRMED): RollState.RETIRE,
        (RollState.SWITCH, RollEvent.CANCELLED): RollState.CANCELLED,
        (RollState.SWITCH, RollEvent.COMPROMISED): RollState.RETIRE,
        (RollState.SWITCH, RollEvent.REVOKED): RollState.CANCELLED,
        (RollState.RETIRE, RollEvent.WAITED): RollState.DONE,
        (RollState.RETIRE, RollEvent.REVOKED): RollState.CANCELLED,
    }
)
"""A pair that is absent is refused, in the words of `_REFUSALS`."""

FIRST_STATE: Final[Mapping[RollKind, RollState]] = MappingProxyType(
    {RollKind.KEY: RollState.STABLE, RollKind.PARAMETERS: RollState.STABLE, RollKind.EMERGENCY: RollState.RETIRE}
)

_REFUSALS: Final[Mapping[RollEvent, str]] = MappingProxyType(
    {
        RollEvent.MEASURED: "the old records were measured before",
        RollEvent.MEASURED_SAME_KEY: "the old records were measured before",
        RollEvent.WAITED: "there is nothing to wait for",
        RollEvent.CONFIRMED: "the new key may not be confirmed: caches may not know it yet, or the roll is past it",
        RollEvent.CANCELLED: "the old key's records are withdrawn: roll to another key instead",
        RollEvent.COMPROMISED: "the old key's records are withdrawn already",
        RollEvent.REVOKED: "the roll is over",
    }
)


def after(state: RollState, event: RollEvent) -> RollState:
    """The state an event leads to; RollRefused where it leads nowhere."""
    following = TRANSITIONS.get((state, event))
    if following is None:
        raise RollRefused(f"the roll is in {state.value}: {_REFUSALS[event]}")
    return following


@dataclass(frozen=True, slots=True, kw_only=True)
class Served:
    """Every authoritative server serves exactly the RRset that was asked for, signed."""

    ttl: int
    """The largest seen."""
    signed_until: Moment | None = None
    """When the first of the signatures that were seen ends."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Behind:
    """At least one server serves something else."""

    server: str
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Unknown:
    """At least one server could not be asked, and none is known to be behind."""

    server: str
    why: str


Observation: TypeAlias = Served | Behind | Unknown
"""What the authoritative servers were seen to serve at a name, against what they should."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """What follows from one look: the event, if its guard is passed, what is known now, and when to look again."""

    event: RollEvent | None
    evidence: Evidence
    again_in: Seconds | None = None
    """None where time alone moves nothing, or where the event moves the roll now."""
    problem: str = ""


ASKED_ABOUT_SERVERS: Final = frozenset({RollState.STABLE, RollState.PREPUBLISH, RollState.RETIRE})
"""States that are left by what the servers serve."""


def wait_seconds(state: RollState, evidence: Evidence) -> Seconds:
    """How long every server must have served the state's RRset before the roll may leave it.

    RFC 7671 section 8.1: two TTLs of the old RRset before the new key is used. After the switch nobody may hold what
    stood before for longer than its one TTL.
    """
    if state is RollState.PREPUBLISH:
        return 2 * max(evidence.old_ttl, 0)
    if state is RollState.RETIRE:
        return max(evidence.old_ttl, evidence.both_ttl, 0)
    return 0


def look(
    state: RollState, evidence: Evidence, seen: Observation, *, same_key: bool, now: Moment, steady: Reading
) -> Step:
    """What the servers' answers mean for a roll in one of ASKED_ABOUT_SERVERS.

    same_key: the roll changes no key. now: the wall clock, kept for people and never reckoned with. steady: the clock
    that waits are counted on.
    """
    if isinstance(seen, Behind):
        problem = f"{seen.server} does not serve it: {seen.why}"
        return Step(event=None, evidence=replace(evidence, watches=()), problem=problem)
    if isinstance(seen, Unknown):
        return Step(event=None, evidence=evidence, problem=f"{seen.server} could not be asked: {seen.why}")
    if state is RollState.STABLE:
        measured = replace(evidence, old_ttl=max(evidence.old_ttl, seen.ttl), signed_until=seen.signed_until)
        return Step(event=RollEvent.MEASURED_SAME_KEY if same_key else RollEvent.MEASURED, evidence=measured)
    known = evidence.with_watch(steady, now=now)
    if state is RollState.PREPUBLISH:
        known = replace(known, both_ttl=max(known.both_ttl, seen.ttl))
    left = wait_seconds(state, known) - known.waited(steady)
    if left > 0:
        return Step(event=None, evidence=known, again_in=left)
    return Step(event=RollEvent.WAITED, evidence=known)


def earliest_end(state: RollState, evidence: Evidence) -> Moment | None:
    """When the roll may leave its state, by the wall clock and for people; None where that is not up to time, or where
    the wait has not begun."""
    if state not in (RollState.PREPUBLISH, RollState.RETIRE) or not evidence.watches:
        return None
    return min(watch.at for watch in evidence.watches) + wait_seconds(state, evidence)
