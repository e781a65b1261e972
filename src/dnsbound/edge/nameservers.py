"""The authoritative servers of a zone, and the anchor that what they say is judged by.

They are named in a configuration, by address or host name, or found: NS, then A and AAAA, by a validating resolver.
Every address counts as a server. An address no packet could leave for (no route: IPv6 from a machine without it) is
passed over where its host has another.

Sections: RFC 1034 section 4.2.1 (NS), RFC 4035 section 5 (from the DNSKEY set on).
"""

import asyncio
import ipaddress
import socket
from collections.abc import Generator, Iterable, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final, Self, TypeAlias

import dns.exception
import dns.name
import dns.rdatatype
from dns.rdtypes.ANY.DNSKEY import DNSKEY
from dns.rdtypes.ANY.NS import NS
from dns.rdtypes.IN.A import A
from dns.rdtypes.IN.AAAA import AAAA

from dnsbound.dns.anchors import TrustAnchors
from dnsbound.dns.answer import Answer, Outcome, Security
from dnsbound.dns.canonical import key_of
from dnsbound.edge.resolver import Resolver
from dnsbound.edge.upstream import DNS_PORT, Upstream
from dnsbound.errors import LimitExceeded, Malformed, Misuse, Reason, Undecided
from dnsbound.limits import NAMESERVER_ADDRESSES
from dnsbound.provision.publish.endpoint import Endpoint
from dnsbound.verify.engine import REASON_FOR_STATE

_ADDRESSES: Final = (dns.rdatatype.A, dns.rdatatype.AAAA)

_Lookup: TypeAlias = tuple[dns.name.Name, dns.rdatatype.RdataType]
_Finding: TypeAlias = Generator[list[_Lookup], list[Answer], "ZoneServers"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Nameserver(Upstream):
    """One address of an authoritative server. host: its name, empty when only the address is known."""

    host: str = ""

    @property
    def label(self) -> str:
        """How people are told of it."""
        where = self.address if self.port == DNS_PORT else f"{self.address} port {self.port}"
        return f"{self.host} ({where})" if self.host else where


@dataclass(frozen=True, slots=True, kw_only=True)
class ZoneServers:
    """Whom to ask about a zone.

    anchors: at the zone's name, None where nothing is validated (the zone has no secure delegation). nameless: hosts of
    the NS RRset that have no address, so that nobody can ask them.
    """

    zone: dns.name.Name
    servers: tuple[Nameserver, ...]
    anchors: TrustAnchors | None = None
    without_address: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not self.servers and not self.without_address:
            raise Misuse(f"no authoritative server of {self.zone} is known")
        if len(self.servers) > NAMESERVER_ADDRESSES.default:
            raise LimitExceeded(NAMESERVER_ADDRESSES.name, f"{self.zone} has {len(self.servers)} server addresses")

    @classmethod
    def of(cls, zone: str, servers: Iterable[str], *, anchors: TrustAnchors | None = None) -> Self:
        """From addresses (`192.0.2.1`, `[2001:db8::1]:5300`) alone. anchors: used if one is at the zone's name."""
        name = _name(zone)
        endpoints = [Endpoint.parse(text) for text in servers]
        parsed = tuple(dict.fromkeys(Nameserver(address=one.host, port=one.port) for one in endpoints))
        return cls(zone=name, servers=parsed, anchors=_anchor_at(name, anchors))


async def find_servers(zone: str, *, resolver: Resolver, servers: Sequence[str] = ()) -> ZoneServers:
    """The servers of a zone and its anchor, from asyncio.

    servers: addresses or host names, with ports if need be, in place of the NS RRset. Undecided when the DNS cannot
    say, Misuse when the name has no NS records.
    """
    finding = _find(_name(zone), servers, resolver.anchors)
    wanted = next(finding)
    while True:
        answers = await asyncio.gather(*(resolver.lookup(name, rdtype) for name, rdtype in wanted))
        try:
            wanted = finding.send(list(answers))
        except StopIteration as done:
            found: ZoneServers = done.value
            return found


def find_servers_blocking(zone: str, *, resolver: Resolver, servers: Sequence[str] = ()) -> ZoneServers:
    """The same from a plain thread."""
    finding = _find(_name(zone), servers, resolver.anchors)
    wanted = next(finding)
    while True:
        try:
            wanted = finding.send([resolver.lookup_blocking(name, rdtype) for name, rdtype in wanted])
        except StopIteration as done:
            found: ZoneServers = done.value
            return found


def _find(zone: dns.name.Name, given: Sequence[str], trusted: TrustAnchors) -> _Finding:
    """Yields what to look up, is sent the answers."""
    addresses: list[Nameserver] = []
    hosts: list[tuple[dns.name.Name, int]] = []
    for endpoint in map(Endpoint.parse, given):
        if _is_address(endpoint.host):
            addresses.append(Nameserver(address=endpoint.host, port=endpoint.port))
        else:
            hosts.append((_name(endpoint.host), endpoint.port))
    anchors = _anchor_at(zone, trusted)
    first: list[_Lookup] = [] if anchors else [(zone, dns.rdatatype.DNSKEY)]
    if not given:
        first.append((zone, dns.rdatatype.NS))
    answers = yield first
    if anchors is None:
        anchors = _anchor_of(answers[0], zone)
    if not given:
        hosts = [(host, DNS_PORT) for host in _hosts(answers[-1], zone)]
    answers = yield [(host, rdtype) for host, _ in hosts for rdtype in _ADDRESSES]
    without = []
    for position, (host, port) in enumerate(hosts):
        of_host = _addresses(host, port, answers[2 * position : 2 * position + 2])
        addresses += of_host
        if not of_host:
            without.append(host.to_text(omit_final_dot=True))
    unique = tuple(dict.fromkeys(addresses))
    return ZoneServers(zone=zone, servers=unique, anchors=anchors, without_address=tuple(without))


def _name(text: str) -> dns.name.Name:
    try:
        return dns.name.from_text(text)
    except (dns.exception.DNSException, ValueError) as error:
        raise Malformed(f"{text!r}: {error}") from None


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return False
    return True


def _anchor_at(zone: dns.name.Name, anchors: TrustAnchors | None) -> TrustAnchors | None:
    """The anchor at the zone's own name alone; what is above it would need more than the zone's servers say."""
    key = key_of(zone)
    anchor = None if anchors is None else anchors.by_key.get(key)
    return None if anchor is None or anchor.is_negative else TrustAnchors(MappingProxyType({key: anchor}))


def _anchor_of(answer: Answer, zone: dns.name.Name) -> TrustAnchors | None:
    """The zone's validated DNSKEY set as an anchor; None for a zone that is known to be insecure."""
    if answer.security is Security.INSECURE or (answer.security is Security.SECURE and not answer.records):
        return None
    _decided(answer, f"the keys of {zone}")
    keys = [record for record in answer.records if isinstance(record, DNSKEY)]
    return TrustAnchors.of([(zone, key) for key in keys])


def _hosts(answer: Answer, zone: dns.name.Name) -> list[dns.name.Name]:
    _decided(answer, f"the name servers of {zone}")
    hosts = sorted({record.target for record in answer.records if isinstance(record, NS)})
    if not hosts:
        raise Misuse(f"{zone} has no NS records: it is no zone, or not delegated yet; name its servers")
    return hosts


def _addresses(host: dns.name.Name, port: int, answers: Iterable[Answer]) -> list[Nameserver]:
    """The host's addresses, those without a route left out where another has one."""
    found = []
    for answer in answers:
        _decided(answer, f"the addresses of {host}")
        found += [record.address for record in answer.records if isinstance(record, A | AAAA)]
    routed = [address for address in found if _has_route(address)]
    text = host.to_text(omit_final_dot=True)
    return [Nameserver(address=address, port=port, host=text) for address in routed or found]


def _decided(answer: Answer, subject: str) -> None:
    """Undecided for an answer in which nothing may be used. An insecure one only tells whom to ask."""
    if answer.outcome is Outcome.FAILED or answer.security in (Security.BOGUS, Security.INDETERMINATE):
        reason = REASON_FOR_STATE[answer.security, answer.outcome] or Reason.INDETERMINATE
        raise Undecided(reason, f"{subject} could not be found: {answer.detail}")


def _has_route(address: str) -> bool:
    """Whether a packet could leave for it; nothing is sent."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.connect((address, DNS_PORT))
    except OSError:
        return False
    return True
