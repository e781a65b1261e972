"""Leases and transfers as the runner moves them (`dnsbound.provision.runner`): begun and ended when their time comes.

What is over is ended first, whatever was missed while nobody ran; the alias of a lease that is to begin is published
only when the device's record can carry it, which is asked outside of any transaction, several at once. Two runners do
each step once: every step looks again in its own transaction.
"""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Final, TypeAlias

from dnsbound.errors import LimitExceeded, Misuse, Refused, Undecided
from dnsbound.names import ClientName
from dnsbound.provision.ownership.lease import Lease, LeaseState
from dnsbound.provision.ownership.leases import Leases
from dnsbound.provision.ownership.transfers import Transfers
from dnsbound.provision.runner.mover import Report
from dnsbound.times import Moment

CheckTarget: TypeAlias = Callable[[ClientName], None]
"""Asks whether a device's record can carry a lease (`lease_target.check_target`). Raises Refused, Undecided, Misuse. It
is called from several threads."""

ASKED_AT_ONCE: Final = 16
BEGUN_AT_ONCE: Final = 64
"""Leases begun in one turn: a DNS that does not answer holds the runner up for a few lookups, not for all."""
LINES: Final = 10


class LeaseMover:
    """Begins and ends leases. check: asked before an alias is published."""

    def __init__(self, leases: Leases, check: CheckTarget, *, actor: str) -> None:
        self._leases = leases
        self._check = check
        self._actor = actor

    @property
    def name(self) -> str:
        return "leases"

    def next_due(self) -> Moment | None:
        return self._leases.next_due()

    def advance(self, now: Moment, limit: int) -> Report:
        due = self._leases.due(now=now, limit=limit)
        moved = sum(self._leases.close_due(lease.number, now=now, actor=self._actor) for lease in due)
        begin = [lease for lease in due if lease.state is LeaseState.PENDING and lease.ends_at > now][:BEGUN_AT_ONCE]
        refused: list[str] = []
        undecided: list[str] = []
        with ThreadPoolExecutor(ASKED_AT_ONCE, thread_name_prefix="lease") as asking:
            for lease, found in zip(begin, asking.map(self._problem, begin), strict=True):
                problem = found or self._begin(lease, now)
                if problem is None:
                    moved += 1
                    continue
                self._leases.postpone(lease.number, str(problem), now=now)
                told = undecided if isinstance(problem, Undecided) else refused
                told.append(f"{lease.name}: {problem}")
        return Report(
            moved=moved,
            refused=len(refused),
            undecided=len(undecided),
            more=len(due) >= limit,
            lines=tuple([*refused, *undecided][:LINES]),
        )

    def _problem(self, lease: Lease) -> Refused | Undecided | Misuse | None:
        try:
            self._check(lease.target)
        except (Refused, Undecided, Misuse) as error:
            return error
        return None

    def _begin(self, lease: Lease, now: Moment) -> Misuse | LimitExceeded | None:
        try:
            self._leases.begin_due(lease.number, now=now, actor=self._actor)
        except (Misuse, LimitExceeded) as error:
            return error
        return None


class TransferMover:
    """Revokes former names when their overlap is over."""

    def __init__(self, transfers: Transfers, *, actor: str) -> None:
        self._transfers = transfers
        self._actor = actor

    @property
    def name(self) -> str:
        return "transfers"

    def next_due(self) -> Moment | None:
        return self._transfers.next_due()

    def advance(self, now: Moment, limit: int) -> Report:
        due = self._transfers.due(now=now, limit=limit)
        moved = sum(self._transfers.close_due(transfer.number, now=now, actor=self._actor) for transfer in due)
        waiting = [transfer for transfer in due if self._transfers.is_waiting(transfer.number)]
        lines = tuple(f"{transfer.former}: {transfer.new} is not published yet" for transfer in waiting[:LINES])
        return Report(moved=moved, waiting=len(waiting), more=len(due) >= limit and moved > 0, lines=lines)
