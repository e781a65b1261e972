"""Live sessions: who is in, until when the evidence holds, and whom to ask about again.

One registry serves every door of an Authenticator. It holds no sockets and reads no clock: a driver asks for `due`
sessions, has each judged again, and gives the outcome to `settle`, which says whether to keep or to cut. *No* cuts at
once. *Undecided* keeps a session until its evidence ends plus `grace`, and never past the expiry of a signature under
it. A change of the access list makes every session due. A session is asked about some seconds before its evidence
ends, so that the answer is there in time, and repeatedly in its grace; a question that is on its way at the end may
overrun by the resolver's deadline.
"""

import heapq
from collections import Counter
from collections.abc import Iterator
from enum import StrEnum
from itertools import count
from threading import Lock
from typing import Final

from dnsbound.errors import LimitExceeded, Misuse, Refused, Undecided
from dnsbound.limits import LIVE_SESSIONS
from dnsbound.times import Moment, Seconds
from dnsbound.verify.claim import Claim
from dnsbound.verify.peer import VerifiedPeer

LONGEST_LEAD: Final[Seconds] = 10.0
"""A session is asked about this long before its evidence ends, or at half of the time that is left."""
SHORTEST_INTERVAL: Final[Seconds] = 1.0
"""Between two questions about one session, whatever the TTL; only the end of its evidence may come sooner."""


_VOID_PLANS: Final = 1024
"""Plans of ended sessions that are never worth a rebuilding of the queue."""


class Action(StrEnum):
    """What becomes of a session."""

    KEEP = "keep"
    CUT = "cut"


class Session:
    """One admitted connection. `handle` is the driver's own: whatever it needs to end the session. The registry alone
    changes a session."""

    __slots__ = ("asking", "claim", "entry", "handle", "is_open", "peer", "planned")

    def __init__(self, claim: Claim, peer: VerifiedPeer, handle: object) -> None:
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
        """The number of that plan in the registry's queue."""


class Sessions:
    """The registry. Thread-safe."""

    def __init__(self, *, grace: Seconds = 0.0, limit: int | None = None) -> None:
        """grace: seconds a session outlives its evidence while nobody can say whether the record still stands."""
        if grace < 0:
            raise Misuse("grace is not negative")
        self._grace = grace
        self._limit = LIVE_SESSIONS.checked(limit)
        self._lock = Lock()
        self._sessions: set[Session] = set()
        # The queue holds numbers alone, so that a plan that is void keeps no session and no connection in memory.
        self._queue: list[tuple[Moment, int]] = []
        self._plans: dict[int, Session] = {}
        self._entries = count(1)
        self._generations: Counter[int] = Counter()
        """How many sessions each access list let in, so that an unchanged list costs no look at them all."""

    def register(self, peer: VerifiedPeer, claim: Claim, handle: object, *, now: Moment) -> Session:
        """Keep account of an admitted connection; LimitExceeded when there are too many."""
        session = Session(claim, peer, handle)
        with self._lock:
            if len(self._sessions) >= self._limit:
                raise LimitExceeded(LIVE_SESSIONS.name, f"{self._limit} sessions are registered")
            self._sessions.add(session)
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
            found: list[Session] = []
            while self._queue and self._queue[0][0] <= now:
                session = self._plans.pop(heapq.heappop(self._queue)[1], None)
                if session is not None and not session.asking:
                    found.append(session)
            for session in found:
                session.asking = True
            if generation is not None:
                found.extend(self._outdated(generation))
        return found

    def next_due(self) -> Moment | None:
        """When `due` will have something to say next; None while nobody is in."""
        with self._lock:
            while self._queue:
                moment, entry = self._queue[0]
                if entry in self._plans:
                    return moment
                heapq.heappop(self._queue)
        return None

    def settle(self, session: Session, outcome: VerifiedPeer | Refused | Undecided, *, now: Moment) -> Action:
        """The outcome of asking again. CUT leaves the registry; the driver ends the connection."""
        with self._lock:
            session.asking = False
            if not session.is_open:
                return Action.CUT
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

    def _outdated(self, generation: int) -> list[Session]:
        self._generations = +self._generations
        if self._generations.keys() <= {generation}:
            return []
        outdated = [
            session for session in self._sessions if session.peer.access_generation != generation and not session.asking
        ]
        for session in outdated:
            session.asking = True
        return outdated

    def _plan(self, session: Session, now: Moment) -> None:
        end = self.ends_at(session)
        # Grace is for what cannot be found out: it must not put off finding out.
        until = min(session.peer.valid_until, end)
        if now < until:
            left = until - now
            planned = min(now + max(SHORTEST_INTERVAL, left - min(LONGEST_LEAD, left / 2)), until)
        else:
            planned = now + max(SHORTEST_INTERVAL, min(LONGEST_LEAD, (end - now) / 2))
            planned = min(planned, end) if now < end else planned
        self._plans.pop(session.entry, None)
        session.entry, session.planned = next(self._entries), planned
        self._plans[session.entry] = session
        heapq.heappush(self._queue, (planned, session.entry))

    def _close(self, session: Session) -> None:
        if session.is_open:
            session.is_open = False
            self._sessions.discard(session)
            self._generations[session.peer.access_generation] -= 1
            self._plans.pop(session.entry, None)
            self._drop_void_plans()

    def _drop_void_plans(self) -> None:
        """Connections may come and go by the million before the first plan falls due. Rebuilding when most plans are
        void costs each of them a constant share."""
        if len(self._queue) > 2 * len(self._plans) + _VOID_PLANS:
            self._queue = [plan for plan in self._queue if plan[1] in self._plans]
            heapq.heapify(self._queue)
