"""Movers in turn: each does a bounded part, so that none waits long for another; one that fails delays itself alone.

    runner = Runner([publishing, rolls, leases])
    runner.run(stop)                    # until the event is set
    runner.until_nothing_moves()        # for cron

What a mover cannot do now is told and tried again, later each time. A lost database or server never ends the runner.
"""

import logging
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias

from dnsbound.errors import DnsboundError
from dnsbound.limits import RUNNER_ROWS, RUNNER_SECONDS
from dnsbound.provision.runner.counters import Counters
from dnsbound.provision.runner.mover import Mover, Report
from dnsbound.times import Moment, Seconds

logger: Final = logging.getLogger("dnsbound.run")

_FIRST_REST: Final[Seconds] = 1.0
_REST_GROWTH: Final = 2.0
_LONGEST_REST: Final[Seconds] = 60.0
_SHORTEST_WAIT: Final[Seconds] = 0.2
"""Between two turns that moved nothing, whatever a mover says of what is due."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """One mover's part of a turn. failure: one line, where it could not be done at all."""

    mover: str
    at: Moment
    report: Report
    failure: str = ""

    @property
    def is_quiet(self) -> bool:
        """Nothing happened that anybody needs to be told."""
        report = self.report
        return not (self.failure or report.moved or report.refused or report.undecided)


Tell: TypeAlias = Callable[[Part], None]


class Runner:
    """See the module. For one thread; `counters` may be read by others.

    interval: seconds after which movers are asked again although nothing was due (limits.RUNNER_SECONDS): other
    processes add work. limit: rows of one part (limits.RUNNER_ROWS). tell: is told of every part.
    """

    def __init__(
        self,
        movers: Sequence[Mover],
        *,
        interval: int | None = None,
        limit: int | None = None,
        tell: Tell = lambda _part: None,
        clock: Callable[[], Moment] = time.time,
    ) -> None:
        self._movers = tuple(movers)
        self._interval = RUNNER_SECONDS.checked(interval)
        self._limit = RUNNER_ROWS.checked(limit)
        self._tell = tell
        self._clock = clock
        self._rests: dict[str, tuple[Seconds, Seconds]] = {}
        self.counters: Final = Counters()

    def run(self, stop: threading.Event) -> None:
        """Turn after turn until `stop` is set, which ends it between two parts."""
        while not stop.is_set():
            parts = list(self._turn(stop))
            if any(part.report.more for part in parts):
                continue
            moved = any(part.report.moved for part in parts)
            stop.wait(0 if moved else self._wait())

    def until_nothing_moves(self, stop: threading.Event | None = None) -> list[Part]:
        """Turns until one of them moves nothing; the parts of that last one, and every part that went wrong before."""
        stop = stop or threading.Event()
        wrong: list[Part] = []
        while True:
            parts = list(self._turn(stop))
            if stop.is_set() or not any(part.report.moved or part.report.more for part in parts):
                return [*wrong, *parts]
            wrong += [part for part in parts if part.failure or part.report.refused]

    def _turn(self, stop: threading.Event) -> Iterator[Part]:
        for mover in self._movers:
            if stop.is_set():
                return
            if time.monotonic() < self._rests.get(mover.name, (0.0, 0.0))[0]:
                continue
            part = self._part(mover)
            self._tell(part)
            yield part

    def _part(self, mover: Mover) -> Part:
        at = self._clock()
        try:
            report = mover.advance(at, self._limit)
        except DnsboundError as error:
            return self._failed(mover, at, str(error))
        except Exception as error:
            # A defect of one mover must not stop the others; it is logged with all that is known of it.
            logger.exception("the mover %s failed", mover.name)
            return self._failed(mover, at, f"internal error, please report it: {type(error).__name__}: {error}")
        self._rests.pop(mover.name, None)
        self.counters.worked(mover.name, report, at=at)
        return Part(mover=mover.name, at=at, report=report)

    def _failed(self, mover: Mover, at: Moment, line: str) -> Part:
        _, last = self._rests.get(mover.name, (0.0, 0.0))
        rest = min(_LONGEST_REST, max(_FIRST_REST, last * _REST_GROWTH))
        self._rests[mover.name] = (time.monotonic() + rest, rest)
        self.counters.failed(mover.name)
        return Part(mover=mover.name, at=at, report=Report(), failure=line)

    def _wait(self) -> Seconds:
        """Until something is due, as far as movers can say; a clock that was set counts for one interval at most."""
        now = self._clock()
        wait: Seconds = self._interval
        for mover in self._movers:
            if mover.name in self._rests:
                wait = min(wait, max(0.0, self._rests[mover.name][0] - time.monotonic()))
                continue
            try:
                due = mover.next_due()
            except DnsboundError:
                continue
            if due is not None:
                wait = min(wait, due - now)
        return max(_SHORTEST_WAIT, wait)
