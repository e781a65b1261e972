"""One lookup in progress: a Validation, and the exchanges with resolvers that answer what it asks.

The same lines serve asyncio and blocking callers; only the Reactor differs. Each question is asked of the upstreams
in turn until one gives a usable response; a truncated one is repeated over TCP. An answer that is bogus is tried anew
with another upstream first: somebody's damaged cache must not shut a client out. Once another has answered what holds,
those that had part in the bogus answer are told on; where all are bogus it is the zone that is broken, and nobody is.
"""

import os
import secrets
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from typing import Final, Protocol

import dns.name

from dnsbound.dns.answer import Answer, Security
from dnsbound.dns.canonical import key_of, name_of
from dnsbound.dns.messages import Failure, Query, Question, Reply, Response
from dnsbound.dns.validator import Validation
from dnsbound.edge.reactor import Reactor, Timer
from dnsbound.edge.stream_connection import StreamConnection
from dnsbound.edge.udp_exchange import UdpExchange
from dnsbound.edge.upstream import Upstream
from dnsbound.errors import Malformed
from dnsbound.times import Seconds

FIRST_PATIENCE: Final[Seconds] = 1.0
"""How long one upstream is waited for before another is asked too; it doubles with each round."""
_HOLDS: Final = frozenset({Security.SECURE, Security.INSECURE})
"""What no upstream can make up."""
_ROUNDS: Final = 3
"""Times each upstream is asked one question over UDP."""


class Network(Protocol):
    """What a lookup needs of its surroundings."""

    reactor: Reactor
    mix_case: bool

    def in_order(self) -> list[Upstream]:
        """The upstreams, best first."""

    def stream(self, upstream: Upstream, ident: int) -> StreamConnection:
        """An open or opening connection that takes a query with this id; OSError when there is none."""

    def noted(self, upstream: Upstream, *, answered: bool) -> None:
        """Remember that an upstream answered, or did not."""

    def noted_bogus(self, upstream: Upstream) -> None:
        """Remember that its answer was bogus while another's was not."""


class Lookup:
    """Runs as soon as it is made; calls `done(answer)` once. `give_up` ends it at a deadline.

    begin: makes the Validation; called again for each attempt after a bogus answer.
    """

    def __init__(self, network: Network, begin: Callable[[], Validation], done: Callable[[Answer], None]) -> None:
        self._network = network
        self._begin = begin
        self._done: Callable[[Answer], None] | None = done
        self._asking: set[Asking] = set()
        self._attempts = 1
        self._heard: set[Upstream] = set()
        self._suspects: set[Upstream] = set()
        self._validation = begin()
        self._key = key_of(self._validation.name)
        self._proceed()

    def give_up(self, detail: str) -> None:
        """The deadline has come."""
        if self._done is not None:
            waited = sorted({asking.waiting_for for asking in self._asking})
            shown = f" from {', '.join(waited)}" if waited else ""
            self._finish(self._validation.give_up(f"{detail}{shown}"))

    def abandon(self) -> None:
        """After a fork: drop everything without touching what the parent uses."""
        self._done = None
        for asking in self._asking:
            asking.abandon()

    def _proceed(self) -> None:
        while self._done is not None:
            if self._validation.answer is not None:
                self._judged(self._validation.answer)
            validation = self._validation
            questions = validation.questions() if self._done is not None else ()
            if not questions:
                return
            for question in questions:
                # An exchange that fails at once may have ended this validation already.
                if validation is self._validation and self._done is not None:
                    self._ask(question)

    def _ask(self, question: Question) -> None:
        validation = self._validation
        own = question.key == self._key
        asking = Asking(self._network, self._order(), question, validation.name if own else name_of(question.key))
        self._asking.add(asking)
        asking.start(partial(self._replied, validation, asking))

    def _replied(self, validation: Validation, asking: "Asking", reply: Reply) -> None:
        self._asking.discard(asking)
        if validation is self._validation and self._done is not None:
            if asking.answered_by is not None:
                self._heard.add(asking.answered_by)
            validation.feed(asking.question, reply)
            self._proceed()

    def _judged(self, answer: Answer) -> None:
        retry = answer.security is Security.BOGUS and self._attempts < len(self._network.in_order())
        if not retry:
            if answer.security in _HOLDS:
                for upstream in self._suspects - self._heard:
                    self._network.noted_bogus(upstream)
            self._finish(answer)
            return
        self._attempts += 1
        self._suspects |= self._heard
        self._heard.clear()
        self._stop_asking()
        self._validation = self._begin()

    def _order(self) -> list[Upstream]:
        """Who is asked first now: the best, and after each bogus answer the next of them."""
        upstreams = self._network.in_order()
        first = self._attempts - 1
        return upstreams[first:] + upstreams[:first]

    def _finish(self, answer: Answer) -> None:
        done, self._done = self._done, None
        self._stop_asking()
        if done is not None:
            done(answer)

    def _stop_asking(self) -> None:
        asking, self._asking = self._asking, set()
        for one in asking:
            one.stop()


def _unusable_because(response: Response) -> str | None:
    return response.unusable_because


@dataclass(slots=True, eq=False)
class _Attempt:
    """One query to one upstream, by whichever transport."""

    upstream: Upstream
    query: Query
    udp: UdpExchange | None = None
    stream: StreamConnection | None = None

    def stop(self) -> None:
        if self.udp is not None:
            self.udp.close()
        if self.stream is not None:
            self.stream.forget(self.query)


class Asking:
    """One question, until one upstream answers it usably or all have failed. Earlier attempts stay open meanwhile.

    name: the question's, spelled as the caller spelled it. complaint: why a response that came whole is of no use, or
    None.
    """

    def __init__(
        self,
        network: Network,
        order: Iterable[Upstream],
        question: Question,
        name: dns.name.Name,
        *,
        complaint: Callable[[Response], str | None] = _unusable_because,
    ) -> None:
        self.question = question
        self._complaint = complaint
        self.answered_by: Upstream | None = None
        """Whose response was usable."""
        self._name = name
        self._network = network
        upstreams = list(order)
        self._plan = [upstream for _ in range(_ROUNDS) for upstream in upstreams]
        self._upstreams = len(upstreams)
        self._tried = 0
        self._open: list[_Attempt] = []
        self._failed: set[Upstream] = set()
        self._renewed: set[Upstream] = set()
        self._complaints: list[str] = []
        self._timer: Timer | None = None
        self._done: Callable[[Reply], None] | None = None

    @property
    def waiting_for(self) -> str:
        """The upstreams that have not answered, for people."""
        return ", ".join(dict.fromkeys(attempt.upstream.label for attempt in self._open))

    def start(self, done: Callable[[Reply], None]) -> None:
        self._done = done
        self._next()

    def stop(self) -> None:
        self._done = None
        if self._timer is not None:
            self._timer.cancel()
        for attempt in self._open:
            attempt.stop()
        self._open.clear()

    def abandon(self) -> None:
        self._done = None
        for attempt in self._open:
            if attempt.udp is not None:
                attempt.udp.abandon()
        self._open.clear()

    def _next(self) -> None:
        """Ask the next upstream of the plan that has not failed; fail when none is left or waited for."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        while self._done is not None and self._plan:
            upstream = self._plan.pop(0)
            waiting = any(attempt.upstream is upstream and attempt.stream for attempt in self._open)
            if upstream in self._failed or waiting:
                continue
            patience = FIRST_PATIENCE * 2.0 ** (self._tried // self._upstreams)
            self._tried += 1
            if self._attempt(upstream):
                self._timer = self._network.reactor.call_later(patience, self._impatient)
                return
        if self._done is not None and not self._open:
            self._reply(Failure("; ".join(dict.fromkeys(self._complaints)) or "no resolver is configured"))

    def _impatient(self) -> None:
        for attempt in self._open:
            self._network.noted(attempt.upstream, answered=False)
        self._next()

    def _attempt(self, upstream: Upstream) -> bool:
        """Send one query; False when that fails at once."""
        attempt = _Attempt(upstream, self._query())
        self._open.append(attempt)
        try:
            if upstream.tls:
                self._ask_stream(attempt)
            else:
                address = (upstream.address, upstream.port)
                received = partial(self._received, attempt)
                attempt.udp = UdpExchange(
                    self._network.reactor, address, attempt.query, received, exact_case=self._network.mix_case
                )
        except OSError as error:
            self._fail(attempt, _system_text(error))
            return False
        return True

    def _ask_stream(self, attempt: _Attempt) -> None:
        attempt.stream = self._network.stream(attempt.upstream, attempt.query.id)
        attempt.stream.ask(attempt.query, partial(self._received, attempt))

    def _query(self) -> Query:
        name = self._name
        if self._network.mix_case:
            name = mixed_case(name, secrets.randbits(256))
        return Query(int.from_bytes(os.urandom(2), "big"), name, self.question.rdtype)

    def _received(self, attempt: _Attempt, result: bytes | OSError) -> None:
        if self._done is None or attempt not in self._open:
            return
        label = attempt.upstream.label
        if isinstance(result, OSError):
            self._broken(attempt, result)
            return
        self._network.noted(attempt.upstream, answered=True)
        try:
            response = Response.from_wire(result, source=label)
        except Malformed as malformed:
            self._fail(attempt, str(malformed))
            self._next()
            return
        if response.truncated and attempt.stream is None:
            attempt.udp = None
            try:
                self._ask_stream(attempt)
            except OSError as error:
                self._fail(attempt, f"TCP after a truncated answer: {_system_text(error)}")
                self._next()
        elif (unusable := self._complaint(response)) is not None:
            self._fail(attempt, unusable)
            self._next()
        else:
            self.answered_by = attempt.upstream
            self._reply(response)

    def _broken(self, attempt: _Attempt, error: OSError) -> None:
        """An exchange ended without an answer. A connection kept from earlier may just have grown old (RFC 7766)."""
        kept = attempt.stream is not None and attempt.stream.has_answered
        if kept and attempt.upstream not in self._renewed:
            self._renewed.add(attempt.upstream)
            self._open.remove(attempt)
            self._plan.insert(0, attempt.upstream)
        else:
            self._network.noted(attempt.upstream, answered=False)
            self._fail(attempt, _system_text(error))
        self._next()

    def _fail(self, attempt: _Attempt, complaint: str) -> None:
        """This upstream is not asked this question again."""
        attempt.stop()
        self._open.remove(attempt)
        self._failed.add(attempt.upstream)
        self._complaints.append(f"{attempt.upstream.label}: {complaint}")

    def _reply(self, reply: Reply) -> None:
        done = self._done
        self.stop()
        if done is not None:
            done(reply)


def mixed_case(name: dns.name.Name, bits: int) -> dns.name.Name:
    """The name with letters' case chosen by `bits`, so that a spoofed answer must guess them too."""
    labels = []
    for label in name.labels:
        mixed = bytearray()
        for octet in label:
            mixed.append(octet ^ 0x20 if bytes([octet]).isalpha() and bits & 1 else octet)
            bits >>= 1
        labels.append(bytes(mixed))
    return dns.name.Name(labels)


def _system_text(error: OSError) -> str:
    return error.strerror or str(error) or type(error).__name__
