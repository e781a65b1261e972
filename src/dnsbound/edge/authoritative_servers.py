"""What every authoritative server of a zone serves: thousands of names at a time, from asyncio or a plain thread.

    servers = find_servers_blocking("cars.example", resolver=resolver)
    for seen in Observer(servers).observe_blocking(wanted):
        seen.outcome            # ServedEverywhere | NotYet | CouldNotTell

Each server is asked itself, over UDP and where an answer is truncated over TCP; its answers are judged by
`dnsbound.dns.served`. A server that is silent, or does not serve the zone, when first greeted is not asked the rest of
that round. Memory is that of the questions under way; `wait_until_served` also keeps what is not served yet.

Sections: RFC 1034 section 4.3.1, RFC 4035 section 3.1, RFC 7766 (TCP), RFC 1982 (serials are shown, not compared).
"""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Final, TypeAlias

from dnsbound.dns.served import Lack, Lacking, Seen, Wanted
from dnsbound.edge.nameservers import ZoneServers
from dnsbound.edge.reactor import BlockingReactor, Reactor
from dnsbound.edge.sweep import Pace, Sweep
from dnsbound.errors import Misuse
from dnsbound.provision.publish.publisher import Change
from dnsbound.times import Moment, Seconds

ANSWER_SECONDS: Final[Seconds] = 5.0
"""How long one server may take over one question, repetitions included."""
_FIRST_PAUSE: Final[Seconds] = 0.25
_PAUSE_GROWTH: Final = 1.6
_LONGEST_PAUSE: Final[Seconds] = 30.0
_ROUND_OF_THE_REACTOR: Final[Seconds] = 3600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ServedEverywhere:
    """Every server serves it, signed. ttl: the largest seen. signed_until: when the first signature ends. validated: by
    every server's own keys up to the zone's anchor."""

    ttl: int
    signed_until: Moment
    validated: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class NotYet:
    """This server, the first of perhaps several, answered and does not serve it."""

    server: str
    why: Lacking


@dataclass(frozen=True, slots=True, kw_only=True)
class CouldNotTell:
    """This server, the first of perhaps several, did not say; no server is known not to serve it."""

    server: str
    why: Lacking


Outcome: TypeAlias = ServedEverywhere | NotYet | CouldNotTell


@dataclass(frozen=True, slots=True, kw_only=True)
class Observation:
    """What all servers said about one name. by_server: labels and judgements, in the order of the servers."""

    wanted: Wanted
    by_server: tuple[tuple[str, Seen | Lacking], ...]

    @property
    def outcome(self) -> Outcome:
        """One server that does not serve it outweighs those that could not be asked, and those outweigh the others."""
        lacks = [(server, said) for server, said in self.by_server if isinstance(said, Lacking)]
        for server, lacking in lacks:
            if not lacking.is_undecided:
                return NotYet(server=server, why=lacking)
        for server, lacking in lacks:
            return CouldNotTell(server=server, why=lacking)
        seen = [said for _, said in self.by_server if isinstance(said, Seen)]
        return ServedEverywhere(
            ttl=max(one.ttl for one in seen),
            signed_until=min(one.signed_until for one in seen),
            validated=all(one.validated for one in seen),
        )

    @property
    def largest_ttl(self) -> int | None:
        """The largest TTL of those that serve it; None when none does."""
        return max((said.ttl for _, said in self.by_server if isinstance(said, Seen)), default=None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """How far a wait is. waiting: names not served everywhere. behind: one of them, to show who is late."""

    served: int
    waiting: int
    behind: Observation | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Waited:
    """The end of a wait. missing: empty when all is served. ttl: the largest seen, of what is served."""

    served: int
    ttl: int
    signed_until: Moment | None
    missing: tuple[Observation, ...]

    @property
    def is_complete(self) -> bool:
        return not self.missing


def wanted_of(change: Change) -> Wanted:
    """What servers should serve once a change has been made; records of others beside ours do not matter."""
    return Wanted.from_text(
        change.owner.absolute,
        change.rdtype,
        present=change.after,
        absent=change.removed,
        ttl=change.ttl if change.after else None,
    )


class Observer:
    """Asks the servers of one zone. For one thread at a time; every call opens and closes its own sockets.

    clock: the moment to judge signatures by. at_once: questions under way; per_second: asked of one server (limits
    OBSERVED_AT_ONCE, OBSERVED_PER_SECOND). answer_seconds: how long one server may take over one question.
    """

    def __init__(
        self,
        servers: ZoneServers,
        *,
        clock: Callable[[], Moment] = time.time,
        at_once: int | None = None,
        per_second: int | None = None,
        answer_seconds: Seconds = ANSWER_SECONDS,
    ) -> None:
        if answer_seconds <= 0:
            raise Misuse(f"{answer_seconds} seconds are no time to answer")
        self.servers: Final = servers
        self._clock = clock
        self._pace = Pace.checked(at_once, per_second, answer_seconds)

    async def observe(self, wanted: Iterable[Wanted]) -> AsyncIterator[Observation]:
        """One round: an Observation for each, in the order in which they are complete."""
        woken = asyncio.Event()
        sweep = self._sweep(asyncio.get_running_loop(), wanted, woken.set)
        try:
            while sweep.feed():
                woken.clear()
                while sweep.results:
                    yield _observation(sweep.results.popleft())
                if sweep.must_wait:
                    await woken.wait()
        finally:
            sweep.close()

    def observe_blocking(self, wanted: Iterable[Wanted]) -> Iterator[Observation]:
        """The same from a plain thread."""
        woken: list[None] = []
        reactor = BlockingReactor()
        sweep = self._sweep(reactor, wanted, lambda: woken.append(None))
        try:
            while sweep.feed():
                woken.clear()
                while sweep.results:
                    yield _observation(sweep.results.popleft())
                if sweep.must_wait:
                    reactor.run_until(lambda: bool(woken), reactor.time() + _ROUND_OF_THE_REACTOR)
        finally:
            sweep.close()
            reactor.close()

    async def wait_until_served(
        self, wanted: Iterable[Wanted], *, seconds: Seconds, progress: Callable[[Progress], None] | None = None
    ) -> Waited:
        """Round after round, with growing pauses, until every server serves everything or the seconds are over.

        progress: called after each name that was looked at. What was served once is not asked again.
        """
        waiting = _Waiting(wanted, seconds, progress)
        while waiting.goes_on:
            async for seen in self.observe(waiting.next_round()):
                waiting.note(seen)
            await asyncio.sleep(waiting.pause())
        return waiting.result()

    def wait_until_served_blocking(
        self, wanted: Iterable[Wanted], *, seconds: Seconds, progress: Callable[[Progress], None] | None = None
    ) -> Waited:
        """The same from a plain thread."""
        waiting = _Waiting(wanted, seconds, progress)
        while waiting.goes_on:
            for seen in self.observe_blocking(waiting.next_round()):
                waiting.note(seen)
            time.sleep(waiting.pause())
        return waiting.result()

    async def serials(self) -> dict[str, int | Lacking]:
        """The SOA serial of the zone at each server, by the server's label."""
        woken = asyncio.Event()
        sweep = self._sweep(asyncio.get_running_loop(), (), woken.set)
        try:
            while sweep.feed():
                await woken.wait()
                woken.clear()
            return sweep.serials()
        finally:
            sweep.close()

    def serials_blocking(self) -> dict[str, int | Lacking]:
        """The same from a plain thread."""
        reactor = BlockingReactor()
        woken: list[None] = []
        sweep = self._sweep(reactor, (), lambda: woken.append(None))
        try:
            while sweep.feed():
                reactor.run_until(lambda: bool(woken), reactor.time() + _ROUND_OF_THE_REACTOR)
                woken.clear()
            return sweep.serials()
        finally:
            sweep.close()
            reactor.close()

    def _sweep(self, reactor: Reactor, wanted: Iterable[Wanted], wake: Callable[[], object]) -> Sweep:
        return Sweep(reactor, self.servers, wanted, clock=self._clock, pace=self._pace, wake=wake)


def _observation(result: tuple[Wanted, tuple[tuple[str, Seen | Lacking], ...]]) -> Observation:
    return Observation(wanted=result[0], by_server=result[1])


@dataclass(slots=True)
class _Waiting:
    """The books of one wait, on the clock that never goes back."""

    wanted: Iterable[Wanted]
    seconds: Seconds
    progress: Callable[[Progress], None] | None
    served: int = 0
    ttl: int = 0
    signed_until: Moment | None = None
    behind: dict[Wanted, Observation] = field(default_factory=dict)
    _began: Seconds = field(default_factory=time.monotonic)
    _rounds: int = 0

    @property
    def goes_on(self) -> bool:
        return not self._rounds or (bool(self.behind) and self._left() > 0)

    def next_round(self) -> Iterator[Wanted]:
        self._rounds += 1
        source = self.wanted if self._rounds == 1 else tuple(self.behind)
        for one in source:
            if self._left() > 0:
                yield one
            elif self._rounds == 1:
                self.behind[one] = Observation(wanted=one, by_server=(("", _UNASKED),))
            else:
                return

    def note(self, seen: Observation) -> None:
        outcome = seen.outcome
        if isinstance(outcome, ServedEverywhere):
            self.behind.pop(seen.wanted, None)
            self.served += 1
            self.ttl = max(self.ttl, outcome.ttl)
            self.signed_until = min(self.signed_until or outcome.signed_until, outcome.signed_until)
        else:
            self.behind[seen.wanted] = seen
        if self.progress is not None:
            behind = next(iter(self.behind.values()), None)
            self.progress(Progress(served=self.served, waiting=len(self.behind), behind=behind))

    def pause(self) -> Seconds:
        """Before the next round; nothing when there is none."""
        if not self.behind:
            return 0.0
        planned = min(_LONGEST_PAUSE, _FIRST_PAUSE * _PAUSE_GROWTH ** (self._rounds - 1))
        return max(0.0, min(planned, self._left()))

    def result(self) -> Waited:
        return Waited(
            served=self.served, ttl=self.ttl, signed_until=self.signed_until, missing=tuple(self.behind.values())
        )

    def _left(self) -> Seconds:
        return self.seconds - (time.monotonic() - self._began)


_UNASKED: Final = Lacking(lack=Lack.UNASKED, detail="the time was over before it was asked")
