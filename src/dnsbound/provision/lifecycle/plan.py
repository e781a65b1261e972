"""The RRsets of one roll: what stands before it, during it and after it, made so that no step breaks the invariant.

Sections: RFC 7671 section 8.1 (the records of both keys with the same parameters), 8.2 (from `3 1 1` to `2 0 1`: the
new leaf is published as `3 1 1` first, and the whole RRset replaced only after the switch), 8.3 (digests).
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final, Self

from dnsbound.errors import Malformed
from dnsbound.provision.errors import RollRefused
from dnsbound.provision.lifecycle.deployment import Deployment, Parameters
from dnsbound.provision.lifecycle.invariant import RRset, Situation, check
from dnsbound.provision.lifecycle.machine import RollKind, RollState
from dnsbound.records.tlsa import TLSA


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """All TLSA records of the name in each phase, those of others at the same name included."""

    before: RRset
    during: RRset
    """Of the old and the new key; the same as `after` where no key changes."""
    after: RRset

    def rrset(self, state: RollState) -> RRset:
        """What stands, or is to stand, in a state."""
        if state in (RollState.PREPUBLISH, RollState.SWITCH):
            return self.during
        if state in (RollState.RETIRE, RollState.DONE):
            return self.after
        return self.before

    @property
    def of_new_key(self) -> RRset:
        """Records that match the new key and not the old one: who was admitted by one of them has switched."""
        return (self.during | self.after) - self.before

    def to_text(self) -> str:
        phases = {"before": self.before, "during": self.during, "after": self.after}
        return json.dumps(
            {phase: [record.to_text() for record in sorted(rrset)] for phase, rrset in phases.items()}, sort_keys=True
        )

    @classmethod
    def from_text(cls, text: str) -> Self:
        """Malformed for anything that `to_text` does not write."""
        try:
            value: dict[str, Any] = json.loads(text)
            phases = {
                phase: frozenset(TLSA.from_text(record) for record in value[phase])
                for phase in ("before", "during", "after")
            }
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            raise Malformed("the plan of a roll does not parse") from None
        return cls(**phases)


def make_plan(
    kind: RollKind,
    *,
    standing: RRset,
    ours: RRset,
    old: Deployment,
    new: Deployment,
    target: tuple[Parameters, ...] = (),
) -> Plan:
    """The phases of a roll. RollRefused, with the sentence why, where one of them would refuse the client.

    standing: every TLSA record at the name. ours: those of the identity, which the roll replaces; the others stay.
    old, new: what the client uses before and after; the same where only parameters change. target: parameters of the
    records afterwards; none keeps them.
    """
    kept = tuple(sorted({Parameters.of(record) for record in ours}))
    wanted = target or kept
    after = (standing - ours) | {new.record(parameters) for parameters in wanted}
    if kind is RollKind.KEY:
        present = sorted({Parameters.of(record) for record in standing})
        during = standing | {_of_both(new, parameters) for parameters in present}
    else:
        during = after
    plan = Plan(before=standing, during=during, after=after)
    if plan.after == plan.before and new.spki == old.spki:
        raise RollRefused("nothing would change: these records stand already")
    check(situations(kind, plan, old=old, new=new))
    return plan


_FIRST: Final = "first roll the parameters to some that both have (--parameters), then the key (RFC 7671 section 8.1)"


def _of_both(new: Deployment, parameters: Parameters) -> TLSA:
    try:
        return new.record(parameters)
    except RollRefused as error:
        raise RollRefused(f"{error}; {_FIRST}") from None


def situations(kind: RollKind, plan: Plan, *, old: Deployment, new: Deployment) -> Iterator[Situation]:
    """What verifiers may meet in the course of a roll, in its order; taking it back at any step included."""
    if kind is RollKind.EMERGENCY:
        # The old key must not log in any more, whatever caches say of the new one.
        yield Situation(served=plan.after, deployed=(new,))
        return
    if kind is RollKind.KEY:
        yield Situation(served=plan.before, deployed=(old,))
        yield Situation(served=plan.during, cached=(plan.before,), deployed=(old,))
        yield Situation(served=plan.during, deployed=(old, new))
        yield Situation(served=plan.before, cached=(plan.during,), deployed=(old,))
        yield Situation(served=plan.after, cached=(plan.during,), deployed=(new,))
    # Where no key changes, what stood before is no worse than it was: such a roll may be the remedy.
    yield Situation(served=plan.after, deployed=(new,))
