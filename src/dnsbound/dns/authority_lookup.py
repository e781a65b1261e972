"""From zone content and a question to the RRsets of an answer, before anything is signed.

The algorithm of RFC 1034 section 4.3.2 within one zone, with denial by RFC 9824 (compact denial): a name that does not
exist is shown as one that has only RRSIG, NSEC and NXNAME, by an NSEC that denies exactly one name. Which RRsets carry
signatures, and under which owner they are signed, is part of the result; `authority.py` makes the signatures.

Sections: RFC 1034 section 4.3.2, RFC 4035 section 3.1, RFC 4592, RFC 6604, RFC 8482, RFC 9077, RFC 9824 section 3.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Final

import dns.name
import dns.rdataclass
import dns.rdataset
import dns.rdatatype
from dns.rdtypes.ANY.NSEC import NSEC
from dns.rdtypes.util import Bitmap

from dnsbound.dns.authority_zone import EMPTY_NON_TERMINAL, RRsets, Zone
from dnsbound.errors import Misuse
from dnsbound.limits import ALIASES

_TYPES: Final = dns.rdatatype.RdataType
_DENIAL_TYPES: Final = (_TYPES.RRSIG, _TYPES.NSEC)
_AT_A_CUT: Final = frozenset({_TYPES.NS, _TYPES.DS})
"""Types the parent speaks of at a delegation (RFC 4035 section 2.3)."""
_ADDRESSES: Final = (_TYPES.A, _TYPES.AAAA)
_WILDCARD: Final = dns.name.Name([b"*"])


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """One RRset of a message section."""

    owner: dns.name.Name
    rdataset: dns.rdataset.Rdataset
    signed_as: dns.name.Name | None
    """The owner name its signature covers (the wildcard for synthesised records); None for unsigned data."""


@dataclass(slots=True)
class Found:
    """The sections of an answer in the making."""

    zone: Zone
    authoritative: bool = True
    exists: bool = True
    """False when the last name of the alias chain does not exist at all."""
    denied: bool = False
    """The authority section proves that the last name, or the type there, does not exist."""
    alias_out: dns.name.Name | None = None
    """An alias left the zone for this name; the question goes on there."""
    referred: dns.name.Name | None = None
    """The last name of the alias chain belongs to a zone below, which the authority section names."""
    answer: list[Item] = field(default_factory=list)
    authority: list[Item] = field(default_factory=list)
    additional: list[Item] = field(default_factory=list)


def find(zone: Zone, name: dns.name.Name, rdtype: dns.rdatatype.RdataType, *, dnssec: bool) -> Found:
    """What one zone says about a name and type below its origin. dnssec: the asker set DO and the zone is signed."""
    found = Found(zone)
    seen: set[dns.name.Name] = set()
    while len(seen) < ALIASES.default and name not in seen:
        seen.add(name)
        alias = _step(found, name, rdtype, dnssec=dnssec and zone.keys is not None)
        if alias is None:
            return found
        name = alias
        if not name.is_subdomain(zone.origin):
            break
    found.alias_out = name
    return found


def _step(found: Found, name: dns.name.Name, rdtype: dns.rdatatype.RdataType, *, dnssec: bool) -> dns.name.Name | None:
    """Answer for one name; the alias to follow next, or None when done."""
    zone = found.zone
    closest = _closest(zone, name, rdtype)
    if isinstance(closest, _Cut):
        found.referred = name
        _refer(found, closest, dnssec=dnssec)
        return None
    node, source = closest.node, name
    if node is None:
        source = _WILDCARD.concatenate(closest.encloser)
        node = zone.data.lookup(source)
        if node is None:
            _deny(found, name, None, dnssec=dnssec)
            return None
        if dnssec:
            found.authority.append(_covering(zone, closest.next_closer))
    return _from_node(found, name, source, node, rdtype, dnssec=dnssec)


@dataclass(frozen=True, slots=True)
class _Closest:
    """How far a name exists. node: None when the name itself does not."""

    node: RRsets | None
    encloser: dns.name.Name
    next_closer: dns.name.Name


@dataclass(frozen=True, slots=True)
class _Cut:
    """A delegation on the way."""

    name: dns.name.Name
    node: RRsets


def _closest(zone: Zone, name: dns.name.Name, rdtype: dns.rdatatype.RdataType) -> _Closest | _Cut:
    encloser, node = zone.origin, apex(zone) if name == zone.origin else EMPTY_NON_TERMINAL
    for depth in range(len(zone.origin) + 1, len(name) + 1):
        deeper = name.split(depth)[1]
        below = zone.data.lookup(deeper)
        if below is None:
            return _Closest(None, encloser, deeper)
        if _TYPES.NS in below and not (deeper == name and rdtype == _TYPES.DS):
            return _Cut(deeper, below)
        encloser, node = deeper, below
    return _Closest(node, encloser, name)


def _from_node(
    found: Found,
    name: dns.name.Name,
    source: dns.name.Name,
    node: RRsets,
    rdtype: dns.rdatatype.RdataType,
    *,
    dnssec: bool,
) -> dns.name.Name | None:
    """Answer from the records at `source`, which is `name` or the wildcard that stands in for it."""
    signed_as = source if dnssec else None
    if rdtype == _TYPES.NSEC and dnssec:
        found.answer.append(replace(_existing(found.zone, source, node), owner=name))
        return None
    rdataset = _smallest(node) if rdtype in (_TYPES.ANY, _TYPES.RRSIG) else node.get(rdtype)
    if rdataset is not None:
        found.answer.append(Item(owner=name, rdataset=rdataset, signed_as=signed_as))
        _add_addresses(found, rdataset, dnssec=dnssec)
        return None
    alias = node.get(_TYPES.CNAME)
    if alias is not None:
        found.answer.append(Item(owner=name, rdataset=alias, signed_as=signed_as))
        return alias[0].target  # type: ignore[no-any-return] # a CNAME's target is a Name
    _deny(found, source, node, dnssec=dnssec)
    return None


def _deny(found: Found, name: dns.name.Name, node: RRsets | None, *, dnssec: bool) -> None:
    """No such name (node None), or no such type. RFC 9824 sections 3.1 and 3.2."""
    zone = found.zone
    found.denied = True
    found.exists = node is not None
    negative = negative_soa(zone)
    found.authority.append(Item(owner=zone.origin, rdataset=negative, signed_as=zone.origin if dnssec else None))
    if dnssec:
        found.authority.append(_existing(zone, name, node))


def _refer(found: Found, cut: _Cut, *, dnssec: bool) -> None:
    """A delegation: NS unsigned, DS or the proof that there is none (RFC 4035 section 3.1.4), glue."""
    found.authoritative = bool(found.answer)
    servers = cut.node[_TYPES.NS]
    found.authority.append(Item(owner=cut.name, rdataset=servers, signed_as=None))
    if dnssec:
        ds = cut.node.get(_TYPES.DS)
        if ds is not None:
            found.authority.append(Item(owner=cut.name, rdataset=ds, signed_as=cut.name))
        else:
            found.authority.append(_existing(found.zone, cut.name, cut.node))
    for server in servers:
        glue = found.zone.data.lookup(server.target) if server.target.is_subdomain(found.zone.origin) else None
        for rdtype in _ADDRESSES:
            if glue and rdtype in glue:
                signed_as = server.target if dnssec and not server.target.is_subdomain(cut.name) else None
                found.additional.append(Item(owner=server.target, rdataset=glue[rdtype], signed_as=signed_as))


def _add_addresses(found: Found, rdataset: dns.rdataset.Rdataset, *, dnssec: bool) -> None:
    """Addresses of the zone's own name servers beside its NS."""
    if rdataset.rdtype != _TYPES.NS:
        return
    for server in rdataset:
        if not server.target.is_subdomain(found.zone.origin):
            continue
        closest = _closest(found.zone, server.target, _TYPES.A)
        if isinstance(closest, _Cut) or closest.node is None:
            continue
        for rdtype in _ADDRESSES:
            if rdtype in closest.node:
                signed_as = server.target if dnssec else None
                item = Item(owner=server.target, rdataset=closest.node[rdtype], signed_as=signed_as)
                found.additional.append(item)


def apex(zone: Zone) -> RRsets:
    """The records at the origin, DNSKEY included. Misuse when the content has no SOA or no NS there."""
    node = zone.data.lookup(zone.origin) or EMPTY_NON_TERMINAL
    soa = _soa(zone)
    if _TYPES.NS not in node:
        raise Misuse(f"zone {zone.origin} has no NS")
    if zone.keys is None:
        return node
    return {**node, _TYPES.DNSKEY: zone.keys.dnskey_rdataset(soa.ttl)}


def negative_soa(zone: Zone) -> dns.rdataset.Rdataset:
    """The SOA as denials carry it: its TTL is how long the denial may be kept (RFC 2308 section 3, RFC 9077)."""
    soa = _soa(zone)
    if soa.ttl <= soa[0].minimum:
        return soa
    return dns.rdataset.ImmutableRdataset(dns.rdataset.from_rdata_list(soa[0].minimum, [soa[0]]))


def _soa(zone: Zone) -> dns.rdataset.Rdataset:
    soa = (zone.data.lookup(zone.origin) or EMPTY_NON_TERMINAL).get(_TYPES.SOA)
    if soa is None:
        raise Misuse(f"zone {zone.origin} has no SOA")
    return soa


def _existing(zone: Zone, name: dns.name.Name, node: RRsets | None) -> Item:
    """The NSEC that matches `name` and denies every type it does not list. node: None when the name does not exist."""
    # RFC 9824 section 3.4: at a cut the next name may not lie inside the child zone.
    next_name = name.successor(zone.origin, prefix_ok=not _is_cut(zone, name, node))
    return Item(owner=name, rdataset=_nsec(zone, next_name, _types(zone, name, node)), signed_as=name)


def _covering(zone: Zone, name: dns.name.Name) -> Item:
    """An NSEC around `name` and everything below it: it does not exist (RFC 4470 section 3, RFC 4035 section 5.3.4)."""
    before = name.predecessor(zone.origin, prefix_ok=False)
    after = name.successor(zone.origin, prefix_ok=False)
    node = apex(zone) if before == zone.origin else zone.data.lookup(before)
    types = _DENIAL_TYPES if node is None else _types(zone, before, node)
    return Item(owner=before, rdataset=_nsec(zone, after, types), signed_as=before)


def _types(zone: Zone, name: dns.name.Name, node: RRsets | None) -> tuple[dns.rdatatype.RdataType, ...]:
    """The type bitmap of the NSEC at a name (RFC 4035 section 2.3, RFC 9824 section 3)."""
    if node is None:
        return (*_DENIAL_TYPES, _TYPES.NXNAME)
    return (*_DENIAL_TYPES, *(_AT_A_CUT & set(node) if _is_cut(zone, name, node) else node))


def _is_cut(zone: Zone, name: dns.name.Name, node: RRsets | None) -> bool:
    return node is not None and _TYPES.NS in node and name != zone.origin


def _nsec(zone: Zone, next_name: dns.name.Name, types: tuple[dns.rdatatype.RdataType, ...]) -> dns.rdataset.Rdataset:
    # RFC 6840 section 5.1: the next name is signed in the case it is sent in; one case means one signature.
    windows = Bitmap.from_rdtypes(list(types)).windows
    rdata = NSEC(dns.rdataclass.IN, _TYPES.NSEC, next_name.canonicalize(), windows)  # type: ignore[no-untyped-call] # dnspython's decorator
    return dns.rdataset.ImmutableRdataset(dns.rdataset.from_rdata_list(negative_soa(zone).ttl, [rdata]))


def _smallest(node: RRsets) -> dns.rdataset.Rdataset | None:
    """RFC 8482 section 4.1: ANY is answered by one RRset."""
    return min(node.values(), key=len, default=None)
