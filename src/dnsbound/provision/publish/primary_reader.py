"""What a primary holds at names: many questions on one TCP connection, signed, their answers held to the key.

The primary is asked, not the DNS: validation says what the world believes, this says what is in the server. An answer
counts when it is signed with the key that may change the zone, and authoritative.

Sections: RFC 7766 sections 6.2.1.1 and 7 (pipelining, answers in any order), RFC 8945 section 5.3.
"""

import secrets
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Final

import dns.name
import dns.rcode
import dns.rdatatype

from dnsbound.dns.canonical import key_of
from dnsbound.dns.messages import Query, Response, find
from dnsbound.dns.tsig import SignedRequest, Standing, TsigKey
from dnsbound.errors import DnsboundError, Malformed
from dnsbound.limits import PUBLISH_ATTEMPTS, QUERIES_IN_FLIGHT
from dnsbound.provision.owner import OwnerName
from dnsbound.provision.publish.dns_stream import DnsStream
from dnsbound.provision.publish.endpoint import Endpoint
from dnsbound.provision.publish.publisher import READ_TYPES, Served, ServerRefused, ServerUnclear
from dnsbound.provision.publish.record_text import dns_name, text_of_rdata, type_number
from dnsbound.times import Moment, Seconds

_REFUSALS: Final = frozenset({dns.rcode.REFUSED, dns.rcode.NOTAUTH, dns.rcode.NOTIMP})
_ALIAS: Final = "CNAME"


@dataclass(slots=True)
class _Question:
    """asked: as it was sent; None before that. response: None until it is answered."""

    owner: OwnerName
    rdtype: str
    query: Query
    asked: SignedRequest | None = None
    response: Response | None = None


class _Window:
    """Questions on their way, in the order they are to be answered in."""

    def __init__(self, questions: Iterator[_Question], anew: Callable[[OwnerName, str], _Question]) -> None:
        self._questions = questions
        self._anew = anew
        self._order: deque[_Question] = deque()
        self._by_id: dict[int, _Question] = {}
        self.unasked: deque[_Question] = deque()

    def fill(self) -> bool:
        """Take what there is room for. Whether anything is left to be answered."""
        while len(self._order) < QUERIES_IN_FLIGHT.default and (question := next(self._questions, None)) is not None:
            while question.query.id in self._by_id:
                question = self._anew(question.owner, question.rdtype)
            self._order.append(question)
            self._by_id[question.query.id] = question
            self.unasked.append(question)
        return bool(self._order)

    def asked_with(self, wire: bytes) -> _Question | None:
        """The question that a message answers."""
        question = self._by_id.get(int.from_bytes(wire[:2], "big"))
        if question is None or question.response is not None or not question.query.answered_by(wire):
            return None
        return question

    def ask_again(self) -> None:
        """Everything that has no answer, on another connection."""
        self.unasked = deque(question for question in self._order if question.response is None)

    def leading(self) -> Iterator[_Question]:
        """Questions at the head that are answered; they leave."""
        while self._order and self._order[0].response is not None:
            question = self._order.popleft()
            del self._by_id[question.query.id]
            yield question


class PrimaryReader:
    """Reads from one server. clock: POSIX time, for TSIG."""

    def __init__(self, server: Endpoint, key: TsigKey, *, seconds: Seconds, clock: Callable[[], Moment]) -> None:
        self._server = server
        self._key = key
        self._seconds = seconds
        self._clock = clock
        self._stream: DnsStream | None = None

    def read(self, owners: Iterable[OwnerName], rdtypes: Iterable[str] = READ_TYPES) -> Iterator[Served]:
        """As `Publisher.read`."""
        # An alias comes with the answer for any other type.
        types = [rdtype for rdtype in dict.fromkeys(rdtypes) if rdtype != _ALIAS] or [_ALIAS]
        questions = (self._question(owner, rdtype) for owner in owners for rdtype in types)
        aliases: OwnerName | None = None
        for question in self._answered(questions):
            for served in _served(question):
                if served.rdtype == _ALIAS:
                    if aliases == served.owner:
                        continue
                    aliases = served.owner
                yield served

    def close(self) -> None:
        if self._stream is not None:
            self._stream.close()
            self._stream = None

    def _question(self, owner: OwnerName, rdtype: str) -> _Question:
        number = dns.rdatatype.RdataType(type_number(rdtype))
        query = Query(id=secrets.randbits(16), name=dns_name(owner), rdtype=number)
        return _Question(owner, rdtype, query)

    def _answered(self, questions: Iterator[_Question]) -> Iterator[_Question]:
        """The questions in their order, as their answers come in."""
        window = _Window(questions, self._question)
        failures = 0
        while window.fill():
            try:
                self._exchange(window)
                failures = 0
            except (ServerUnclear, Malformed) as error:
                self.close()
                window.ask_again()
                failures += 1
                if failures >= PUBLISH_ATTEMPTS.default:
                    raise ServerUnclear(_line(self._server, error)) from error
            yield from window.leading()

    def _exchange(self, window: "_Window") -> None:
        """Ask what was not asked on this connection yet, and take one answer."""
        if self._stream is None:
            self._stream = DnsStream(self._server, self._seconds)
        if window.unasked:
            now, asking = self._clock(), list(window.unasked)
            for question in asking:
                question.asked = self._key.sign(question.query.to_wire(), now=now)
            self._stream.send([question.asked.wire for question in asking if question.asked is not None])
            window.unasked.clear()
        wire = self._stream.receive()
        answered = window.asked_with(wire)
        if answered is None or answered.asked is None:
            raise ServerUnclear("it answers what was not asked")
        answered.response = self._judged(answered, answered.asked, wire)

    def _judged(self, question: _Question, asked: SignedRequest, wire: bytes) -> Response:
        standing = self._key.standing(wire, asked, now=self._clock())
        response = Response.from_wire(wire, source=str(self._server))
        where = f"{self._server} was asked for {question.owner}"
        told = dns.rcode.to_text(dns.rcode.Rcode.make(response.rcode))
        if response.rcode in _REFUSALS:
            raise ServerRefused(f"{where}: it refused ({told}, {standing}): may this key read the zone there?")
        if standing is not Standing.AUTHENTIC:
            raise ServerUnclear(f"{where}: its answer is {standing.replace('-', ' ')}")
        if response.rcode not in (dns.rcode.NOERROR, dns.rcode.NXDOMAIN):
            raise ServerUnclear(f"{where}: it failed ({told})")
        if not response.authoritative:
            raise ServerRefused(f"{where}: it does not answer for the zone itself")
        return response


def _served(question: _Question) -> Iterator[Served]:
    response = question.response
    assert response is not None
    key = key_of(question.query.name)
    for rdtype in dict.fromkeys((question.rdtype, _ALIAS)):
        found = find(response.answer, key, type_number(rdtype))
        if found is not None:
            texts = tuple(sorted(map(text_of_rdata, found.rdatas)))
            yield Served(owner=question.owner, rdtype=rdtype, rdatas=texts, ttl=found.ttl)


def _line(server: Endpoint, error: DnsboundError) -> str:
    told = str(error)
    return told if str(server) in told else f"{server}: {told}"
