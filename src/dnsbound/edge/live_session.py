"""Network sessions that a RADIUS server has let in, as one process remembers them, and how they are found again.

By Class, by the place where a client is (a client that comes again to the same place has left its former session), by
access server (one that restarts has lost all of its sessions), and by when their time is over.

What this is not: what is done with them (`radius_live`).
"""

import heapq
from collections.abc import Callable, Iterator
from itertools import count
from typing import TYPE_CHECKING, Protocol

from dnsbound.iana import RadiusAttribute
from dnsbound.protocols.radius_attributes import Attributes
from dnsbound.provision.accounting.writing import printable
from dnsbound.times import Moment, Seconds

if TYPE_CHECKING:
    from dnsbound.errors import Refused, Undecided
    from dnsbound.verify.peer import VerifiedPeer
    from dnsbound.verify.sessions import Session


class _Keeper(Protocol):
    """Who is told what the sweep found; called from any thread."""

    def renewed(self, live: "LiveSession", peer: "VerifiedPeer") -> None: ...

    def cut(self, live: "LiveSession", reason: "Refused | Undecided") -> None: ...


class LiveSession:
    """One admission that is in. It is a `LiveConnection` of the sweep."""

    __slots__ = (
        "access_class",
        "address",
        "calling_station",
        "client",
        "expires_at",
        "identification",
        "is_cutting",
        "is_in",
        "keeper",
        "name",
        "nas",
        "network",
        "registered",
        "session_timeout",
    )

    def __init__(
        self,
        keeper: _Keeper,
        *,
        access_class: bytes,
        network: str,
        name: str,
        client: str,
        address: str,
        nas: str,
        calling_station: str,
        identification: Attributes,
        session_timeout: Seconds,
        expires_at: Moment,
    ) -> None:
        self.keeper = keeper
        self.access_class = access_class
        self.network = network
        self.name = name
        self.client = client
        self.address = address
        self.nas = nas
        self.calling_station = calling_station
        self.identification = identification
        """By what the access server knows it, as far as is known now."""
        self.session_timeout = session_timeout
        self.expires_at = expires_at
        self.registered: tuple[Callable[[Session], None], Session] | None = None
        """At the sweep of its network's authenticator, and how to leave it."""
        self.is_in = True
        self.is_cutting = False

    @property
    def place(self) -> tuple[str, str, str, str]:
        """Where this client is. Another name at the same station is another client."""
        return self.client, self.nas, self.calling_station, self.name

    def known_by(self, attribute: RadiusAttribute, value: bytes) -> None:
        """The access server has said what it calls the session, or the client in it."""
        self.identification = tuple(sorted((dict(self.identification) | {int(attribute): value}).items()))

    def renewed(self, peer: "VerifiedPeer") -> None:
        self.keeper.renewed(self, peer)

    def cut(self, reason: "Refused | Undecided") -> None:
        self.keeper.cut(self, reason)

    def __str__(self) -> str:
        station = f" of {self.calling_station}" if self.calling_station else ""
        return printable(f"{self.name} in {self.network}: the session{station} at {self.nas} ({self.client})")


class LiveSessions:
    """All of one process. For the thread of the event loop alone."""

    def __init__(self) -> None:
        self._by_class: dict[bytes, LiveSession] = {}
        self._by_place: dict[tuple[str, str, str, str], LiveSession] = {}
        self._by_server: dict[tuple[str, str], set[bytes]] = {}
        self._ends: list[tuple[Moment, int, bytes]] = []
        self._numbers = count()

    def add(self, live: LiveSession) -> LiveSession | None:
        """Remember it; the session it replaces, which is forgotten."""
        former = self._by_place.get(live.place) if live.calling_station else None
        if former is not None:
            self.remove(former)
        self._by_class[live.access_class] = live
        if live.calling_station:
            self._by_place[live.place] = live
        self._by_server.setdefault((live.client, live.nas), set()).add(live.access_class)
        self._plan(live)
        return former

    def remove(self, live: LiveSession) -> None:
        """Forget it. Doing so twice is no mistake."""
        live.is_in = False
        if self._by_class.pop(live.access_class, None) is None:
            return
        if self._by_place.get(live.place) is live:
            del self._by_place[live.place]
        here = self._by_server[live.client, live.nas]
        here.discard(live.access_class)
        if not here:
            del self._by_server[live.client, live.nas]

    def of_class(self, access_class: bytes) -> LiveSession | None:
        return self._by_class.get(access_class)

    def at_server(self, client: str, nas: str) -> list[LiveSession]:
        """Those at one access server."""
        return [self._by_class[access_class] for access_class in self._by_server.get((client, nas), ())]

    def expired(self, *, now: Moment) -> list[LiveSession]:
        """Those whose time is over; they are forgotten."""
        found = []
        while self._ends and self._ends[0][0] <= now:
            live = self._by_class.get(heapq.heappop(self._ends)[2])
            if live is None:
                continue
            if live.expires_at > now:
                self._plan(live)  # It was heard of since.
                continue
            self.remove(live)
            found.append(live)
        return found

    def _plan(self, live: LiveSession) -> None:
        # Sessions may come and go by the million before the first moment comes.
        if len(self._ends) > 2 * len(self._by_class) + _VOID_PLANS:
            self._ends = [entry for entry in self._ends if entry[2] in self._by_class]
            heapq.heapify(self._ends)
        heapq.heappush(self._ends, (live.expires_at, next(self._numbers), live.access_class))

    def __iter__(self) -> Iterator[LiveSession]:
        return iter(list(self._by_class.values()))

    def __len__(self) -> int:
        return len(self._by_class)


_VOID_PLANS = 1024
