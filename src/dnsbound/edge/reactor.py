"""The little a DNS exchange needs of an event loop, and a blocking loop that offers it.

asyncio's and uvloop's loops have these four methods already, so the same exchange code serves coroutines and plain
functions. A `BlockingReactor` belongs to one thread and runs only while that thread waits for an answer.
"""

import heapq
import itertools
import selectors
import time
from collections.abc import Callable
from typing import Any, Protocol

from dnsbound.times import Seconds


class Timer(Protocol):
    """A planned call that can still be called off."""

    def cancel(self) -> None: ...


class Reactor(Protocol):
    """What asyncio calls these. add_reader and add_writer replace an earlier callback of the same socket."""

    def time(self) -> Seconds: ...

    def call_later(self, delay: Seconds, callback: Callable[[], object], /) -> Timer: ...

    def add_reader(self, fd: int, callback: Callable[[], object], /) -> Any: ...  # noqa: ANN401 (asyncio: unused)

    def remove_reader(self, fd: int, /) -> Any: ...  # noqa: ANN401 (asyncio: unused)

    def add_writer(self, fd: int, callback: Callable[[], object], /) -> Any: ...  # noqa: ANN401 (asyncio: unused)

    def remove_writer(self, fd: int, /) -> Any: ...  # noqa: ANN401 (asyncio: unused)


class _BlockingTimer:
    __slots__ = ("callback",)

    def __init__(self, callback: Callable[[], object]) -> None:
        self.callback: Callable[[], object] | None = callback

    def cancel(self) -> None:
        self.callback = None


class BlockingReactor:
    """A `Reactor` over a selector, run by `run_until`."""

    def __init__(self) -> None:
        self._selector = selectors.DefaultSelector()
        self._callbacks: dict[int, dict[int, Callable[[], object]]] = {}
        self._timers: list[tuple[Seconds, int, _BlockingTimer]] = []
        self._order = itertools.count()

    def time(self) -> Seconds:
        return time.monotonic()

    def call_later(self, delay: Seconds, callback: Callable[[], object], /) -> Timer:
        timer = _BlockingTimer(callback)
        heapq.heappush(self._timers, (self.time() + delay, next(self._order), timer))
        return timer

    def add_reader(self, fd: int, callback: Callable[[], object], /) -> None:
        self._set(fd, selectors.EVENT_READ, callback)

    def add_writer(self, fd: int, callback: Callable[[], object], /) -> None:
        self._set(fd, selectors.EVENT_WRITE, callback)

    def remove_reader(self, fd: int, /) -> None:
        self._set(fd, selectors.EVENT_READ, None)

    def remove_writer(self, fd: int, /) -> None:
        self._set(fd, selectors.EVENT_WRITE, None)

    def run_until(self, done: Callable[[], bool], deadline: Seconds) -> None:
        """Run callbacks until `done()` or until `deadline` on this reactor's clock has passed."""
        while not done():
            wait = self._run_timers(deadline)
            if done():
                return
            if wait < 0:
                return
            for key, events in self._selector.select(wait):
                for event, callback in tuple(self._callbacks.get(key.fd, {}).items()):
                    if events & event:
                        callback()

    def close(self) -> None:
        self._selector.close()

    def _run_timers(self, deadline: Seconds) -> Seconds:
        """Run what is due; how long to wait for the next, negative when the deadline has passed."""
        now = self.time()
        while self._timers and self._timers[0][0] <= now:
            timer = heapq.heappop(self._timers)[2]
            if timer.callback is not None:
                timer.callback()
        if now >= deadline:
            return -1.0
        upcoming = self._timers[0][0] if self._timers else deadline
        return max(0.0, min(upcoming, deadline) - now)

    def _set(self, fd: int, event: int, callback: Callable[[], object] | None) -> None:
        callbacks = self._callbacks.setdefault(fd, {})
        before = sum(callbacks)
        if callback is None:
            callbacks.pop(event, None)
        else:
            callbacks[event] = callback
        after = sum(callbacks)
        if before == after:
            pass
        elif not before:
            self._selector.register(fd, after)
        elif after:
            self._selector.modify(fd, after)
        else:
            self._selector.unregister(fd)
        if not after:
            del self._callbacks[fd]
