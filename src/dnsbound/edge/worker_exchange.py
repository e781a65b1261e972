"""Requests that belong to another worker process of the same service: they go there and their answers come back.

Each worker has an inbox, a pair of Unix datagram sockets that was made before the workers were forked, and writes to
the others'. Nothing here blocks and nothing is kept for long: what finds an inbox full, a worker too busy, or a worker
that has died is lost, as on the network, and whoever asked hears so after `EXCHANGE_SECONDS` at the latest. The worker
that takes a dead one's place throws away what was in its inbox and tells the others, who wait no longer for the dead.

What this is not: the choice of the worker (`protocols.radius_routing`), or what a request says.
"""

import asyncio
import contextlib
import logging
import os
import socket
import struct
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, fields
from typing import Final, Self

from dnsbound.errors import Misuse
from dnsbound.limits import EXCHANGE_OCTETS, EXCHANGE_SECONDS, EXCHANGE_WAITING, WORKERS

_HEADER: Final = struct.Struct("!BB8sQ")
"""What it is; the worker that asked, that one's term, its number for the request."""
_REQUEST, _ANSWER, _SILENCE, _BEGINS = range(4)
_TERM_OCTETS: Final = 8
_AT_A_TIME: Final = 64
"""Datagrams read before the event loop sees to others."""
_INBOX_OCTETS: Final = 1_048_576
"""Asked of the system for each inbox, which gives what net.core.wmem_max allows."""

Answerer = Callable[[bytes], bytes | Awaitable[bytes | None] | None]
"""A worker's own answer to a request, or what has to be waited for; None for none."""

_log: Final = logging.getLogger("dnsbound.workers")


class WorkerInboxes:
    """One for each of `count` workers. To be made before they are forked."""

    def __init__(self, count: int) -> None:
        self.count: Final = WORKERS.checked(count)
        self.pairs: Final = [socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM) for _ in range(count)]
        """The end that is read, and the one that is written to, of each."""
        for reads, written in self.pairs:
            written.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _INBOX_OCTETS)
            reads.settimeout(0)
            written.settimeout(0)

    def close(self) -> None:
        for pair in self.pairs:
            for end in pair:
                end.close()


@dataclass(slots=True, kw_only=True)
class ExchangeCounts:
    """Since the worker began."""

    asked: int = 0
    """Requests passed on to others."""
    answered: int = 0
    """Requests of others that were worked on."""
    inbox_full: int = 0
    """Requests and answers that found no room at the other worker."""
    too_many: int = 0
    """Requests that found this worker, or what it may have with another, at the limit."""
    unanswered: int = 0
    """Requests to others that were given up."""
    unread: int = 0
    """Datagrams that are none of ours, or of a former term."""

    def add(self, other: Self) -> None:
        """Take another worker's counts in."""
        for each in fields(self):
            setattr(self, each.name, getattr(self, each.name) + getattr(other, each.name))


@dataclass(slots=True)
class _Waiting:
    """A request that another worker has. until: by the loop's clock."""

    worker: int
    until: float
    answer: asyncio.Future[bytes | None]

    def settle(self, answer: bytes | None) -> bool:
        """Whether it had been open."""
        if self.answer.done():
            return False
        self.answer.set_result(answer)
        return True


class WorkerExchange:
    """One worker's part, for its event loop alone. To be used in a `with` block within that loop."""

    def __init__(
        self,
        inboxes: WorkerInboxes,
        index: int,
        answer: Answerer,
        *,
        waiting: int | None = None,
        seconds: int | None = None,
    ) -> None:
        """answer: for requests of other workers that belong to this one. waiting: requests that one worker may have
        with another at once. seconds: how long others are waited for."""
        self.counts: Final = ExchangeCounts()
        self._inboxes = inboxes
        self._index = index
        self._answer = answer
        self._most = EXCHANGE_WAITING.checked(waiting)
        self._seconds: Final = EXCHANGE_SECONDS.checked(seconds)
        self._term = os.urandom(_TERM_OCTETS)
        self._number = 0
        self._with = [0] * inboxes.count
        """Requests that wait, by whom for."""
        self._waiting: dict[int, _Waiting] = {}
        """By number, and so by when they are given up, the first one first."""
        self._answering: set[asyncio.Task[None]] = set()
        self._timer: asyncio.TimerHandle | None = None

    def __enter__(self) -> Self:
        self._loop = asyncio.get_running_loop()
        reads, _ = self._inboxes.pairs[self._index]
        with contextlib.suppress(BlockingIOError):
            while True:
                reads.recv(1)
        self._loop.add_reader(reads, self._read)
        for other in range(self._inboxes.count):
            if other != self._index:
                self._send(other, _HEADER.pack(_BEGINS, self._index, self._term, 0))
        return self

    def __exit__(self, *_exc: object) -> None:
        self._loop.remove_reader(self._inboxes.pairs[self._index][0])
        if self._timer is not None:
            self._timer.cancel()
        for task in self._answering:
            task.cancel()
        for waiting in list(self._waiting.values()):
            waiting.settle(None)

    async def ask(self, worker: int, request: bytes) -> bytes | None:
        """The answer of another worker; None for none, whatever kept it. Misuse for a worker that is not, for oneself,
        and for more octets than EXCHANGE_OCTETS."""
        if not 0 <= worker < self._inboxes.count or worker == self._index:
            raise Misuse(f"worker {worker} is none that worker {self._index} of {self._inboxes.count} can ask")
        if len(request) > EXCHANGE_OCTETS.default:
            raise Misuse(f"a request of {len(request)} octets is too long for another worker")
        if self._with[worker] >= self._most:
            self.counts.too_many += 1
            return None
        self._number += 1
        number = self._number
        if not self._send(worker, _HEADER.pack(_REQUEST, self._index, self._term, number) + request):
            return None
        self.counts.asked += 1
        waiting = _Waiting(worker, self._loop.time() + self._seconds, self._loop.create_future())
        self._waiting[number] = waiting
        self._with[worker] += 1
        if self._timer is None:
            self._timer = self._loop.call_later(self._seconds, self._give_up)
        try:
            return await waiting.answer
        finally:
            self._with[worker] -= 1
            del self._waiting[number]

    # --- what arrives

    def _read(self) -> None:
        reads, _ = self._inboxes.pairs[self._index]
        for _ in range(_AT_A_TIME):
            try:
                datagram = reads.recv(_HEADER.size + EXCHANGE_OCTETS.default)
            except BlockingIOError:
                return
            self._received(datagram)

    def _received(self, datagram: bytes) -> None:
        kind, asker, term, number = _HEADER.unpack_from(datagram)
        if kind == _REQUEST:
            self._asked(asker, datagram[: _HEADER.size], datagram[_HEADER.size :])
        elif kind == _BEGINS:
            self._lose(waiting for waiting in self._waiting.values() if waiting.worker == asker)
        elif term == self._term and (waits := self._waiting.get(number)) is not None:
            waits.settle(datagram[_HEADER.size :] if kind == _ANSWER else None)
        else:
            self.counts.unread += 1

    def _asked(self, asker: int, header: bytes, request: bytes) -> None:
        if len(self._answering) >= self._most * (self._inboxes.count - 1):
            self.counts.too_many += 1
            return
        self.counts.answered += 1
        try:
            answer = self._answer(request)
        except Exception:  # noqa: BLE001 (one request's failure is its own; the asker must not wait for it)
            self._failed(asker, header)
            return
        if answer is None or isinstance(answer, bytes):
            self._reply(asker, header, answer)
            return
        task = self._loop.create_task(self._wait_for(answer, asker, header))
        self._answering.add(task)
        task.add_done_callback(self._answering.discard)

    async def _wait_for(self, answer: Awaitable[bytes | None], asker: int, header: bytes) -> None:
        try:
            made = await answer
        except Exception:  # noqa: BLE001 (as above)
            self._failed(asker, header)
        else:
            self._reply(asker, header, made)

    def _failed(self, asker: int, header: bytes) -> None:
        _log.exception("a request of worker %d failed", asker)
        self._reply(asker, header, None)

    def _reply(self, asker: int, header: bytes, answer: bytes | None) -> None:
        if answer is not None and len(answer) > EXCHANGE_OCTETS.default:
            _log.error("an answer of %d octets is too long for worker %d", len(answer), asker)
            answer = None
        kind = _SILENCE if answer is None else _ANSWER
        self._send(asker, bytes([kind]) + header[1:] + (answer or b""))

    # --- steps

    def _send(self, worker: int, datagram: bytes) -> bool:
        try:
            self._inboxes.pairs[worker][1].send(datagram)
        except OSError:  # no room: EAGAIN, or ENOBUFS
            self.counts.inbox_full += 1
            return False
        return True

    def _give_up(self) -> None:
        now = self._loop.time()
        self._lose(waiting for waiting in self._waiting.values() if waiting.until <= now)
        later = next((waiting.until for waiting in self._waiting.values() if waiting.until > now), None)
        self._timer = None if later is None else self._loop.call_at(later, self._give_up)

    def _lose(self, lost: Iterable[_Waiting]) -> None:
        for waiting in lost:
            if waiting.settle(None):
                self.counts.unanswered += 1
