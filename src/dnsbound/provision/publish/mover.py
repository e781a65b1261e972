"""The runner's part of publishing: the outbox of every zone, a bounded number of names in each turn."""

from collections.abc import Callable, Sequence

from dnsbound.errors import DnsboundError
from dnsbound.provision.publish.moving import Manner
from dnsbound.provision.publish.reconcile import Publishing
from dnsbound.provision.publish.targets import EmbeddedTarget, Target
from dnsbound.provision.runner.mover import Report
from dnsbound.times import Moment

_LINES = 5


class OutboxMover:
    """A `Mover`. publishing: makes a fresh view of zones and targets, since zones come and go while a runner runs."""

    name = "publish"

    def __init__(self, publishing: Callable[[], Publishing]) -> None:
        self._publishing = publishing

    def next_due(self) -> Moment | None:
        publishing = self._publishing()
        due = [publishing.next_due(target) for target in publishing.targets.values()]
        return min((moment for moment in due if moment is not None), default=None)

    def advance(self, now: Moment, limit: int) -> Report:  # noqa: ARG002 (each target goes by the clock it was made with)
        publishing = self._publishing()
        moved = refused = undecided = 0
        more = False
        lines: list[str] = []
        targets: Sequence[Target] = [one for one in publishing.targets.values() if not isinstance(one, EmbeddedTarget)]
        for target in targets:
            left = limit - moved - refused - undecided
            if left <= 0:
                return Report(moved=moved, refused=refused, undecided=undecided, more=True, lines=tuple(lines[:_LINES]))
            try:
                result = publishing.publish(target, Manner(impatient=False, limit=left))
            except DnsboundError as error:
                # One zone that is configured wrongly does not hold up the others.
                lines.append(f"{target.zone}: {error}")
                undecided += 1
                continue
            moved += result.done
            refused += result.refused + result.held_back
            undecided += result.undecided
            more |= result.more and not (result.refused or result.undecided or result.held_back)
            lines.extend(result.lines)
        return Report(moved=moved, refused=refused, undecided=undecided, more=more, lines=tuple(lines[:_LINES]))
