"""World's two network faces without input and output: an authority for all its zones, and a resolver.

The resolver looks like a recursive one and answers from zone content at once: it caches nothing, so that what a test
publishes is there at the next query. With CD set it passes on whatever the zones say; without, it validates and answers
SERVFAIL for what is bogus.
"""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Final

import dns.edns
import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rdatatype

from dnsbound.dns.answer import Security
from dnsbound.dns.authority import (
    Arrival,
    Authority,
    Transport,
    add_sections,
    parse_query,
    responsible_zone,
    set_denial_rcode,
    start_response,
    to_wire,
    unanswerable,
)
from dnsbound.dns.authority_lookup import find
from dnsbound.dns.canonical import name_of
from dnsbound.dns.messages import Failure, Question, Reply, Response
from dnsbound.dns.messages import Query as CheckingDisabledQuery
from dnsbound.dns.validator import Validation, validate
from dnsbound.limits import ALIASES, DNS_UDP_PAYLOAD
from dnsbound.testing.faults import Fault, FaultSet, FaultTable
from dnsbound.testing.query_log import Face, Query, QueryLog

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from dnsbound.dns.anchors import TrustAnchors
    from dnsbound.dns.authority_zone import Zone, ZoneDirectory
    from dnsbound.dns.signer import Signer
    from dnsbound.times import Moment

_AD_OCTET: Final = 3
_AD_BIT: Final = 0x20
_NO_ANSWER: Final = frozenset({Fault.DEAD, Fault.SERVFAIL})
_NOT_VALIDATED: Final = frozenset({dns.rdatatype.ANY, dns.rdatatype.RRSIG})
_VALIDATED_RCODES: Final = frozenset({dns.rcode.NOERROR, dns.rcode.NXDOMAIN})


class WorldFace(ABC):
    """What both faces do alike: log the query, suffer the faults, answer. Called by the DNS server."""

    face: ClassVar[Face]

    def __init__(self, zones: ZoneDirectory, signer: Signer, table: FaultTable, log: QueryLog) -> None:
        self._zones = _SeenThroughFaults(zones, table)
        self._signer = signer
        self._table = table
        self._log = log

    def __call__(self, octets: bytes, arrival: Arrival) -> bytes | Awaitable[bytes | None] | None:
        query = parse_query(octets)
        if not isinstance(query, dns.message.QueryMessage):
            return query
        question = query.question[0]
        self._log.add(
            Query(
                name=question.name.to_text(omit_final_dot=True).lower(),
                rdtype=dns.rdatatype.to_text(question.rdtype),
                face=self.face,
                transport=arrival.transport,
                at=arrival.now,
            )
        )
        zone = responsible_zone(self._zones, question.name, question.rdtype)
        fault = self._table.at(question.name, zone.origin if zone is not None else None)
        if fault is None:
            return self._speak(octets, query, arrival)
        return self._suffer(fault, lambda: self._speak(octets, query, arrival), query)

    def _suffer(
        self, fault: FaultSet, speak: Callable[[], bytes | None], query: dns.message.QueryMessage
    ) -> bytes | Awaitable[bytes | None] | None:
        if fault.fault is Fault.DEAD:
            return None
        if fault.fault is Fault.SERVFAIL:
            response = dns.message.make_response(query)
            response.set_rcode(dns.rcode.SERVFAIL)
            return response.to_wire()
        if fault.fault is Fault.SLOW:
            return _later(fault.seconds, speak)
        octets = speak()
        if fault.fault is Fault.LYING and octets is not None:
            return octets[:_AD_OCTET] + bytes((octets[_AD_OCTET] | _AD_BIT,)) + octets[_AD_OCTET + 1 :]
        return octets

    @abstractmethod
    def _speak(self, octets: bytes, query: dns.message.QueryMessage, arrival: Arrival) -> bytes | None:
        """The response apart from faults of the whole message."""


class AuthorityFace(WorldFace):
    """An authority for all zones: the embedded authority itself, told which lies to tell."""

    face = Face.AUTHORITY

    def __init__(self, zones: ZoneDirectory, signer: Signer, table: FaultTable, log: QueryLog) -> None:
        super().__init__(zones, signer, table, log)
        self._authority = Authority(self._zones, signer=signer)

    def _speak(self, octets: bytes, query: dns.message.QueryMessage, arrival: Arrival) -> bytes | None:  # noqa: ARG002 (the authority reads the octets itself)
        return self._authority.respond(octets, arrival)


class ResolverFace(WorldFace):
    """Looks like a recursive resolver; see the module. anchors: World's root, for those who leave checking to it."""

    face = Face.RESOLVER

    def __init__(
        self,
        zones: ZoneDirectory,
        signer: Signer,
        table: FaultTable,
        log: QueryLog,
        *,
        anchors: Callable[[], TrustAnchors],
    ) -> None:
        super().__init__(zones, signer, table, log)
        self._anchors = anchors

    def _speak(self, octets: bytes, query: dns.message.QueryMessage, arrival: Arrival) -> bytes | None:  # noqa: ARG002 (parsed already)
        response, max_size = start_response(query, arrival.transport, DNS_UDP_PAYLOAD.default)
        response.flags |= dns.flags.RA
        if unanswerable(query, response) is None:
            self._resolve(query, response, arrival.now)
            if not query.flags & dns.flags.CD:
                self._judge(query, response, arrival.now)
        return to_wire(response, max_size)

    def _resolve(self, query: dns.message.QueryMessage, response: dns.message.Message, now: Moment) -> None:
        """Answer from zone content, following aliases from zone to zone."""
        question = query.question[0]
        dnssec = bool(query.ednsflags & dns.flags.DO)
        name: dns.name.Name | None = question.name
        for _ in range(ALIASES.default + 1):
            if name is None:
                return
            zone = responsible_zone(self._zones, name, question.rdtype)
            if zone is None:
                break
            found = find(zone, name, question.rdtype, dnssec=dnssec)
            if found.referred is not None:
                if not found.answer:
                    break
                found.authority.clear()
                found.additional.clear()
            add_sections(response, found, question.rdtype, self._signer, now=now)
            set_denial_rcode(query, response, found, dnssec=dnssec and found.zone.keys is not None)
            name = found.alias_out or found.referred
        _fail(response)

    def _judge(self, query: dns.message.QueryMessage, response: dns.message.Message, now: Moment) -> None:
        """Validate for the asker, as resolvers do when CD is not set (RFC 4035 section 3.2.2)."""
        question = query.question[0]
        if question.rdtype in _NOT_VALIDATED or response.rcode() not in _VALIDATED_RCODES:
            return
        validation = Validation(question.name, question.rdtype, anchors=self._anchors(), now=now)
        answer = validate(validation, lambda asked: self.look_up(asked, now))
        if answer.security is Security.INSECURE:
            return
        if answer.security is not Security.SECURE:
            _fail(response)
            if query.edns >= 0:
                told = dns.edns.EDEOption(dns.edns.EDECode.DNSSEC_BOGUS, answer.detail)
                response.use_edns(0, response.ednsflags, response.payload, options=[told])
        elif query.ednsflags & dns.flags.DO or query.flags & dns.flags.AD:
            response.flags |= dns.flags.AD

    def look_up(self, asked: Question, now: Moment) -> Reply:
        """What the zones say to a question of a validator's, without a message and without a line in the log."""
        name = name_of(asked.key)
        zone = responsible_zone(self._zones, name, asked.rdtype)
        fault = self._table.at(name, zone.origin if zone is not None else None)
        if fault is not None and fault.fault in _NO_ANSWER:
            return Failure(f"{name} is {fault.fault}")
        octets = CheckingDisabledQuery(0, name, asked.rdtype).to_wire()
        query = dns.message.from_wire(octets)
        assert isinstance(query, dns.message.QueryMessage)
        response, max_size = start_response(query, Transport.TCP, DNS_UDP_PAYLOAD.default)
        self._resolve(query, response, now)
        return Response.from_wire(to_wire(response, max_size), source="World")


@dataclass(frozen=True, slots=True)
class _SeenThroughFaults:
    """Zones with the records that faults put in place of their own."""

    zones: ZoneDirectory
    table: FaultTable

    def find(self, origin: dns.name.Name) -> Zone | None:
        zone = self.zones.find(origin)
        return None if zone is None else self.table.seen_through(zone)


def _fail(response: dns.message.Message) -> None:
    response.answer.clear()
    response.authority.clear()
    response.additional.clear()
    response.set_rcode(dns.rcode.SERVFAIL)


async def _later(seconds: float, speak: Callable[[], bytes | None]) -> bytes | None:
    await asyncio.sleep(seconds)
    return speak()
