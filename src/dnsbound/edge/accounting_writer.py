"""Writing accounting from an event loop: a thread with a queue, so that a slow database stops nobody.

    report      an access server's: its future ends when the database has it; only then is it acknowledged (RFC 2866
                section 2). While the database is down, or the queue is full, it fails at once: the access server
                repeats it, to this server or to another.
    keep        what this server did: it waits for a database that is down, in memory, as far as ACCOUNTING_KEPT goes.
    renew       newer evidence of a session: only the newest is written, now and then.

What is written together is one transaction. An entry that the database refuses fails alone.
"""

import logging
import threading
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, replace
from typing import Final, Protocol, TypeAlias

from dnsbound.errors import DnsboundError, LimitExceeded
from dnsbound.limits import ACCOUNTING_BATCH, ACCOUNTING_KEPT, ACCOUNTING_QUEUE, ACCOUNTING_RETRY_SECONDS
from dnsbound.provision.accounting.entries import Admitted, Ended, Entry, Marked, Renewed, Reported
from dnsbound.provision.errors import AccountingFailed, DatabaseFailed
from dnsbound.times import Moment, Seconds

RENEWALS_SECONDS: Final[Seconds] = 5.0
"""How long newer evidence waits to be written with others."""
PRUNE_SECONDS: Final[Seconds] = 3600.0
CLOSING_SECONDS: Final[Seconds] = 10.0
"""How long the end of a server waits for what is not written yet."""

Kept: TypeAlias = Admitted | Marked | Ended

_log: Final = logging.getLogger("dnsbound.accounting")


class Written(Protocol):
    """What is written into; `dnsbound.provision.accounting.ledger.Ledger` is one."""

    def write(self, entries: "list[Entry]") -> None: ...

    def prune(self, *, before: Moment) -> int: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class WriterCounters:
    """Since the start. unacknowledged: reports that failed. refused: entries that the database does not take. lost:
    what this server did and could not keep. waiting: now."""

    written: int = 0
    batches: int = 0
    unacknowledged: int = 0
    refused: int = 0
    lost: int = 0
    waiting: int = 0
    is_down: bool = False


@dataclass(slots=True, eq=False)
class _Waiting:
    entry: Entry
    written: "Future[None] | None"
    """Of a report; None for what this server did."""


class AccountingWriter:
    """One thread that writes. Every method but `close` returns at once, from any thread."""

    def __init__(
        self,
        ledger: Written,
        *,
        queue: int | None = None,
        kept: int | None = None,
        batch: int | None = None,
        retry_seconds: float | None = None,
        keep_seconds: Seconds | None = None,
        clock: Callable[[], Moment] = time.time,
    ) -> None:
        """retry_seconds: between tries at a database that is down. keep_seconds: what ended longer ago is forgotten,
        looked at once an hour; None for never."""
        self._ledger = ledger
        self._queue = ACCOUNTING_QUEUE.checked(queue)
        self._kept = ACCOUNTING_KEPT.checked(kept)
        self._batch = ACCOUNTING_BATCH.checked(batch)
        self._retry_seconds = float(ACCOUNTING_RETRY_SECONDS.default) if retry_seconds is None else retry_seconds
        self._keep_seconds = keep_seconds
        self._clock = clock
        self._prune_at: Seconds = time.monotonic()
        self._down_until: Seconds = 0.0
        self._reports = 0
        self._waiting: deque[_Waiting] = deque()
        self._renewals: dict[bytes, Moment] = {}
        self._renew_at: Seconds | None = None
        self._counters = WriterCounters()
        self._change = threading.Condition()
        self._closing = False
        self._thread = threading.Thread(target=self._run, name="accounting", daemon=True)
        self._thread.start()

    # --- from anywhere

    def report(self, entry: Reported) -> "Future[None]":
        """A future that ends when it is written; it fails with AccountingFailed, or LimitExceeded for a full queue."""
        written: Future[None] = Future()
        with self._change:
            problem: DnsboundError | None = None
            if self._closing or time.monotonic() < self._down_until:
                problem = AccountingFailed("the accounting database is down")
            elif self._reports >= self._queue:
                problem = LimitExceeded(ACCOUNTING_QUEUE.name, "reports come faster than they are written")
            if problem is not None:
                self._count(unacknowledged=1)
                written.set_exception(problem)
                return written
            self._reports += 1
            self._waiting.append(_Waiting(entry, written))
            self._change.notify()
        return written

    def keep(self, entry: Kept) -> None:
        """Write it as soon as that is possible."""
        with self._change:
            if len(self._waiting) - self._reports >= self._kept:
                if not self._counters.lost:
                    _log.error("the accounting database is down for too long: what happens now is not kept")
                self._count(lost=1)
                return
            self._waiting.append(_Waiting(entry, None))
            self._change.notify()

    def renew(self, access_class: bytes, holds_until: Moment) -> None:
        """There is newer evidence of a session. What is lost of this only ends the session sooner after a restart."""
        with self._change:
            if len(self._renewals) < self._kept:
                self._renewals[access_class] = holds_until
            if self._renew_at is None:
                self._renew_at = time.monotonic() + RENEWALS_SECONDS
                self._change.notify()

    @property
    def counters(self) -> WriterCounters:
        with self._change:
            return replace(self._counters, waiting=len(self._waiting))

    def close(self) -> None:
        """Write what waits, in bounded time, then end the thread. Blocks."""
        with self._change:
            self._closing = True
            self._change.notify()
        self._thread.join(CLOSING_SECONDS)
        with self._change:
            left = [waiting for waiting in self._waiting if waiting.written is None]
            if left:
                _log.error("%d entries of accounting were not written", len(left))

    # --- the thread

    def _run(self) -> None:
        while True:
            batch = self._next()
            if not batch:
                return
            is_last_try = self._closing
            self._write(batch)
            if is_last_try and self._counters.is_down:
                return
            self._prune()

    def _next(self) -> list[_Waiting]:
        """What to write now; nothing when it is time to end."""
        with self._change:
            while True:
                now = time.monotonic()
                if self._renew_at is not None and (now >= self._renew_at or self._closing):
                    self._take_renewals()
                if self._waiting:
                    return [self._waiting.popleft() for _ in range(min(self._batch, len(self._waiting)))]
                if self._closing:
                    return []
                self._change.wait(None if self._renew_at is None else max(self._renew_at - now, 0.0))

    def _take_renewals(self) -> None:
        newest = [Renewed(access_class=name, holds_until=moment) for name, moment in self._renewals.items()]
        self._waiting.extend(_Waiting(entry, None) for entry in newest)
        self._renewals.clear()
        self._renew_at = None

    def _write(self, batch: list[_Waiting]) -> None:
        try:
            self._ledger.write([waiting.entry for waiting in batch])
        except DatabaseFailed as error:
            if not _is_of_the_data(error):
                self._failed(batch, error)
            elif len(batch) > 1:
                for waiting in batch:
                    self._write([waiting])
            else:
                self._refused(batch[0], error)
        except Exception as error:  # noqa: BLE001 (whatever it is: this thread must go on, and nothing is acknowledged)
            _log.exception("accounting could not be written")
            self._failed(batch, AccountingFailed(str(error)))
        else:
            self._done(batch)

    def _done(self, batch: list[_Waiting]) -> None:
        with self._change:
            if self._counters.is_down:
                _log.warning("the accounting database is back")
            self._count(written=len(batch), batches=1)
            self._counters = replace(self._counters, is_down=False)
        self._settle(batch, None)

    def _failed(self, batch: list[_Waiting], error: DatabaseFailed) -> None:
        """The database is down: what this server did waits at its place, and no report is acknowledged."""
        with self._change:
            if not self._counters.is_down:
                _log.error("%s; no report is acknowledged until it is back", error)
            reports = [waiting for waiting in (*batch, *self._waiting) if waiting.written is not None]
            self._waiting = deque(waiting for waiting in (*batch, *self._waiting) if waiting.written is None)
            self._count(unacknowledged=len(reports))
            self._counters = replace(self._counters, is_down=True)
            self._down_until = time.monotonic() + self._retry_seconds
        self._settle(reports, error)
        with self._change:
            if self._waiting:
                self._change.wait_for(lambda: self._closing, self._retry_seconds)

    def _refused(self, waiting: _Waiting, error: DatabaseFailed) -> None:
        _log.error("%s: %s", type(waiting.entry).__name__, error)
        with self._change:
            self._count(refused=1, unacknowledged=int(waiting.written is not None))
        self._settle([waiting], error)

    def _settle(self, batch: list[_Waiting], error: DatabaseFailed | None) -> None:
        for waiting in batch:
            if waiting.written is None:
                continue
            with self._change:
                self._reports -= 1
            if not waiting.written.set_running_or_notify_cancel():
                continue
            if error is None:
                waiting.written.set_result(None)
            else:
                waiting.written.set_exception(error)

    def _count(self, **more: int) -> None:
        """Within the lock."""
        counted = {name: getattr(self._counters, name) + number for name, number in more.items()}
        self._counters = replace(self._counters, **counted)

    def _prune(self) -> None:
        if self._keep_seconds is None or time.monotonic() < self._prune_at:
            return
        self._prune_at = time.monotonic() + PRUNE_SECONDS
        try:
            self._ledger.prune(before=self._clock() - self._keep_seconds)
        except DatabaseFailed as error:
            _log.warning("old accounting was not forgotten: %s", error)


def _is_of_the_data(error: DatabaseFailed) -> bool:
    """The database is well, and does not take this."""
    from sqlalchemy.exc import DataError, IntegrityError

    return isinstance(error.__cause__, IntegrityError | DataError)
