"""All associations of one datagram server by the address of their peer: who is known, for how long, and how many.

It does no input or output and reads no clock: datagrams, moments and verdicts are brought to it, and a `Host` (an event
loop's or a thread's server) carries out what follows. An address that is not known gets a HelloVerifyRequest at most,
and nothing is kept of it (RFC 6347 section 4.2.1). A hello from a known address goes through the cookie exchange as
well, and only then ends the association that was there (section 4.2.8).

Not here: the association itself (`dnsbound.tls.association`), and who may come in (the authenticator).
"""

import heapq
import itertools
import logging
from collections import Counter
from dataclasses import dataclass, field
from typing import Any, Final, Protocol, TypeAlias

from dnsbound import limits
from dnsbound._native import client_hello_random
from dnsbound.edge.cookie_keys import CookieKeys
from dnsbound.edge.current_peer import ConnectionPeer
from dnsbound.edge.datagram_acceptor import DatagramAcceptor
from dnsbound.edge.handshake_slots import HandshakeOutcome, HandshakeSlots, source_of
from dnsbound.edge.spent_hellos import SpentHellos
from dnsbound.errors import Reason, Refused, Undecided
from dnsbound.times import Seconds
from dnsbound.tls.association import Association, Phase
from dnsbound.tls.errors import without_frames
from dnsbound.verify.claim import Claim
from dnsbound.verify.peer import VerifiedPeer
from dnsbound.verify.sessions import Session

_log: Final = logging.getLogger("dnsbound.listen")

Address: TypeAlias = Any
"""A socket address: (host, port) or (host, port, flow, scope)."""

_ALIVE: Final = frozenset({Phase.HANDSHAKE, Phase.VERDICT, Phase.OPEN, Phase.REFUSED})
_PLANS_KEPT: Final = 64
"""Empty plans are cleared away once there are more than this beside one for each association."""
_UNFINISHED: Final = frozenset({Phase.HANDSHAKE, Phase.VERDICT})


@dataclass(frozen=True, slots=True, kw_only=True)
class DatagramLimits:
    """Limits of one datagram server; see `dnsbound.limits`. Unfinished handshakes, in all and of one source, are the
    Context's to limit."""

    associations: int = limits.DATAGRAM_ASSOCIATIONS.default
    associations_per_source: int = limits.DATAGRAM_ASSOCIATIONS_PER_SOURCE.default
    idle_seconds: int = limits.DATAGRAM_IDLE_SECONDS.default
    queue: int = limits.DATAGRAM_QUEUE.default

    def __post_init__(self) -> None:
        limits.DATAGRAM_ASSOCIATIONS.checked(self.associations)
        limits.DATAGRAM_ASSOCIATIONS_PER_SOURCE.checked(self.associations_per_source)
        limits.DATAGRAM_IDLE_SECONDS.checked(self.idle_seconds)
        limits.DATAGRAM_QUEUE.checked(self.queue)


@dataclass(slots=True, kw_only=True, eq=False)
class Served:
    """One association and what a server knows beside it."""

    association: Association
    address: Address
    source: str
    """What its lookups and its share of the limits are charged to."""
    hello: bytes
    """The random of its ClientHello."""
    deadline: Seconds
    """When the verdict must be there."""
    heard: Seconds
    phase: Phase = Phase.HANDSHAKE
    """As far as the host has been told."""
    slot: bool = True
    plan: "Plan | None" = None
    peer: ConnectionPeer = field(default_factory=lambda: ConnectionPeer(None))
    session: Session | None = None
    handle: Any = None
    """The host's own."""


@dataclass(slots=True, order=True)
class Plan:
    """A place in the order of time; empty once it no longer counts."""

    at: Seconds
    number: int
    served: Served | None = field(compare=False)


class Host(Protocol):
    """Who carries out what a table says. Called from within the table's methods."""

    def send(self, datagram: bytes, address: Address) -> None: ...

    def judge(self, served: Served, claim: Claim) -> None:
        """Bring the verdict to `settle`, now or later."""

    def opened(self, served: Served, claim: Claim | None) -> None:
        """Admitted, by a verdict about this claim, or without one where the door allows it."""

    def arrived(self, served: Served) -> None:
        """There are messages to read."""

    def ended(self, served: Served) -> None:
        """Nothing more will come; told only after `opened`."""


class AssociationTable:
    """See the module. One thread at a time. now: seconds of one clock that never goes back."""

    def __init__(
        self,
        acceptor: DatagramAcceptor,
        slots: HandshakeSlots,
        host: Host,
        *,
        bounds: DatagramLimits | None = None,
        keys: CookieKeys | None = None,
    ) -> None:
        self.turned_away = 0
        """Datagrams of new clients that found a limit reached."""
        self._acceptor = acceptor
        self._slots = slots
        self._host = host
        self._bounds = bounds or DatagramLimits()
        self._keys = keys or CookieKeys()
        self._spent = SpentHellos(seconds=self._keys.longest, most=self._bounds.associations)
        self._by_address: dict[Address, Served] = {}
        self._of_source: Counter[str] = Counter()
        self._due: list[Plan] = []
        self._order = itertools.count()

    def __len__(self) -> int:
        return len(self._by_address)

    def all(self) -> list[Served]:
        return list(self._by_address.values())

    # --- datagrams

    def receive(self, datagram: bytes, address: Address, now: Seconds) -> None:
        """One datagram that came from this address, whoever sent it."""
        served = self._by_address.get(address)
        if served is None:
            self._meet(datagram, address, now)
            return
        hello = client_hello_random(datagram)
        if hello is not None and hello != served.hello:
            # A client that lost its association and begins again; or somebody else, who will not see the cookie, unless
            # it is a copy of a hello that had its association.
            self._meet(datagram, address, now)
            return
        before = served.association.received
        served.association.receive(datagram)
        if served.association.received != before:  # what anybody could have sent keeps nothing alive
            served.heard = now
        self.follow(served, now)

    def _meet(self, datagram: bytes, address: Address, now: Seconds) -> None:
        hello = client_hello_random(datagram)
        if hello is None or self._spent.holds(address, hello, now=now):
            return
        host = str(address[0])
        source = source_of(host)
        if (self._is_full(source) or not self._slots.has_share(host)) and address not in self._by_address:
            self.turned_away += 1
            return
        answer = self._acceptor.receive(
            datagram, address=address, keys=self._keys.at(now), source=host, queue=self._bounds.queue
        )
        if isinstance(answer, bytes):
            self._host.send(answer, address)
        elif answer is not None:
            self._begin(answer, hello, address, source, now)

    def _is_full(self, source: str) -> bool:
        bounds = self._bounds
        return len(self._by_address) >= bounds.associations or self._of_source[source] >= bounds.associations_per_source

    def _begin(self, association: Association, hello: bytes, address: Address, source: str, now: Seconds) -> None:
        before = self._by_address.get(address)
        if before is not None:  # the client needs its slot for the new one
            self._free(before, HandshakeOutcome.GONE)
        if not self._slots.take(str(address[0])):
            self.turned_away += 1
            return
        self._spent.add(address, hello, now=now)
        if before is not None:
            # Not even close_notify: the client has forgotten the keys it would be sealed with.
            before.association.abandon()
            self.follow(before, now)
        served = Served(
            association=association,
            address=address,
            source=source,
            hello=hello,
            deadline=now + self._slots.seconds,
            heard=now,
        )
        self._by_address[address] = served
        self._of_source[source] += 1
        association.begin()
        self.follow(served, now)

    # --- verdicts and ends

    def settle(self, served: Served, verdict: VerifiedPeer | Refused | Undecided, now: Seconds) -> None:
        """Act on a verdict; one that comes too late changes nothing."""
        claim = served.association.pending_claim
        if isinstance(verdict, VerifiedPeer):
            served.peer.peer = verdict
        served.association.settle(verdict)
        self.follow(served, now, claim)

    def cut(self, served: Served, reason: Refused | Undecided, now: Seconds) -> None:
        """The name of this admitted client is no longer good."""
        served.peer.ended = without_frames(reason)
        served.association.cut(reason)
        self.follow(served, now)

    def drop(self, served: Served, now: Seconds) -> None:
        """End an association, with close_notify if it is open."""
        served.association.close()
        self.follow(served, now)

    # --- time

    def next_due(self) -> Seconds | None:
        """When `run_due` has something to do; None while nobody is known."""
        return self._due[0].at if self._due else None

    def run_due(self, now: Seconds) -> None:
        """Repeat, give up and close what is due."""
        while self._due and self._due[0].at <= now:
            served = heapq.heappop(self._due).served
            if served is not None:
                served.plan = None
                self._look_at(served, now)

    def _look_at(self, served: Served, now: Seconds) -> None:
        association = served.association
        if association.phase in _UNFINISHED and now >= served.deadline:
            self._too_late(served, now)
            return
        idle = association.phase is Phase.OPEN and now >= served.heard + self._bounds.idle_seconds
        told = association.phase is Phase.REFUSED and now >= served.deadline
        if idle or told:
            association.close()
        elif association.phase is Phase.HANDSHAKE:
            association.handle_timeout()
        self.follow(served, now)

    def _too_late(self, served: Served, now: Seconds) -> None:
        self._free(served, HandshakeOutcome.TIMED_OUT)
        if served.association.phase is Phase.VERDICT:
            claim = served.association.pending_claim
            _log.warning("no verdict about %s within %g s", claim and claim.name, self._slots.seconds)
            served.deadline = now + limits.LINGER_SECONDS.default
            served.association.settle(Undecided(Reason.DNS_FAILED, f"no verdict within {self._slots.seconds:g} s"))
        else:
            served.association.close()
        self.follow(served, now)

    def _schedule(self, served: Served, now: Seconds) -> None:
        association = served.association
        if association.phase is Phase.OPEN:
            due = served.heard + self._bounds.idle_seconds
        else:
            due = served.deadline
            wait = association.timeout()
            if wait is not None:
                due = min(due, now + wait)
        if served.plan is None or due < served.plan.at:
            self._unplan(served)
            served.plan = Plan(due, next(self._order), served)
            heapq.heappush(self._due, served.plan)

    def _unplan(self, served: Served) -> None:
        if served.plan is not None:
            served.plan.served = None
            served.plan = None
        if len(self._due) > 2 * len(self._by_address) + _PLANS_KEPT:
            self._due = [plan for plan in self._due if plan.served is not None]
            heapq.heapify(self._due)

    # --- what follows

    def follow(self, served: Served, now: Seconds, claim: Claim | None = None) -> None:
        """After anything happened to an association: send, tell the host, plan. claim: what was just settled."""
        association = served.association
        for datagram in association.take():
            self._host.send(datagram, served.address)
        before, phase = served.phase, association.phase
        served.phase = phase
        if before is not phase:
            self._changed(served, before, claim, now)
        if served.phase is Phase.OPEN and association.has_messages:  # the host may have dropped it
            self._host.arrived(served)
        if served.association.phase in _ALIVE:
            self._schedule(served, now)

    def _changed(self, served: Served, before: Phase, claim: Claim | None, now: Seconds) -> None:
        phase = served.phase
        if phase is Phase.VERDICT:
            pending = served.association.pending_claim
            assert pending is not None  # this is what the phase means
            self._host.judge(served, pending)
            return
        if phase is Phase.OPEN:
            served.heard = now
            self._free(served, HandshakeOutcome.ADMITTED)
            self._host.opened(served, claim)
            return
        if phase is Phase.REFUSED:
            self._free(served, HandshakeOutcome.REFUSED)
            return
        refused = before is Phase.HANDSHAKE and served.association.error is not None
        self._free(served, HandshakeOutcome.REFUSED if refused else HandshakeOutcome.GONE)
        self._forget(served)
        if before is Phase.OPEN:
            self._host.ended(served)

    def _free(self, served: Served, outcome: HandshakeOutcome) -> None:
        if served.slot:
            served.slot = False
            self._slots.count(outcome)
            self._slots.give_back(str(served.address[0]))

    def _forget(self, served: Served) -> None:
        if self._by_address.get(served.address) is served:
            del self._by_address[served.address]
        _less(self._of_source, served.source)
        self._unplan(served)


def _less(counter: Counter[str], source: str) -> None:
    counter[source] -= 1
    if not counter[source]:
        del counter[source]
