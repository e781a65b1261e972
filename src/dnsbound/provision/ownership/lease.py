"""A lease as a value: for a time, one organisation's name is an alias of another organisation's device.

The alias is a CNAME, so the device's own record decides (RFC 7671 section 5.1): what its maker revokes or rolls counts
under the leased name at once. The reference identity stays the leased name, which no certificate of the maker shows:
only `3 x x` records can match, and the client must state the leased name in dane_clientid.

Not here: keeping leases (`leases.py`), looking the device's record up (`lease_target.py` judges what came of it).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import Final

from dnsbound.names import ClientName
from dnsbound.provision.lifecycle.evidence import Reading
from dnsbound.times import Moment, Seconds


class LeaseState(StrEnum):
    """Where a lease stands."""

    PENDING = "pending"
    """Granted; its alias is not published yet."""
    ACTIVE = "active"
    """The alias is published."""
    ENDED = "ended"
    """It was active, and the alias is gone. Final."""
    CANCELLED = "cancelled"
    """It never became active. Final."""


LEASE_TRANSITIONS: Final[Mapping[LeaseState, frozenset[LeaseState]]] = MappingProxyType(
    {
        LeaseState.PENDING: frozenset({LeaseState.ACTIVE, LeaseState.CANCELLED}),
        LeaseState.ACTIVE: frozenset({LeaseState.ENDED}),
        LeaseState.ENDED: frozenset(),
        LeaseState.CANCELLED: frozenset(),
    }
)
OPEN: Final = frozenset(state for state, after in LEASE_TRANSITIONS.items() if after)


@dataclass(frozen=True, slots=True, kw_only=True)
class Lease:
    """One lease."""

    number: int
    name: ClientName
    """The lessee's name: the alias."""
    target: ClientName
    """The name the maker gave the device."""
    ttl: int
    starts_at: Moment
    ends_at: Moment
    """The alias is withdrawn then; caches may keep it for `ttl` seconds more."""
    state: LeaseState
    due_at: Moment | None
    """When the next step is to be taken or tried again; None once the lease is over."""
    attempts: int
    """How often it could not begin."""
    problem: str
    """Why it could not, the last time; empty otherwise."""
    reason: str
    steady_end: Reading
    """The end by a clock that nobody sets: it ends the lease when the machine's clock was set back."""

    def is_over(self, *, now: Moment, steady: Reading) -> bool:
        """Whether the end has come by either clock; readings of different steady clocks say nothing of each other."""
        by_steady = steady.clock == self.steady_end.clock and steady.seconds >= self.steady_end.seconds
        return now >= self.ends_at or by_steady


def steady_end(ends_at: Moment, *, now: Moment, steady: Reading) -> Reading:
    """The end that was told, on the steady clock."""
    left: Seconds = ends_at - now
    return Reading(clock=steady.clock, seconds=steady.seconds + left)
