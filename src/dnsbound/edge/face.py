"""One event loop's or one thread's part of a resolver: connections, lookups in flight, who answered lately."""

import ssl
from collections.abc import Callable, Sequence
from functools import partial
from typing import Final

import dns.name
import dns.rdatatype

from dnsbound.dns.answer import Answer
from dnsbound.dns.cache import CacheKey, EvidenceCache
from dnsbound.dns.validator import Validation
from dnsbound.edge.lookup import Lookup
from dnsbound.edge.reactor import Reactor, Timer
from dnsbound.edge.server_proof import Prover
from dnsbound.edge.stream_connection import StreamConnection, tls_context
from dnsbound.edge.upstream import Upstream
from dnsbound.times import Seconds

_AVOIDED_SECONDS: Final[Seconds] = 30.0
"""How long an upstream that did not answer, or not the truth, is asked after the others."""

Begin = Callable[[dns.name.Name, dns.rdatatype.RdataType], Validation]


class Flight:
    """One lookup and the callers that wait for it."""

    def __init__(self, deadline_at: Seconds) -> None:
        self.deadline_at = deadline_at
        self.lookup: Lookup | None = None
        self.timer: Timer | None = None
        self.waiting: list[Callable[[Answer], None]] = []
        self.validation: Callable[[], Validation] | None = None

    def give_up(self, seconds: Seconds) -> None:
        """The deadline of the lookup itself has come; everyone who waits is told."""
        if self.lookup is not None:
            self.lookup.give_up(f"no answer within {seconds:g} s")

    def late(self, is_answered: Callable[[], bool], tell: Callable[[Answer], None], seconds: Seconds) -> None:
        """The deadline of one caller has come, which may be earlier than the lookup's."""
        if not is_answered() and self.validation is not None:
            tell(self.validation().give_up(f"no answer within {seconds:g} s"))


class Face:
    """See the module. Belongs to one thread; nothing here is locked."""

    def __init__(
        self, reactor: Reactor, upstreams: Sequence[Upstream], begin: Begin, cache: EvidenceCache, *, mix_case: bool
    ) -> None:
        self.reactor: Reactor = reactor
        self.mix_case = mix_case
        self._upstreams = tuple(upstreams)
        self._begin = begin
        self._cache = cache
        self._flights: dict[CacheKey, Flight] = {}
        self._apart: set[Flight] = set()
        self._streams: dict[Upstream, list[StreamConnection]] = {}
        self._avoided: dict[Upstream, Seconds] = {}
        self._bogus: dict[Upstream, Seconds] = {}
        self._contexts: dict[Upstream, ssl.SSLContext] = {}

    def join(
        self,
        key: CacheKey,
        owner: dns.name.Name,
        kind: dns.rdatatype.RdataType,
        tell: Callable[[Answer], None],
        seconds: Seconds,
    ) -> Flight:
        """Wait for the lookup of this name and type, which is started if it is not in flight."""
        flight = self._flights.get(key)
        if flight is not None:
            flight.waiting.append(tell)
            return flight
        flight = self._flights[key] = Flight(self.reactor.time() + seconds)
        flight.waiting.append(tell)
        flight.validation = partial(self._begin, owner, kind)
        flight.timer = self.reactor.call_later(seconds, partial(flight.give_up, seconds))
        try:
            lookup = Lookup(self, flight.validation, partial(self._landed, key, flight))
        except BaseException:
            # A question that cannot be asked at all: nobody may wait for it.
            flight.timer.cancel()
            self._flights.pop(key, None)
            raise
        if self._flights.get(key) is flight:
            flight.lookup = lookup
        return flight

    def run_apart(self, begin: Callable[[], Validation], tell: Callable[[Answer], None], seconds: Seconds) -> Flight:
        """A lookup of the caller's own making: shared with nobody, and its answer is kept nowhere."""
        flight = Flight(self.reactor.time() + seconds)
        flight.waiting.append(tell)
        flight.timer = self.reactor.call_later(seconds, partial(flight.give_up, seconds))
        self._apart.add(flight)
        try:
            flight.lookup = Lookup(self, begin, partial(self._landed_apart, flight))
        except BaseException:
            flight.timer.cancel()
            self._apart.discard(flight)
            raise
        return flight

    # What a Lookup needs (`lookup.Network`).

    def in_order(self) -> list[Upstream]:
        """The upstreams, those that lately failed last."""
        if not self._avoided and not self._bogus:
            return list(self._upstreams)
        now = self.reactor.time()
        self._avoided = {upstream: until for upstream, until in self._avoided.items() if until > now}
        self._bogus = {upstream: until for upstream, until in self._bogus.items() if until > now}
        return sorted(self._upstreams, key=lambda upstream: upstream in self._avoided or upstream in self._bogus)

    def noted(self, upstream: Upstream, *, answered: bool) -> None:
        """Remember who answers."""
        if answered:
            self._avoided.pop(upstream, None)
        else:
            self._avoided[upstream] = self.reactor.time() + _AVOIDED_SECONDS

    def noted_bogus(self, upstream: Upstream) -> None:
        """Remember who lies, or is lied to; that it answers, and quickly, is no excuse."""
        self._bogus[upstream] = self.reactor.time() + _AVOIDED_SECONDS

    def stream(self, upstream: Upstream, ident: int) -> StreamConnection:
        """A connection to the upstream that takes this query id, an open one if there is one."""
        connections = self._streams.setdefault(upstream, [])
        for connection in connections:
            if connection.takes(ident):
                return connection
        connection = StreamConnection(
            self.reactor,
            (upstream.address, upstream.port),
            closed=partial(self._closed, upstream),
            tls=self._tls(upstream) if upstream.tls else None,
            prove=Prover.for_upstream(upstream, self._begin),
        )
        connections.append(connection)
        return connection

    # Ends.

    def close(self) -> None:
        """End every lookup and connection."""
        for flight in [*self._flights.values(), *self._apart]:
            if flight.lookup is not None:
                flight.lookup.give_up("the resolver was closed before an answer came")
        for connections in list(self._streams.values()):
            for connection in list(connections):
                connection.close()

    def abandon(self) -> None:
        """After a fork: drop the parent's sockets without a word on the wire or to the reactor."""
        for flight in [*self._flights.values(), *self._apart]:
            if flight.lookup is not None:
                flight.lookup.abandon()
        for connections in self._streams.values():
            for connection in connections:
                connection.abandon()
        self._flights.clear()
        self._apart.clear()
        self._streams.clear()

    def _landed(self, key: CacheKey, flight: Flight, answer: Answer) -> None:
        self._flights.pop(key, None)
        if flight.timer is not None:
            flight.timer.cancel()
        kept = self._cache.put(key, answer)
        for tell in flight.waiting:
            tell(kept)

    def _landed_apart(self, flight: Flight, answer: Answer) -> None:
        self._apart.discard(flight)
        if flight.timer is not None:
            flight.timer.cancel()
        for tell in flight.waiting:
            tell(answer)

    def _closed(self, upstream: Upstream, connection: StreamConnection) -> None:
        connections = self._streams.get(upstream, [])
        if connection in connections:
            connections.remove(connection)

    def _tls(self, upstream: Upstream) -> tuple[ssl.SSLContext, str | None]:
        context = self._contexts.get(upstream)
        if context is None:
            by_authority = upstream.name is not None and not upstream.pins and not upstream.tlsa
            ca_file = None if upstream.ca_file is None else str(upstream.ca_file)
            verify = by_authority and not upstream.danger_opportunistic
            context = self._contexts[upstream] = tls_context(ca_file, verify=verify)
        return context, upstream.name or upstream.address
