"""World's two network faces without input and output: an authority for all its zones, and a resolver.

The resolver looks like a recursive one and answers from zone content at once: it caches nothing, so that what a test
publishes is there at the next query. With CD set it passes on whatever the zones say; without, it answers SERVFAIL
where a fault breaks validation, and sets AD where the chain from the root is whole.
"""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Final

import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rdatatype

from dnsbound.dns.authority import (
    Arrival,
    Authority,
    add_sections,
    parse_query,
    responsible_zone,
    set_denial_rcode,
    start_response,
    to_wire,
    unanswerable,
)
from dnsbound.dns.authority_lookup import Found, find
from dnsbound.limits import ALIASES, DNS_UDP_PAYLOAD
from dnsbound.testing.faults import BREAKS_VALIDATION, Fault, FaultSet, FaultTable
from dnsbound.testing.query_log import Face, Query, QueryLog

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from dnsbound.dns.authority_zone import Zone, ZoneDirectory
    from dnsbound.dns.signer import Signer

_AD_OCTET: Final = 3
_AD_BIT: Final = 0x20


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
    """Looks like a recursive resolver; see the module."""

    face = Face.RESOLVER

    def _speak(self, octets: bytes, query: dns.message.QueryMessage, arrival: Arrival) -> bytes | None:  # noqa: ARG002 (parsed already)
        response, max_size = start_response(query, arrival.transport, DNS_UDP_PAYLOAD.default)
        response.flags |= dns.flags.RA
        if unanswerable(query, response) is None:
            self._resolve(query, response, arrival)
        return to_wire(response, max_size)

    def _resolve(self, query: dns.message.QueryMessage, response: dns.message.Message, arrival: Arrival) -> None:
        question = query.question[0]
        name: dns.name.Name | None = question.name
        visited: list[Found] = []
        while name is not None and len(visited) <= ALIASES.default:
            found = self._find(name, question.rdtype, dnssec=bool(query.ednsflags & dns.flags.DO))
            if found is None or not (found.authoritative or found.answer):
                _fail(response)
                return
            visited.append(found)
            self._add(query, response, found, arrival)
            name = found.alias_out
        if name is not None:
            _fail(response)
        elif not query.flags & dns.flags.CD:
            self._judge(query, response, visited)

    def _find(self, name: dns.name.Name, rdtype: dns.rdatatype.RdataType, *, dnssec: bool) -> Found | None:
        zone = responsible_zone(self._zones, name, rdtype)
        if zone is None:
            return None
        return find(zone, name, rdtype, dnssec=dnssec)

    def _add(
        self, query: dns.message.QueryMessage, response: dns.message.Message, found: Found, arrival: Arrival
    ) -> None:
        add_sections(response, found, query.question[0].rdtype, self._signer, now=arrival.now)
        set_denial_rcode(
            query, response, found, dnssec=bool(query.ednsflags & dns.flags.DO) and found.zone.keys is not None
        )

    def _judge(self, query: dns.message.QueryMessage, response: dns.message.Message, visited: list[Found]) -> None:
        """What a validating resolver would make of it."""
        owners = {(item.owner, found.zone.origin) for found in visited for item in (*found.answer, *found.authority)}
        faults = [self._table.at(owner, origin) for owner, origin in owners]
        zones = [zone for found in visited for zone in self._path(found.zone)]
        faults += [self._table.zones.get(zone.origin) for zone in zones]
        secure = all(zone.keys is not None for zone in zones)
        if secure and any(fault is not None and fault.fault in BREAKS_VALIDATION for fault in faults):
            _fail(response)
        elif secure and (query.ednsflags & dns.flags.DO or query.flags & dns.flags.AD):
            response.flags |= dns.flags.AD

    def _path(self, zone: Zone) -> list[Zone]:
        """The zones from the root down to this one."""
        path = [zone]
        name = zone.origin
        while name != dns.name.root:
            name = name.parent()
            above = self._zones.find(name)
            if above is not None:
                path.append(above)
        return path


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
