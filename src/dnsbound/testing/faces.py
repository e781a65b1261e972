"""World's two network faces without input and output: an authority for all its zones, and a resolver.

The resolver looks like a recursive one and answers from zone content at once: it caches nothing, so that what a test
publishes is there at the next query. With CD set it passes on whatever the zones say; without, it answers SERVFAIL
where a fault breaks validation, and sets AD where the chain from the root is whole.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rdatatype

from dnsbound.dns.authority import (
    Arrival,
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

_SEVERITY: Final = (Fault.DEAD, Fault.SERVFAIL, Fault.SLOW)


class WorldFace:
    """What both faces do alike: log the query, suffer the faults, answer. Called by the DNS server."""

    def __init__(self, face: Face, zones: ZoneDirectory, signer: Signer, table: FaultTable, log: QueryLog) -> None:
        self._face = face
        self._zones = zones
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
                face=self._face,
                transport=arrival.transport,
                at=arrival.now,
            )
        )
        zone = responsible_zone(self._zones, question.name, question.rdtype)
        fault = self._table.at(question.name, zone.origin if zone is not None else None)
        if fault is not None and fault.fault is Fault.DEAD:
            return None
        if fault is not None and fault.fault is Fault.SLOW:
            return _later(fault.seconds, lambda: self._answer(query, arrival, fault))
        return self._answer(query, arrival, fault)

    def _answer(self, query: dns.message.QueryMessage, arrival: Arrival, fault: FaultSet | None) -> bytes:
        response, max_size = start_response(query, arrival.transport, DNS_UDP_PAYLOAD.default)
        if self._face is Face.RESOLVER:
            response.flags |= dns.flags.RA
        if unanswerable(query, response) is None:
            if fault is not None and fault.fault is Fault.SERVFAIL:
                response.set_rcode(dns.rcode.SERVFAIL)
            elif self._face is Face.RESOLVER:
                self._resolve(query, response, arrival)
            else:
                self._speak_for_zone(query, response, arrival)
            if fault is not None and fault.fault is Fault.LYING:
                response.flags |= dns.flags.AD
        return to_wire(response, max_size)

    def _speak_for_zone(self, query: dns.message.QueryMessage, response: dns.message.Message, arrival: Arrival) -> None:
        question = query.question[0]
        found = self._find(question.name, question.rdtype, dnssec=bool(query.ednsflags & dns.flags.DO))
        if found is None:
            response.set_rcode(dns.rcode.REFUSED)
            return
        self._add(query, response, found, arrival)
        if found.authoritative:
            response.flags |= dns.flags.AA

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
        return find(self._table.seen_through(zone), name, rdtype, dnssec=dnssec)

    def _add(
        self, query: dns.message.QueryMessage, response: dns.message.Message, found: Found, arrival: Arrival
    ) -> None:
        add_sections(response, found, query.question[0].rdtype, self._signer, now=arrival.now)
        self._strip(response, found.zone)
        set_denial_rcode(
            query, response, found, dnssec=bool(query.ednsflags & dns.flags.DO) and found.zone.keys is not None
        )

    def _strip(self, response: dns.message.Message, zone: Zone) -> None:
        for section in (response.answer, response.authority, response.additional):
            section[:] = [
                rrset
                for rrset in section
                if rrset.rdtype != dns.rdatatype.RRSIG
                or (fault := self._table.at(rrset.name, zone.origin)) is None
                or fault.fault is not Fault.STRIPPED
            ]

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


def _fail(response: dns.message.Message) -> None:
    response.answer.clear()
    response.authority.clear()
    response.additional.clear()
    response.set_rcode(dns.rcode.SERVFAIL)


async def _later(seconds: float, answer: Callable[[], bytes]) -> bytes:
    await asyncio.sleep(seconds)
    return answer()
