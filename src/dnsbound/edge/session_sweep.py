"""Asking again about clients that are in: the driver of `dnsbound.verify.sessions`, on an event loop or a thread.

A session is asked about shortly before its evidence ends, and when the access list changed. *No* cuts the connection at
once; *undecided* keeps it as long as the registry says. One sweep serves all connections of one authenticator on one
event loop; it stops looking when nobody is in.

What it does not do: decide (the engine), or plan (the registry).
"""

import asyncio
import contextlib
import logging
import weakref
from collections import Counter
from enum import StrEnum
from functools import partial
from queue import Empty, SimpleQueue
from threading import Thread
from typing import TYPE_CHECKING, Final, Protocol

from dnsbound import limits
from dnsbound.dns.answer import Provenance
from dnsbound.errors import DnsboundError, Reason, Refused, Undecided
from dnsbound.verify.peer import VerifiedPeer
from dnsbound.verify.sessions import Action, Session

if TYPE_CHECKING:
    from dnsbound.edge.authenticator import Authenticator
    from dnsbound.names import ClientName
    from dnsbound.times import Moment
    from dnsbound.verify.claim import Claim

_log: Final = logging.getLogger("dnsbound.listen")

RECHECKS_AT_ONCE: Final = limits.RECHECKS_AT_ONCE.default


class LiveConnection(Protocol):
    """What a session's handle must be. Both may be called from any thread."""

    def renewed(self, peer: VerifiedPeer) -> None:
        """There is newer evidence."""

    def cut(self, reason: Refused | Undecided) -> None:
        """End the connection now."""


class SessionSweep:
    """Re-asks on one event loop about the sessions of one authenticator. Get one with `sweep_for`."""

    def __init__(self, loop: asyncio.AbstractEventLoop, authenticator: "Authenticator") -> None:
        self._loop = loop
        self._authenticator = authenticator
        self._timer: asyncio.TimerHandle | None = None
        self._slots = asyncio.Semaphore(RECHECKS_AT_ONCE)
        self._tasks: set[asyncio.Task[None]] = set()

    def register(self, peer: VerifiedPeer, claim: "Claim", connection: LiveConnection) -> Session:
        """Keep account of an admitted connection until `remove`. LimitExceeded when there are too many."""
        sessions = self._authenticator.sessions
        session = sessions.register(peer, claim, connection, now=peer.verified_at)
        self._wake_by(session.planned)
        return session

    def remove(self, session: Session) -> None:
        self._authenticator.sessions.remove(session)

    def _wake_by(self, due: float) -> None:
        wait = min(max(due - self._authenticator.now(), 0.0), float(limits.SWEEP_SECONDS.default))
        at = self._loop.time() + wait
        if self._timer is not None:
            if self._timer.when() <= at:
                return
            self._timer.cancel()
        self._timer = self._loop.call_at(at, self._look)

    def _look(self) -> None:
        self._timer = None
        authenticator = self._authenticator
        cut_overdue(authenticator)
        for session in authenticator.sessions.due(now=authenticator.now(), generation=_generation(authenticator)):
            task = self._loop.create_task(self._recheck(session))
            self._tasks.add(task)
            task.add_done_callback(partial(self._rechecked, session))
        if len(authenticator.sessions):
            due = authenticator.sessions.next_due()
            self._wake_by(authenticator.now() + limits.SWEEP_SECONDS.default if due is None else due)

    def _rechecked(self, session: Session, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if task.cancelled():
            # This loop is going away; the session may be of another one.
            self._authenticator.sessions.give_back(session, now=self._authenticator.now())

    async def _recheck(self, session: Session) -> None:
        outcome: VerifiedPeer | Refused | Undecided
        try:
            async with self._slots:
                if not session.is_open:
                    return
                outcome = await self._authenticator.authenticate(session.claim, again=True)
        except (Refused, Undecided) as error:
            outcome = error
        except Exception as error:  # noqa: BLE001 (whatever breaks while judging must not keep anyone in)
            outcome = _broken(error)
        settle(self._authenticator, session, outcome)
        due = self._authenticator.sessions.next_due()
        if due is not None:
            self._wake_by(due)


class Fate(StrEnum):
    """What became of a session that was asked about again."""

    CUT = "cut"
    RENEWED = "renewed"
    """The records still say that it may stay."""
    CARRIED = "carried"
    """It stays by a chain that its client carried along: the DNS was not asked."""
    KEPT = "kept"
    """Nobody could say: it stays as long as its evidence holds."""
    ENDED = "ended"
    """It had ended by itself."""


def sweep_blocking(authenticator: "Authenticator") -> None:
    """Look once, in a thread that may wait: for servers without an event loop. Asks in threads of its own about as many
    sessions at a time as a loop does, so that a slow name server holds up few others."""
    _ask_about(
        authenticator, authenticator.sessions.due(now=authenticator.now(), generation=_generation(authenticator))
    )


def ask_again_blocking(authenticator: "Authenticator", name: "ClientName") -> "Counter[Fate]":
    """Ask again about every live session of one name now, whenever it would be due, and cut those that may not stay;
    how many met which fate. In a thread that may wait, beside whatever else sweeps the same sessions. Evidence at hand
    is not enough, but resolvers that are asked may remember: see `Authenticator.forget`."""
    return _ask_about(authenticator, authenticator.sessions.of_name(name, now=authenticator.now()))


def _ask_about(authenticator: "Authenticator", sessions: list[Session]) -> "Counter[Fate]":
    waiting: SimpleQueue[Session] = SimpleQueue()
    fates: SimpleQueue[Fate] = SimpleQueue()
    for session in sessions:
        waiting.put(session)
    helpers = [
        Thread(target=_recheck_all, args=(authenticator, waiting, fates), daemon=True)
        for _ in range(min(waiting.qsize(), RECHECKS_AT_ONCE) - 1)
    ]
    started = [helper for helper in helpers if _starts(helper)]
    _recheck_all(authenticator, waiting, fates)
    for helper in started:
        helper.join()
    return Counter(fates.get() for _ in range(fates.qsize()))


def _starts(thread: Thread) -> bool:
    """False where the system has no thread left: a server must not end of that, nor go on without its sweep."""
    try:
        thread.start()
    except RuntimeError:
        _log.error("no thread could be started to ask again about live sessions")
        return False
    return True


def _recheck_all(authenticator: "Authenticator", waiting: "SimpleQueue[Session]", fates: "SimpleQueue[Fate]") -> None:
    with contextlib.suppress(Empty):
        while True:
            fates.put(_recheck_blocking(authenticator, waiting.get_nowait()))


def _recheck_blocking(authenticator: "Authenticator", session: Session) -> Fate:
    if not session.is_open:
        return Fate.ENDED
    outcome: VerifiedPeer | Refused | Undecided
    try:
        outcome = authenticator.authenticate_blocking(session.claim, again=True)
    except (Refused, Undecided) as error:
        outcome = error
    except Exception as error:  # noqa: BLE001 (as above)
        outcome = _broken(error)
    action = settle(authenticator, session, outcome)
    if action is Action.KEEP and isinstance(outcome, VerifiedPeer):
        return Fate.CARRIED if outcome.provenance is Provenance.CARRIED else Fate.RENEWED
    return _FATES[action]


_FATES: Final = {Action.KEEP: Fate.KEPT, Action.CUT: Fate.CUT, Action.LEAVE: Fate.ENDED}


class SweepThread:
    """The sweep of a server without an event loop, which looks about twice a second. One thread at a time."""

    def __init__(self, authenticator: "Authenticator") -> None:
        self._authenticator = authenticator
        self._sweeping: Thread | None = None
        self._next_look: Moment = 0.0

    def look(self) -> None:
        """Cut the sessions whose time is over, and start a look at the others, in a thread, when it is time."""
        authenticator = self._authenticator
        cut_overdue(authenticator)
        if self._sweeping and self._sweeping.is_alive():
            return
        now, due = authenticator.now(), authenticator.sessions.next_due()
        if due is not None and (now >= due or now >= self._next_look):
            sweeping = Thread(target=sweep_blocking, args=(authenticator,), daemon=True)
            if _starts(sweeping):
                self._next_look = now + limits.SWEEP_SECONDS.default
                self._sweeping = sweeping


def cut_overdue(authenticator: "Authenticator") -> None:
    """Cut the sessions whose evidence ended while the answer about them was awaited. Does not wait."""
    for session in authenticator.sessions.overdue(now=authenticator.now()):
        settle(authenticator, session, authenticator.gave_up(session.claim))


def settle(authenticator: "Authenticator", session: Session, outcome: VerifiedPeer | Refused | Undecided) -> Action:
    """Bring the outcome to the registry, and what it says to the connection; what became of the session."""
    action = authenticator.sessions.settle(session, outcome, now=authenticator.now())
    if action is Action.LEAVE:
        return action
    connection: LiveConnection = session.handle  # type: ignore[assignment] # register put it there
    try:
        if action is Action.KEEP:
            connection.renewed(session.peer)
        elif isinstance(outcome, VerifiedPeer):
            # The evidence is another's.
            connection.cut(Undecided(Reason.INDETERMINATE, "the evidence is not this connection's"))
        else:
            connection.cut(outcome)
    except Exception:  # noqa: BLE001 (whatever it is)
        # One connection that cannot be told must keep no other in: whoever sweeps has to go on.
        _log.exception("a live session's connection could not be told what became of it")
    return action


def _broken(error: Exception) -> Undecided:
    _log.error("asking again about a live session failed", exc_info=error)
    return Undecided(Reason.DNS_FAILED, "the authenticator failed")


def _generation(authenticator: "Authenticator") -> int | None:
    """Of the access list in force; None when it cannot be read now, which the old list's keeper has reported."""
    try:
        return authenticator.access_generation
    except DnsboundError:
        return None


_sweeps: Final[weakref.WeakValueDictionary[tuple[int, int], SessionSweep]] = weakref.WeakValueDictionary()


def sweep_for(loop: asyncio.AbstractEventLoop, authenticator: "Authenticator") -> SessionSweep:
    """The sweep of this authenticator on this loop. It lives as long as a connection or a timer holds it."""
    key = (id(loop), id(authenticator))
    sweep = _sweeps.get(key)
    if sweep is None:
        sweep = _sweeps[key] = SessionSweep(loop, authenticator)
    return sweep
