"""A service of several worker processes: they are started, watched, replaced when they die, and ended together.

    run_workers(body, count=4, announcements=...)

The workers are forked, so everything made before (sockets, keys, shared memory) is theirs as well, and a worker that
takes a dead one's place runs the same code as the others, whatever was installed meanwhile. This process has therefore
neither threads nor an event loop: it waits. A worker that dies is replaced at once, then after pauses that double; one
that dies too often ends the service, for its manager to see. A worker whose event loop stands still is killed.

What this is not: passing requests from one worker to another (`worker_exchange`). With one worker there is no second
process (`worker.run_alone`).
"""

import asyncio
import contextlib
import logging
import math
import os
import selectors
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum, auto
from typing import Final, Self

from dnsbound.edge.worker import (
    BEAT_SECONDS,
    ENDING_SIGNALS,
    HANDLED,
    RELOAD_SIGNAL,
    Announcements,
    Body,
    LoopFactory,
    Word,
    run_alone,
    run_watched,
    say,
)
from dnsbound.errors import DnsboundError, LimitExceeded, Misuse
from dnsbound.limits import WORKER_DEATHS, WORKER_DRAIN_SECONDS, WORKER_SILENCE_SECONDS, WORKER_START_SECONDS, WORKERS
from dnsbound.times import Seconds

_WORD_OCTETS: Final = 4096
_FIRST_PAUSE: Final[Seconds] = 0.1
_LONGEST_PAUSE: Final[Seconds] = 5.0
_DEATHS_WITHIN: Final[Seconds] = 60.0

_log: Final = logging.getLogger("dnsbound.workers")


def workers_for(wanted: int) -> int:
    """How many: as wanted, or, for 0, as many as CPUs this process may use. Misuse for too many."""
    return WORKERS.checked(wanted) or min(len(os.sched_getaffinity(0)), WORKERS.maximum)


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """What is expected of workers, in seconds but for `deaths`. None: the limits' defaults."""

    deaths: int | None = None
    silence: int | None = None
    start: int | None = None
    drain: int | None = None

    def checked(self) -> "_Expected":
        return _Expected(
            deaths=WORKER_DEATHS.checked(self.deaths),
            silence=WORKER_SILENCE_SECONDS.checked(self.silence),
            start=WORKER_START_SECONDS.checked(self.start),
            drain=WORKER_DRAIN_SECONDS.checked(self.drain),
        )


def run_workers(
    body: Body,
    *,
    count: int,
    announcements: Announcements | None = None,
    patience: Patience | None = None,
    loop_factory: LoopFactory | None = None,
) -> None:
    """Serve until SIGTERM or SIGINT, in the main thread of a process without other threads. SIGHUP is for the workers.
    loop_factory: makes the event loop of each; asyncio's own without one.

    Misuse, with a worker's own words, when one cannot begin to serve. LimitExceeded when a worker dies again and again.
    """
    announcements = announcements or Announcements()
    expected = (patience or Patience()).checked()
    if WORKERS.checked(count) == 0:
        raise Misuse("a service has one worker at least: workers_for says how many")
    if count == 1:
        run_alone(body, announcements, loop_factory=loop_factory)
        return
    if threading.active_count() > 1 or threading.current_thread() is not threading.main_thread():
        raise Misuse("worker processes are started from the main thread, while there is no other")

    def serve(index: int, channel: socket.socket, successor: bool) -> None:  # noqa: FBT001 (_Serve)
        with asyncio.Runner(loop_factory=loop_factory) as runner:
            runner.run(run_watched(body, index, count, channel, successor=successor))

    with _Signals() as signals, contextlib.closing(_Supervisor(serve, count, announcements, expected, signals)) as them:
        them.run()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Expected:
    deaths: int
    silence: int
    start: int
    drain: int


_Serve = Callable[[int, socket.socket, bool], None]
"""What a worker does, in its process, until it ends: by its index, the channel to whoever started it, and whether it
takes the place of one that died."""


class _State(Enum):
    """Of a seat."""

    STARTING = auto()
    SERVING = auto()
    EMPTY = auto()


class _Seat:
    """The place of one worker, whoever has it."""

    def __init__(self, index: int) -> None:
        self.index: Final = index
        self.state = _State.EMPTY
        self.pid = 0
        self.process = -1
        """A descriptor that is readable once the process has ended."""
        self.channel: socket.socket | None = None
        self.due: Seconds = 0.0
        """When an empty seat is taken, or when whoever has it must have been heard."""
        self.deaths: list[Seconds] = []
        self.words = ""
        """Why it says that it cannot serve."""


class _Signals:
    """Signals that wake a selector up, from here to the end of the block; what they did before is theirs again then."""

    def __init__(self) -> None:
        self.wakes, self._written = socket.socketpair()
        self._came: list[int] = []

    def __enter__(self) -> Self:
        for end in (self.wakes, self._written):
            end.settimeout(0)
        self._former_descriptor = signal.set_wakeup_fd(self._written.fileno(), warn_on_full_buffer=False)
        self._former = {number: signal.signal(number, lambda came, _: self._came.append(came)) for number in HANDLED}
        return self

    def __exit__(self, *_exc: object) -> None:
        self.restore()
        self.wakes.close()
        self._written.close()

    def restore(self) -> None:
        for number, handler in self._former.items():
            signal.signal(number, handler)
        signal.set_wakeup_fd(self._former_descriptor)

    def take(self) -> list[int]:
        """Those that came since the last time."""
        with contextlib.suppress(BlockingIOError):
            self.wakes.recv(_WORD_OCTETS)
        came, self._came[:] = list(self._came), []
        return came


class _Supervisor:
    """See the module."""

    def __init__(
        self, serve: _Serve, count: int, announcements: Announcements, expected: _Expected, signals: _Signals
    ) -> None:
        self._serve = serve
        self._announcements = announcements
        self._expected = expected
        self._signals = signals
        self._seats = [_Seat(index) for index in range(count)]
        self._selector = selectors.DefaultSelector()
        self._selector.register(signals.wakes, selectors.EVENT_READ)
        self._all_have_served = False
        self._drained_at: Seconds | None = None
        """When whoever has not ended by then is killed; None while nobody has to end."""
        self._failure: DnsboundError | None = None
        self._alive_at: Seconds = 0.0

    def run(self) -> None:
        while self._drained_at is None or self._taken():
            now = time.monotonic()
            self._start_due(now)
            self._kill_overdue(now)
            self._announce(now)
            for key, _ in self._selector.select(max(0.0, self._next_due() - time.monotonic())):
                if isinstance(key.data, tuple):
                    happened, seat = key.data
                    happened(seat)
            for number in self._signals.take():
                self._signalled(number)
        if self._failure is not None:
            raise self._failure

    def close(self) -> None:
        """End whoever is left, as when something failed here, and give back what was opened."""
        for seat in self._taken():
            self._signal(seat, signal.SIGKILL)
            os.waitpid(seat.pid, 0)
            self._forget(seat)
        self._selector.close()

    # --- what is due

    def _start_due(self, now: Seconds) -> None:
        if self._drained_at is None:
            for seat in self._seats:
                if seat.state is _State.EMPTY and seat.due <= now:
                    self._start(seat)

    def _kill_overdue(self, now: Seconds) -> None:
        if self._drained_at is not None:
            if now >= self._drained_at:
                self._drained_at = math.inf
                for seat in self._taken():
                    self._kill(seat, "has not ended in time")
            return
        for seat in self._taken():
            if now >= seat.due:
                seat.due = math.inf
                self._kill(seat, "does not begin to serve" if seat.state is _State.STARTING else "stands still")

    def _kill(self, seat: _Seat, why: str) -> None:
        _log.error("worker %d (%d) %s and is killed", seat.index, seat.pid, why)
        self._signal(seat, signal.SIGKILL)

    def _announce(self, now: Seconds) -> None:
        if now >= self._alive_at + BEAT_SECONDS and self._all_have_served:
            self._alive_at = now
            self._announcements.alive()

    def _next_due(self) -> Seconds:
        dues = [seat.due for seat in self._seats] if self._drained_at is None else [self._drained_at]
        return min([*dues, time.monotonic() + BEAT_SECONDS])

    def _taken(self) -> list[_Seat]:
        return [seat for seat in self._seats if seat.state is not _State.EMPTY]

    # --- what happened

    def _signalled(self, number: int) -> None:
        if number == RELOAD_SIGNAL:
            _log.info("the workers read their configuration again")
            self._announcements.reloaded()
            self._signal_all(RELOAD_SIGNAL)
        elif number in ENDING_SIGNALS:
            if self._drained_at is None:
                self._end_all()
            else:
                self._drained_at = time.monotonic()

    def _end_all(self) -> None:
        self._drained_at = time.monotonic() + self._expected.drain
        self._announcements.ending()
        self._signal_all(signal.SIGTERM)

    def _heard(self, seat: _Seat) -> None:
        if seat.channel is None:  # its process's end was seen first
            return
        try:
            said = seat.channel.recv(_WORD_OCTETS)
        except (BlockingIOError, ConnectionError):
            said = b""
        if not said:  # it has closed its end: what became of it is the process's to show
            self._selector.unregister(seat.channel)
            return
        word = Word(said[:1])
        if word is Word.FAILED:
            seat.words = said[1:].decode("utf-8", "replace")
            return
        if word is Word.READY and seat.state is _State.STARTING:
            seat.state = _State.SERVING
            self._served(seat)
        if seat.state is _State.SERVING:
            seat.due = time.monotonic() + self._expected.silence

    def _served(self, seat: _Seat) -> None:
        if self._all_have_served:
            _log.warning("worker %d serves again, as process %d", seat.index, seat.pid)
        elif all(each.state is _State.SERVING for each in self._seats) and self._drained_at is None:
            self._all_have_served = True
            self._announcements.ready()

    def _died(self, seat: _Seat) -> None:
        _, status = os.waitpid(seat.pid, 0)
        code = os.waitstatus_to_exitcode(status)
        pid, words = seat.pid, self._last_words(seat)
        self._forget(seat)
        if self._drained_at is not None:
            return
        told = f"worker {seat.index} ({pid}) ended: {words or (f'signal {-code}' if code < 0 else f'exit {code}')}"
        if not self._all_have_served:
            self._failure = Misuse(words or f"no worker serves: {told}")
            self._end_all()
            return
        _log.error("%s", told)
        self._replace(seat, told)

    def _last_words(self, seat: _Seat) -> str:
        """What it said and has not been heard yet: its end may be seen first."""
        with contextlib.suppress(OSError):
            while seat.channel is not None and (said := seat.channel.recv(_WORD_OCTETS)):
                if said[:1] == Word.FAILED.value:
                    seat.words = said[1:].decode("utf-8", "replace")
        return seat.words

    def _replace(self, seat: _Seat, told: str) -> None:
        now = time.monotonic()
        seat.deaths = [*(death for death in seat.deaths if death > now - _DEATHS_WITHIN), now]
        if len(seat.deaths) > self._expected.deaths:
            self._failure = LimitExceeded(WORKER_DEATHS.name, f"{told}, again and again")
            self._end_all()
            return
        again = len(seat.deaths) - 1
        seat.due = now + (min(_FIRST_PAUSE * 2**again, _LONGEST_PAUSE) if again else 0.0)

    # --- processes

    def _start(self, seat: _Seat) -> None:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        # What comes before the child has handlers of its own must wait for them, and not be taken for the parent's.
        signal.pthread_sigmask(signal.SIG_BLOCK, HANDLED)
        try:
            pid = os.fork()
            if pid == 0:
                ours.close()
                self._be_worker(seat, theirs)
        finally:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, HANDLED)
        theirs.close()
        ours.settimeout(0)
        seat.pid, seat.channel, seat.words = pid, ours, ""
        seat.process = os.pidfd_open(pid)
        seat.state, seat.due = _State.STARTING, time.monotonic() + self._expected.start
        self._selector.register(ours, selectors.EVENT_READ, (self._heard, seat))
        self._selector.register(seat.process, selectors.EVENT_READ, (self._died, seat))

    def _be_worker(self, own: _Seat, channel: socket.socket) -> None:
        """In the child; never returns: nothing of the parent's may be ended in order here."""
        code = 1
        try:
            for seat in self._seats:
                if seat.channel is not None:
                    seat.channel.close()
                    os.close(seat.process)
            self._selector.close()
            self._signals.__exit__()
            self._serve(own.index, channel, bool(own.deaths))
            code = 0
        except DnsboundError as error:
            say(channel, Word.FAILED, str(error)[: _WORD_OCTETS // 4])
        except BaseException as error:  # noqa: BLE001 (nothing of the parent's may go on in the child)
            _log.exception("worker %d failed", own.index)
            say(channel, Word.FAILED, f"{type(error).__name__}: {error}"[: _WORD_OCTETS // 4])
        finally:
            with contextlib.suppress(OSError, ValueError):
                sys.stdout.flush()
                sys.stderr.flush()
            os._exit(code)

    def _signal(self, seat: _Seat, number: signal.Signals) -> None:
        with contextlib.suppress(ProcessLookupError):
            signal.pidfd_send_signal(seat.process, number)

    def _signal_all(self, number: signal.Signals) -> None:
        for seat in self._taken():
            self._signal(seat, number)

    def _forget(self, seat: _Seat) -> None:
        assert seat.channel is not None
        for end in (seat.channel, seat.process):
            with contextlib.suppress(KeyError):
                self._selector.unregister(end)
        seat.channel.close()
        os.close(seat.process)
        seat.state, seat.pid, seat.process, seat.channel = _State.EMPTY, 0, -1, None
