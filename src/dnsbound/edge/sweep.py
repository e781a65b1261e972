"""One round of questions to the authoritative servers of a zone: greeted first, then asked name by name.

The same lines serve asyncio and blocking callers; only the Reactor differs. Callbacks of the reactor record and wake
the caller; the caller alone draws from what is wanted (`feed`), so that its errors are the caller's.
"""

import resource
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import Final, Self, TypeAlias

import dns.name
import dns.rdatatype
from dns.rdtypes.ANY.SOA import SOA

from dnsbound.dns.cache import EvidenceCache
from dnsbound.dns.canonical import key_of
from dnsbound.dns.messages import Failure, Question, Reply, Response, find
from dnsbound.dns.served import Lack, Lacking, Seen, Wanted, ZoneSight, lame_because
from dnsbound.dns.validator import Validation
from dnsbound.edge.face import Face
from dnsbound.edge.lookup import Asking
from dnsbound.edge.nameservers import Nameserver, ZoneServers
from dnsbound.edge.reactor import Reactor, Timer
from dnsbound.errors import Misuse
from dnsbound.limits import OBSERVED_AT_ONCE, OBSERVED_PER_SECOND
from dnsbound.times import Moment, Seconds

_SILENCES: Final = 16
"""Questions one after the other that a server leaves unanswered before it is not asked again in this round."""
_SOA: Final = dns.rdatatype.SOA
_DNSKEY: Final = dns.rdatatype.DNSKEY

Result: TypeAlias = tuple[Wanted, tuple[tuple[str, Seen | Lacking], ...]]


@dataclass(frozen=True, slots=True)
class Pace:
    """How fast and how long servers are asked."""

    at_once: int
    per_second: int
    answer_seconds: Seconds

    @classmethod
    def checked(cls, at_once: int | None, per_second: int | None, answer_seconds: Seconds) -> Self:
        """Within the limits, and within what descriptors there are: a question that is repeated over UDP has three
        sockets."""
        descriptors = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
        most = OBSERVED_AT_ONCE.maximum if descriptors == resource.RLIM_INFINITY else max(1, descriptors // 8)
        return cls(
            min(OBSERVED_AT_ONCE.checked(at_once), most), OBSERVED_PER_SECOND.checked(per_second), answer_seconds
        )


@dataclass(slots=True, eq=False)
class _Server:
    """One server in this round. lost: why it is not asked any more."""

    nameserver: Nameserver
    sight: ZoneSight
    serial: int | None = None
    lost: Lacking | None = None
    silences: int = 0


@dataclass(slots=True, eq=False)
class _Open:
    """A name that is being asked about."""

    wanted: Wanted
    missing: int
    said: dict[str, Seen | Lacking] = field(default_factory=dict)


class Sweep:
    """See the module. feed: call it again whenever `wake` was called; `results` holds what is complete."""

    def __init__(
        self,
        reactor: Reactor,
        servers: ZoneServers,
        wanted: Iterable[Wanted],
        *,
        clock: Callable[[], Moment],
        pace: Pace,
        wake: Callable[[], object],
    ) -> None:
        self.results: deque[Result] = deque()
        self._reactor = reactor
        self._zone = servers.zone
        self._clock = clock
        self._pace = pace
        self._wake = wake
        self._wanted: Iterator[Wanted] | None = iter(wanted)
        self._face = Face(reactor, servers.servers, _no_lookup, EvidenceCache(entries=16), mix_case=False)
        zone = key_of(servers.zone)
        self._servers = [_Server(one, ZoneSight(zone, servers.anchors)) for one in servers.servers]
        unreachable = Lacking(lack=Lack.UNREACHABLE, detail="has no address")
        self._without_address = dict.fromkeys(servers.without_address, unreachable)
        self._open = 0
        self._greeted = False
        self._greetings = 0
        self._asking: dict[Asking, Timer] = {}
        self._tokens = float(pace.per_second)
        self._refilled_at = reactor.time()
        self._refill: Timer | None = None

    @property
    def must_wait(self) -> bool:
        """Whether nothing can be done before `wake` is called."""
        if self.results or (self._greeted and self._wanted is not None and self._has_room and self._tokens >= 1):
            return False
        return not self._greeted or self._open > 0 or self._refill is not None

    def feed(self) -> bool:
        """Start what there is room for; False when everything was asked, answered and taken from `results`."""
        if not self._greeted:
            self._greet()
            return True
        self._fill_tokens()
        while self._wanted is not None and self._has_room and self._tokens >= 1:
            wanted = next(self._wanted, None)
            if wanted is None:
                self._wanted = None
            else:
                self._tokens -= 1
                self._start(wanted)
        if self._wanted is not None and self._tokens < 1 and self._refill is None:
            self._refill = self._reactor.call_later(1 / self._pace.per_second, self._refilled)
        return bool(self._wanted is not None or self._open or self.results)

    def serials(self) -> dict[str, int | Lacking]:
        """The zone's serial at each server that was greeted."""
        found: dict[str, int | Lacking] = dict(self._without_address)
        for server in self._servers:
            unknown = server.lost or Lacking(lack=Lack.FAILED, detail="gave no SOA record")
            found[server.nameserver.label] = unknown if server.serial is None else server.serial
        return found

    def close(self) -> None:
        """Give up what is under way."""
        if self._refill is not None:
            self._refill.cancel()
        asking, self._asking = self._asking, {}
        for one, timer in asking.items():
            timer.cancel()
            one.stop()
        self._face.close()

    # Greeting: the SOA says whether it serves the zone, the DNSKEY set what its signatures are judged by.

    def _greet(self) -> None:
        if self._greetings:
            return
        questions = [(server, _SOA) for server in self._servers]
        questions += [(server, _DNSKEY) for server in self._servers if server.sight.anchors is not None]
        self._greetings = len(questions)
        self._greeted = not questions
        for server, rdtype in questions:
            self._ask(server, self._zone, rdtype, partial(self._greeting, server, rdtype))
        if not questions:
            self._wake()

    def _greeting(self, server: _Server, rdtype: dns.rdatatype.RdataType, reply: Reply | None) -> None:
        self._greetings -= 1
        if rdtype == _DNSKEY:
            known = reply or Failure(f"{server.nameserver.label} did not say its DNSKEY records")
            server.sight = ZoneSight(server.sight.zone, server.sight.anchors, known)
        else:
            server.lost = _useless_because(reply, self._pace.answer_seconds)
            if isinstance(reply, Response):
                soa = find(reply.answer, server.sight.zone, _SOA)
                serials = [record.serial for record in soa.rdatas if isinstance(record, SOA)] if soa else []
                server.serial = serials[0] if serials else None
        if not self._greetings:
            self._greeted = True
            self._wake()

    # Names.

    @property
    def _has_room(self) -> bool:
        servers = max(1, len(self._servers))
        return (self._open + 1) * servers <= max(self._pace.at_once, servers) and len(self.results) < self._pace.at_once

    def _start(self, wanted: Wanted) -> None:
        opened = _Open(wanted, len(self._servers), {})
        opened.said.update(self._without_address)
        self._open += 1
        for server in self._servers:
            if server.lost is not None:
                self._said(opened, server, server.lost)
            else:
                self._ask(server, wanted.name, wanted.rdtype, partial(self._answered, opened, server))
        if not self._servers:
            self._complete(opened)

    def _answered(self, opened: _Open, server: _Server, reply: Reply | None) -> None:
        server.silences = 0 if reply is not None else server.silences + 1
        useless = _useless_because(reply, self._pace.answer_seconds)
        if server.silences >= _SILENCES:
            server.lost = useless
        if isinstance(reply, Response) and useless is None:
            self._said(opened, server, server.sight.judge(reply, opened.wanted, now=self._clock()))
        elif useless is not None:
            self._said(opened, server, useless)

    def _said(self, opened: _Open, server: _Server, said: Seen | Lacking) -> None:
        opened.said[server.nameserver.label] = said
        opened.missing -= 1
        if not opened.missing:
            self._complete(opened)

    def _complete(self, opened: _Open) -> None:
        self._open -= 1
        labels = [*(server.nameserver.label for server in self._servers), *self._without_address]
        self.results.append((opened.wanted, tuple((label, opened.said[label]) for label in labels)))
        self._wake()

    # One question to one server.

    def _ask(
        self,
        server: _Server,
        name: dns.name.Name,
        rdtype: dns.rdatatype.RdataType,
        done: Callable[[Reply | None], None],
    ) -> None:
        """`done` is called once, with None after silence."""
        question = Question(key_of(name), rdtype)
        asking = Asking(self._face, [server.nameserver], question, name, complaint=_cut_short)
        late = partial(self._finished, asking, done, None)
        self._asking[asking] = self._reactor.call_later(self._pace.answer_seconds, late)
        asking.start(partial(self._finished, asking, done))

    def _finished(self, asking: Asking, done: Callable[[Reply | None], None], reply: Reply | None) -> None:
        timer = self._asking.pop(asking, None)
        if timer is None:
            return
        timer.cancel()
        asking.stop()
        done(reply)

    # Pace.

    def _fill_tokens(self) -> None:
        now = self._reactor.time()
        self._tokens += (now - self._refilled_at) * self._pace.per_second
        self._tokens = min(self._tokens, float(self._pace.per_second))
        self._refilled_at = now

    def _refilled(self) -> None:
        self._refill = None
        self._fill_tokens()
        self._wake()


def _useless_because(reply: Reply | None, seconds: Seconds) -> Lacking | None:
    """Why nothing can be learnt from a reply."""
    if reply is None:
        return Lacking(lack=Lack.SILENT, detail=f"no answer within {seconds:g} s")
    if isinstance(reply, Failure):
        return Lacking(lack=Lack.FAILED, detail=reply.detail)
    return lame_because(reply)


def _cut_short(response: Response) -> str | None:
    return "sent a truncated answer" if response.truncated else None


def _no_lookup(_name: dns.name.Name, _rdtype: dns.rdatatype.RdataType) -> Validation:
    raise Misuse("an authoritative server is asked over UDP and TCP, not over TLS")
