"""What one kind of the runner's work looks like: it says when it is next due, and does a bounded part of it."""

from dataclasses import dataclass
from typing import Protocol

from dnsbound.times import Moment


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What came of one part. All counts are of rows: names to publish, rolls, leases."""

    moved: int = 0
    """Went a step on; each left an event or a published record."""
    waiting: int = 0
    """Were looked at and have to wait: for time, or for servers that do not serve yet what they should."""
    refused: int = 0
    """Cannot go on until somebody mends the cause, which their row tells."""
    undecided: int = 0
    """Nobody could be asked; they are tried again, later each time."""
    more: bool = False
    """The limit was reached and more is due now."""
    lines: tuple[str, ...] = ()
    """For people: what was refused or could not be found out, a few lines at most."""


class Mover(Protocol):
    """One kind of work. For one thread at a time; any number of processes may work on the same inventory.

    Whoever takes a row marks it with one conditional update, so that no other takes it too, and a step that was begun
    by two is done by one of them: every step is one transaction that checks again where the row stands.
    """

    @property
    def name(self) -> str:
        """One word, for logs and metrics."""
        ...

    def next_due(self) -> Moment | None:
        """When there is something to do next, as far as is known; None when nothing waits for time."""
        ...

    def advance(self, now: Moment, limit: int) -> Report:
        """Work on at most `limit` rows that are due. now: the wall clock.

        What goes wrong with one row is kept in the row. DnsboundError where the work as a whole cannot be done now: the
        database does not answer, a configuration is wrong.
        """
        ...
