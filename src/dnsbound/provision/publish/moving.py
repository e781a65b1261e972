"""Moving the outbox of one zone to its server: names are taken as there is room on the way, and crossed off as answers
come in. May be ended at any moment, also by a kill, and begun again; memory is that of the names on their way.

A run that would take all records from more names than is usual takes none away before somebody has agreed: what else
waits goes on. That guards the zone against an inventory that was emptied by mistake.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Final

from dnsbound.limits import PUBLISH_CLAIM_SECONDS
from dnsbound.provision.publish.outbox import Claim, Outbox, Settled, Waiting
from dnsbound.provision.publish.publisher import Change, Outcome, OutcomeKind, Publisher
from dnsbound.provision.publish.scope import Scope
from dnsbound.times import Moment, Seconds, iso

CHUNK: Final = 1000
"""Names taken, and crossed off, in one transaction."""
_LINES: Final = 20
"""Reasons that are kept for people; each name's own is in its row."""
_SEVERITY: Final = (OutcomeKind.DONE, OutcomeKind.UNDECIDED, OutcomeKind.REFUSED)


@dataclass(slots=True, kw_only=True)
class Moved:
    """What came of a run, in names. held_back: would have lost all their records. lines: some of the reasons."""

    done: int = 0
    refused: int = 0
    undecided: int = 0
    held_back: int = 0
    more: bool = False
    """The limit was reached, or the server gave up on us, and names wait that were not tried."""
    lines: list[str] = field(default_factory=list)

    def count(self, settled: Settled) -> None:
        if settled.kind is OutcomeKind.DONE:
            self.done += 1
        elif settled.kind is OutcomeKind.REFUSED:
            self.refused += 1
        else:
            self.undecided += 1
        if settled.line:
            self.note(f"{settled.claim.owner}: {settled.kind}: {settled.line}")

    def note(self, line: str) -> None:
        if len(self.lines) < _LINES:
            self.lines.append(line)


@dataclass(frozen=True, slots=True, kw_only=True)
class Manner:
    """How a run goes about. impatient: names whose last attempt failed are tried at once. allow_removals: any number of
    names may lose all their records. limit: of names, None for all. claim_seconds: how long names belong to the run."""

    impatient: bool = True
    allow_removals: bool = False
    limit: int | None = None
    claim_seconds: Seconds = PUBLISH_CLAIM_SECONDS.default


def allowed_removals(removals: int, published: int) -> int:
    """How many names may lose all their records unasked. removals: of the target. published: names on the server."""
    return max(removals, published // 10)


def held_back(waiting: Waiting, removals: int, manner: Manner) -> int:
    """How many names keep their records until somebody agrees."""
    if manner.allow_removals or waiting.emptied <= allowed_removals(removals, waiting.published):
        return 0
    return waiting.emptied


def held_back_line(zone: object, count: int, published: int) -> str:
    return (
        f"{zone}: {count} names of {published} would lose all their records, more than is usual; nothing was taken "
        "from them (--allow-removals does)"
    )


class Move:
    """One run for one zone. progress: called with how many more names are settled. done: with each that is done."""

    def __init__(
        self,
        outbox: Outbox,
        scope: Scope,
        publisher: Publisher,
        *,
        clock: Callable[[], Moment],
        manner: Manner,
        progress: Callable[[int], None],
        done: Callable[[Claim], None],
    ) -> None:
        self._outbox = outbox
        self._scope = scope
        self._publisher = publisher
        self._clock = clock
        self._manner = manner
        self._progress = progress
        self._done = done
        self._open: dict[str, Claim] = {}
        self._outcomes: dict[str, list[Outcome]] = {}
        self._settled: list[Settled] = []
        self.moved = Moved()

    def run(self, *, removals: int) -> Moved:
        """removals: how many names may lose all their records without a word."""
        waiting = self._outbox.waiting(self._scope, now=self._clock())
        if waiting.claimed:
            self.moved.note(
                f"{self._scope.zone}: {waiting.claimed} names are with another publisher, or one that was killed, "
                f"until {iso(waiting.claimed_until)} at the latest"
            )
        self.moved.held_back = held_back(waiting, removals, self._manner)
        if self.moved.held_back:
            self.moved.note(held_back_line(self._scope.zone, self.moved.held_back, waiting.published))
        try:
            for outcome in self._publisher.apply(self._changes()):
                self._take(outcome)
        finally:
            self._write_down()
            if self._open:
                self.moved.more = True
                self._outbox.release(self._open.values(), now=self._clock())
        return self.moved

    def _changes(self) -> Iterator[Change]:
        after, left = "", self._manner.limit
        while left is None or left > 0:
            claims = self._outbox.claim(
                self._scope,
                after=after,
                limit=CHUNK if left is None else min(CHUNK, left),
                now=self._clock(),
                seconds=self._manner.claim_seconds,
                impatient=self._manner.impatient,
                keep_names=bool(self.moved.held_back),
            )
            if not claims:
                return
            after = claims[-1].owner.sort_key
            left = None if left is None else left - len(claims)
            self._open |= {claim.owner.text: claim for claim in claims}
            for claim in claims:
                if not claim.changes:
                    self._settle(claim, OutcomeKind.DONE, "")
                elif self._clock() < claim.until:
                    yield from claim.changes
                # Otherwise the way to the server is so slow that the name may be with another publisher by now.
        self.moved.more = True

    def _take(self, outcome: Outcome) -> None:
        name = outcome.change.owner.text
        outcomes = self._outcomes.setdefault(name, [])
        outcomes.append(outcome)
        claim = self._open[name]
        if len(outcomes) == len(claim.changes):
            del self._outcomes[name]
            worst = max(outcomes, key=lambda one: _SEVERITY.index(one.kind))
            self._settle(claim, worst.kind, worst.line)

    def _settle(self, claim: Claim, kind: OutcomeKind, line: str) -> None:
        del self._open[claim.owner.text]
        self._settled.append(Settled(claim=claim, kind=kind, line=line))
        if len(self._settled) >= CHUNK:
            self._write_down()

    def _write_down(self) -> None:
        settled, self._settled = self._settled, []
        if settled:
            self._outbox.settle(settled, now=self._clock())
            for one in settled:
                self.moved.count(one)
                if one.kind is OutcomeKind.DONE:
                    self._done(one.claim)
            self._progress(len(settled))
