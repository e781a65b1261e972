"""One worker process of a service, or a service that is one process: what its body is told, and how it is run.

The body serves until `Worker.ending` is set. It says when it serves, and may have things done when a signal asks for
the configuration to be read again, or at each beat. `worker_processes` starts, watches and ends several of these.

What this is not: anything of what is served, which is the body's.
"""

import asyncio
import logging
import signal
import socket
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from enum import Enum
from typing import Final

from dnsbound.times import Seconds

BEAT_SECONDS: Final[Seconds] = 1.0
ENDING_SIGNALS: Final = (signal.SIGTERM, signal.SIGINT)
RELOAD_SIGNAL: Final = signal.SIGHUP
HANDLED: Final = (*ENDING_SIGNALS, RELOAD_SIGNAL)

_log: Final = logging.getLogger("dnsbound.workers")


class Word(Enum):
    """What a worker says to whoever started it. The value is the first octet on the channel."""

    READY = b"r"
    ALIVE = b"a"
    FAILED = b"f"
    """Followed by why, for people."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Announcements:
    """What whoever manages the service hears (sd_notify(3) names the same). None of them may raise or block."""

    ready: Callable[[], None] = lambda: None
    """All workers serve."""
    alive: Callable[[], None] = lambda: None
    """Every second or so while the workers are well."""
    reloaded: Callable[[], None] = lambda: None
    """The workers were told to read their configuration again."""
    ending: Callable[[], None] = lambda: None
    """No more is begun; what was begun is ended."""


class Worker:
    """What the body of a worker is given. For the thread of its event loop alone."""

    def __init__(self, index: int, count: int, say: Callable[[Word], None], *, successor: bool = False) -> None:
        """successor: it takes a dead one's place, and was forked with the configuration that the service began with."""
        self.index: Final = index
        """From 0. The same for the worker that takes a dead one's place."""
        self.count: Final = count
        self.ending: Final = asyncio.Event()
        """Set when the body should end: what was begun may be finished within the time to drain."""
        self._say = say
        self._at_beats: list[Callable[[], None]] = []
        self._at_reload: list[Callable[[], None]] = []
        self._reload_asked = successor
        """Before whoever has to do it could be told."""

    def ready(self) -> None:
        """It serves now."""
        self._say(Word.READY)

    def at_beats(self, call: Callable[[], None]) -> None:
        """Have `call` called every second, and once more at the end. It must not block."""
        self._at_beats.append(call)

    def at_reload(self, call: Callable[[], None]) -> None:
        """Have `call` called when SIGHUP asks for the configuration to be read again: now as well, if it asked before,
        or if the others may have read it since they began. What was made of the configuration is there, then."""
        self._at_reload.append(call)
        if self._reload_asked:
            _call_all([call], "at a reload")

    def beat(self) -> None:
        """Called by whoever runs the worker."""
        self._say(Word.ALIVE)
        _call_all(self._at_beats, "at a beat")

    def reload(self) -> None:
        """Called by whoever runs the worker."""
        self._reload_asked = True
        _call_all(self._at_reload, "at a reload")


Body = Callable[[Worker], Awaitable[None]]
LoopFactory = Callable[[], asyncio.AbstractEventLoop]


def run_alone(body: Body, announcements: Announcements, *, loop_factory: LoopFactory | None = None) -> None:
    """Run the body in this process as the only worker, until SIGTERM or SIGINT; a second one does what it does without
    us. Raises what the body raises. loop_factory: makes its event loop; asyncio's own without one."""
    said = {Word.READY: announcements.ready, Word.ALIVE: announcements.alive}

    async def main() -> None:
        worker = Worker(0, 1, lambda word: said[word]())
        worker.at_reload(announcements.reloaded)
        loop = asyncio.get_running_loop()

        def end(number: signal.Signals) -> None:
            loop.remove_signal_handler(number)
            if not worker.ending.is_set():
                announcements.ending()
            worker.ending.set()

        loop.add_signal_handler(RELOAD_SIGNAL, worker.reload)
        for number in ENDING_SIGNALS:
            loop.add_signal_handler(number, end, number)
        try:
            await _run_body(body, worker)
        finally:
            for number in HANDLED:
                loop.remove_signal_handler(number)

    with asyncio.Runner(loop_factory=loop_factory) as runner:
        runner.run(main())


async def run_watched(body: Body, index: int, count: int, channel: socket.socket, *, successor: bool = False) -> None:
    """Run the body in a process of its own until SIGTERM. channel: a packet socket to the process that started it,
    whose end is this one's end, too. successor: as of `Worker`."""
    channel.settimeout(0)
    worker = Worker(index, count, lambda word: say(channel, word), successor=successor)
    loop = asyncio.get_running_loop()
    loop.add_reader(channel, _abandoned, loop, worker, channel)
    # Service managers signal every process of a service, and the starting one passes it on: once or twice is the same.
    loop.add_signal_handler(signal.SIGTERM, worker.ending.set)
    loop.add_signal_handler(RELOAD_SIGNAL, worker.reload)
    # Ctrl-C reaches a whole process group: the process that started this one decides what it means.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, HANDLED)
    try:
        await _run_body(body, worker)
    finally:
        loop.remove_reader(channel)


async def _run_body(body: Body, worker: Worker) -> None:
    beating = asyncio.get_running_loop().create_task(_beat(worker))
    try:
        await body(worker)
    finally:
        beating.cancel()
        worker.beat()


def say(channel: socket.socket, word: Word, text: str = "") -> None:
    """Say it if there is room; who does not listen hears the next one, or that this process has ended."""
    try:
        channel.send(word.value + text.encode())
    except OSError as error:
        _log.debug("a word to the starting process is lost: %s", error)


def _abandoned(loop: asyncio.AbstractEventLoop, worker: Worker, channel: socket.socket) -> None:
    loop.remove_reader(channel)
    if not worker.ending.is_set():
        _log.error("worker %d: the process that started it is gone, so it ends", worker.index)
        worker.ending.set()


async def _beat(worker: Worker) -> None:
    while True:
        worker.beat()
        await asyncio.sleep(BEAT_SECONDS)


def _call_all(calls: list[Callable[[], None]], when: str) -> None:
    for call in calls:
        try:
            call()
        except Exception:  # noqa: BLE001 (a counter that cannot be written ends no service)
            _log.exception("what a worker does %s failed", when)
