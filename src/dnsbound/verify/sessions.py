"""Live sessions: who is in, until when the evidence holds, and whom to ask about again.

One registry serves every door of an Authenticator. It holds no sockets and reads no clock: a driver asks for `due`
sessions, has each judged again, and gives the outcome to `settle`, which says whether to keep or to cut. *No* cuts at
once. *Undecided* keeps a session until its evidence ends plus `grace`, and never past the expiry of a signature under
it. Evidence that a client carried holds longer than its TTL and is asked about when that has passed (`renew_at`). A
change of the access list makes every session due. A session is asked about some seconds before its evidence
ends, so that the answer is there in time, and repeatedly in its grace; a question that is on its way at the end may
overrun by the resolver's deadline. What is asked about for longer, because the questions before it are slow or nobody
works on it any more, is `overdue`: a slow name server must keep nobody in, neither its own names nor others that wait
behind them.
"""

import heapq
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from enum import StrEnum
from itertools import count
from threading import Lock
from typing import Final

from dnsbound.errors import LimitExceeded, Misuse, Refused, Undecided
from dnsbound.limits import LIVE_SESSIONS
from dnsbound.names import ClientName
from dnsbound.times import Moment, Seconds
from dnsbound.verify.claim import Claim
from dnsbound.verify.peer import VerifiedPeer

LONGEST_LEAD: Final[Seconds] = 10.0
"""A session is asked about this long before its evidence ends, or at half of the time that is left."""
SHORTEST_INTERVAL: Final[Seconds] = 1.0
"""Between two questions about one session, whatever the TTL; only the end of its evidence may come sooner."""
ANSWER_SECONDS: Final[Seconds] = 5.0
"""How long after its end a session waits for an answer that is on its way, unless the registry is told otherwise."""

_VOID_PLANS: Final = 1024
"""Void plans that are never worth a rebuilding of an agenda."""


session_numbers: Final = count(1)


class Action(StrEnum):
    """What becomes of a session."""

    KEEP = "keep"
    CUT = "cut"
    LEAVE = "leave"
    """It is no longer registered: its connection has ended, was cut already, or stands for another name by now."""


class Session:
    """One admitted connection. `handle` is the driver's own: whatever it needs to end the session. The registry alone
    changes a session."""

    __slots__ = ("asking", "claim", "entry", "handle", "is_open", "number", "peer", "planned", "question", "since")

    def __init__(self, claim: Claim, peer: VerifiedPeer, handle: object, *, since: Moment) -> None:
        self.number: Final = next(session_numbers)
        """Later sessions have larger ones, in all registries of a process."""
        self.since: Final = since
        """When it was let in."""
        self.claim = claim
        self.handle = handle
        self.peer = peer
        """The newest evidence."""
        self.is_open = True
        self.asking = False
        """Given out by `due` and not settled yet."""
        self.planned: Moment = 0.0
        """When to ask about it next."""
        self.entry = 0
        """The number of that plan."""
        self.question = 0
        """The number of the moment at which the answer to the present question is overdue."""


class Sessions:
    """The registry. Thread-safe."""

    def __init__(
        self,
        *,
        grace: Seconds = 0.0,
        patience: Seconds = ANSWER_SECONDS,
        limit: int | None = None,
        keeps_chains: bool = False,
    ) -> None:
        """grace: seconds a session outlives its evidence while nobody can say whether the record still stands.
        patience: seconds an answer may come late, the deadline of whoever looks up. keeps_chains: sessions are judged
        again by the chains that their clients carried, so these are kept."""
        if grace < 0 or patience < 0:
            raise Misuse("grace and patience are not negative")
        self._grace = grace
        self._patience = patience
        self._limit = LIVE_SESSIONS.checked(limit)
        self._keeps_chains = keeps_chains
        self._lock = Lock()
        self._sessions: dict[Session, None] = {}
        """In the order in which they came."""
        self._planned = _Agenda()
        self._asked = _Agenda()
        self._generations: Counter[int] = Counter()
        """How many sessions each access list let in, so that an unchanged list costs no look at them all."""

    def register(self, peer: VerifiedPeer, claim: Claim, handle: object, *, now: Moment) -> Session:
        """Keep account of an admitted connection; LimitExceeded when there are too many."""
        if claim.carried_chain is not None and not self._keeps_chains:
            claim = replace(claim, carried_chain=None)  # Some kilobytes, which would not be read again.
        with self._lock:
            if len(self._sessions) >= self._limit:
                raise LimitExceeded(LIVE_SESSIONS.name, f"{self._limit} sessions are registered")
            session = Session(claim, peer, handle, since=now)
            self._sessions[session] = None
            self._generations[peer.access_generation] += 1
            self._plan(session, now)
        return session

    def remove(self, session: Session) -> None:
        """The connection has ended by itself. Doing so twice is no mistake."""
        with self._lock:
            self._close(session)

    def due(self, *, now: Moment, generation: int | None = None) -> list[Session]:
        """Sessions to ask about now; each is given out once, until it is settled. generation: of the access list in
        force; sessions that an older one let in are due at once."""
        with self._lock:
            found = [session for session in self._planned.take(now) if not session.asking]
            for session in found:
                self._ask(session, now)
            if generation is not None:
                found.extend(self._outdated(generation, now))
        return found

    def of_name(self, name: ClientName, *, now: Moment) -> list[Session]:
        """Sessions of one name, to be asked about at once and settled, whenever they are due. Also those that are asked
        about already: that answer may be older than what is to be found out."""
        found = [session for session in self if session.peer.name == name]
        with self._lock:
            found = [session for session in found if session.is_open]
            for session in found:
                self._asked.drop(session.question)
                self._ask(session, now)
        return found

    def overdue(self, *, now: Moment) -> list[Session]:
        """Sessions whose end has passed, by more than the patience, while they were asked about. The driver settles
        them as undecided."""
        with self._lock:
            return self._asked.take(now)

    def give_back(self, session: Session, *, now: Moment) -> None:
        """The question was broken off and will not be settled: the session is due again."""
        with self._lock:
            self._answered(session)
            if session.is_open:
                self._plan_at(session, now)

    def next_due(self) -> Moment | None:
        """When `due` or `overdue` will have something to say next; None while nobody is in."""
        with self._lock:
            moments = [moment for moment in (self._planned.next(), self._asked.next()) if moment is not None]
        return min(moments, default=None)

    def settle(self, session: Session, outcome: VerifiedPeer | Refused | Undecided, *, now: Moment) -> Action:
        """The outcome of asking again. CUT leaves the registry; the driver ends the connection."""
        with self._lock:
            self._answered(session)
            if not session.is_open:
                return Action.LEAVE
            if isinstance(outcome, VerifiedPeer) and outcome.name == session.peer.name:
                self._generations[session.peer.access_generation] -= 1
                self._generations[outcome.access_generation] += 1
                session.peer = outcome
            elif not isinstance(outcome, Undecided) or now >= self.ends_at(session):
                self._close(session)
                return Action.CUT
            self._plan(session, now)
        return Action.KEEP

    def ends_at(self, session: Session) -> Moment:
        """When the session ends if nothing more can be found out."""
        end = session.peer.valid_until + self._grace
        expiry = session.peer.signatures_expire
        return end if expiry is None else min(end, expiry)

    def __iter__(self) -> Iterator[Session]:
        with self._lock:
            sessions = tuple(self._sessions)
        return iter(sessions)

    def __len__(self) -> int:
        return len(self._sessions)

    def _ask(self, session: Session, now: Moment) -> None:
        session.asking = True
        session.question = self._asked.put(max(now, self.ends_at(session)) + self._patience, session)

    def _answered(self, session: Session) -> None:
        session.asking = False
        self._asked.drop(session.question)

    def _outdated(self, generation: int, now: Moment) -> list[Session]:
        self._generations = +self._generations
        if self._generations.keys() <= {generation}:
            return []
        outdated = [
            session for session in self._sessions if session.peer.access_generation != generation and not session.asking
        ]
        for session in outdated:
            self._ask(session, now)
        return outdated

    def _plan(self, session: Session, now: Moment) -> None:
        end = self.ends_at(session)
        # Grace is for what cannot be found out: it must not put off finding out.
        until = min(_renew_at(session.peer), end)
        if now < until:
            left = until - now
            planned = min(now + max(SHORTEST_INTERVAL, left - min(LONGEST_LEAD, left / 2)), until)
        else:
            planned = now + max(SHORTEST_INTERVAL, min(LONGEST_LEAD, (end - now) / 2))
            planned = min(planned, end) if now < end else planned
        self._plan_at(session, planned)

    def _plan_at(self, session: Session, moment: Moment) -> None:
        self._planned.drop(session.entry)
        session.entry, session.planned = self._planned.put(moment, session), moment

    def _close(self, session: Session) -> None:
        if session.is_open:
            session.is_open = False
            self._sessions.pop(session, None)
            self._generations[session.peer.access_generation] -= 1
            self._planned.drop(session.entry)
            self._asked.drop(session.question)


def _renew_at(peer: VerifiedPeer) -> Moment:
    return peer.valid_until if peer.renew_at is None else peer.renew_at


class _Agenda:
    """Sessions by the moment at which something is to be done about them."""

    __slots__ = ("_numbers", "_queue", "_sessions")

    def __init__(self) -> None:
        # The queue holds numbers alone, so that a plan that is void keeps no session and no connection in memory.
        self._queue: list[tuple[Moment, int]] = []
        self._sessions: dict[int, Session] = {}
        self._numbers = count(1)

    def put(self, moment: Moment, session: Session) -> int:
        """The number of the entry, for `drop`."""
        number = next(self._numbers)
        self._sessions[number] = session
        heapq.heappush(self._queue, (moment, number))
        return number

    def drop(self, number: int) -> None:
        """Connections may come and go by the million before the first moment comes. Rebuilding when most entries are
        void costs each of them a constant share."""
        self._sessions.pop(number, None)
        if len(self._queue) > 2 * len(self._sessions) + _VOID_PLANS:
            self._queue = [entry for entry in self._queue if entry[1] in self._sessions]
            heapq.heapify(self._queue)

    def take(self, now: Moment) -> list[Session]:
        """Those whose moment has come; each is taken once."""
        taken = []
        while self._queue and self._queue[0][0] <= now:
            session = self._sessions.pop(heapq.heappop(self._queue)[1], None)
            if session is not None:
                taken.append(session)
        return taken

    def next(self) -> Moment | None:
        while self._queue:
            moment, number = self._queue[0]
            if number in self._sessions:
                return moment
            heapq.heappop(self._queue)
        return None

    def __len__(self) -> int:
        """Entries, void ones included."""
        return len(self._queue)
