"""What the servers of a tree of test zones answer: sans-IO, a query message in, a response message out.

Authoritative by default: answers, denials, wildcard proofs, DNAME synthesis, referrals to what is not served here.
With `recursive=True` it also follows aliases from zone to zone, as the answer of a resolver that does not validate.

Sections: RFC 1034 section 4.3.2, RFC 4035 section 3.1, RFC 5155 section 7.2, RFC 6672 section 3.2, RFC 9824 section 3.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import Final

import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rdata
import dns.rdataclass
import dns.rdatatype
import dns.rrset
from dns.rdatatype import RdataType
from dns.rdtypes.ANY.RRSIG import RRSIG

from dnsbound.testing.zone_denial import nsec_rdata
from dnsbound.testing.zones import TTL, Zone

MAX_LINKS: Final = 16
"""Aliases followed within one response."""
UDP_PAYLOAD: Final = 1232
_WILDCARD: Final = dns.name.Name((b"*",))


class ZoneAnswers:
    """Answers from these zones; a question goes to the zone closest to its name, a DS question to the parent's side."""

    def __init__(self, zones: Iterable[Zone], *, recursive: bool = False) -> None:
        self._zones = {zone.origin: zone for zone in zones}
        self._recursive = recursive

    def respond_wire(self, wire: bytes, *, udp: bool) -> bytes | None:
        """The response to a packet, or None for what is no query. Over UDP, TC=1 when it does not fit."""
        try:
            query = dns.message.from_wire(wire)
        except dns.exception.DNSException:
            return None
        if query.flags & dns.flags.QR or len(query.question) != 1:
            return None
        response = self.respond(query)
        # Unshuffled: which of several signatures comes first is part of a situation.
        octets = response.to_wire(max_size=65_535, want_shuffle=False)
        if udp and len(octets) > (min(query.payload, UDP_PAYLOAD) if query.edns >= 0 else 512):
            response.answer, response.authority, response.additional = [], [], []
            response.flags |= dns.flags.TC
            return response.to_wire()
        return octets

    def respond(self, query: dns.message.Message) -> dns.message.Message:
        """The response to a query of one question, RRSIGs and proofs included if it has the DO bit."""
        question = query.question[0]
        response = dns.message.make_response(query, recursion_available=self._recursive, our_payload=UDP_PAYLOAD)
        reply = _Reply(response, dnssec=bool(query.ednsflags & dns.flags.DO))
        name = question.name
        for _ in range(MAX_LINKS):
            zone = self._zone_for(name, question.rdtype)
            if zone is None:
                if not response.answer:
                    response.set_rcode(dns.rcode.REFUSED)
                break
            target = _ZoneReply(zone, reply).answer(name, question.rdtype)
            if target is None or not (self._recursive or target.is_subdomain(zone.origin)):
                break
            name = target
        return response

    def _zone_for(self, name: dns.name.Name, rdtype: RdataType) -> Zone | None:
        above = (name.split(depth)[1] for depth in range(1, len(name) + 1))
        found = [self._zones[origin] for origin in above if origin in self._zones]
        for zone in found:
            if zone.cut_above(name) in zone.lies.claims:
                return zone
        # RFC 4035 section 3.1.4.1: the DS RRset belongs to the parent's side of a cut.
        if len(found) > 1 and rdtype == dns.rdatatype.DS and found[-1].origin == name and not found[-1].lies.own_ds:
            found.pop()
        return found[-1] if found else None


class _Reply:
    """A response being filled."""

    def __init__(self, response: dns.message.Message, *, dnssec: bool) -> None:
        self.response = response
        self.dnssec = dnssec
        response.flags |= dns.flags.AA

    def put(
        self, section: list[dns.rrset.RRset], rrset: dns.rrset.RRset, signatures: Sequence[RRSIG] | None = None
    ) -> None:
        """Add an RRset once, and its signatures if they were asked for."""
        if any(present.name == rrset.name and present.rdtype == rrset.rdtype for present in section):
            return
        section.append(rrset)
        if self.dnssec and signatures:
            section.append(dns.rrset.from_rdata_list(rrset.name, rrset.ttl, list(signatures)))


class _ZoneReply:
    """One zone's contribution to a reply."""

    def __init__(self, zone: Zone, reply: _Reply) -> None:
        self.zone = zone
        self.reply = reply
        self.to_answer = reply.response.answer
        self.to_authority = reply.response.authority

    def answer(self, name: dns.name.Name, rdtype: RdataType) -> dns.name.Name | None:
        """Answer or deny; returns the target when the answer is an alias that should be followed."""
        lies = self.zone.lies
        if name in lies.rcodes:
            self.reply.response.set_rcode(dns.rcode.from_text(lies.rcodes[name]))
        if (name, rdtype) in lies.silent:
            return None
        cut = self.zone.cut_above(name)
        if cut is not None and cut not in lies.claims and not (name == cut and rdtype == dns.rdatatype.DS):
            self._refer(cut)
            return None
        return self._answer_as_host(name, rdtype)

    def _answer_as_host(self, name: dns.name.Name, rdtype: RdataType) -> dns.name.Name | None:
        """Answer a question that no delegation takes elsewhere."""
        lies = self.zone.lies
        if name in lies.expansions:
            return self._at(lies.expansions[name], name, rdtype)
        if dname := self._dname_above(name):
            return self._redirect(dname, name)
        if name in self.zone.names and name not in lies.absent_names:
            return self._at(name, name, rdtype)
        wildcard = _WILDCARD.concatenate(self._closest_encloser(name))
        if wildcard in self.zone.names and name not in lies.absent_names:
            return self._at(wildcard, name, rdtype)
        self._deny(name)
        return None

    def _at(self, owner: dns.name.Name, name: dns.name.Name, rdtype: RdataType) -> dns.name.Name | None:
        """What stands at `owner`, which is `name` itself or the wildcard it expands from."""
        for wanted in (rdtype, dns.rdatatype.CNAME):
            rrset = self.zone.rrsets.get((owner, wanted))
            if rrset is None or (name, wanted) in self.zone.lies.absent_types:
                continue
            self._put_renamed(rrset, name)
            if owner != name:
                self._prove_expansion(owner, name)
            if wanted == rdtype:
                return None
            target: dns.name.Name = rrset[0].target
            return target
        self._put_soa()
        if owner == name:
            self._prove_no_type(name)
        else:
            self._prove_no_type_at_wildcard(owner, name)
        return None

    def _redirect(self, owner: dns.name.Name, name: dns.name.Name) -> dns.name.Name:
        dname = self.zone.rrsets[owner, dns.rdatatype.DNAME]
        self._put(self.to_answer, dname)
        target: dns.name.Name = name.relativize(owner).concatenate(dname[0].target)
        shown = self.zone.lies.synthesis.get(name, target)
        if shown is not None:
            alias = dns.rdata.from_text(dns.rdataclass.IN, dns.rdatatype.CNAME, shown.to_text())
            self.reply.put(self.to_answer, dns.rrset.from_rdata(name, dname.ttl, alias))
        return target if shown is None else shown

    def _refer(self, cut: dns.name.Name) -> None:
        self.reply.response.flags &= ~dns.flags.AA
        self.to_authority.append(self.zone.rrsets[cut, dns.rdatatype.NS])
        delegation = self.zone.rrsets.get((cut, dns.rdatatype.DS))
        if delegation is not None:
            self._put(self.to_authority, delegation)
        else:
            self._prove_no_type(cut)
        for nameserver in self.zone.rrsets[cut, dns.rdatatype.NS]:
            for rdtype in (dns.rdatatype.A, dns.rdatatype.AAAA):
                glue = self.zone.rrsets.get((nameserver.target, rdtype))
                if glue is not None:
                    self.reply.response.additional.append(glue)

    # -- denial

    def _deny(self, name: dns.name.Name) -> None:
        if self.zone.plan.denial.kind == "compact" and self.zone.signed:
            self._put_soa()
            self._put_compact(name, {dns.rdatatype.NXNAME})
            return
        if name not in self.zone.lies.rcodes:
            self.reply.response.set_rcode(dns.rcode.NXDOMAIN)
        self._put_soa()
        encloser = self._closest_encloser(name)
        wildcard = _WILDCARD.concatenate(encloser)
        if self._hashed:
            self._prove([*self._encloser_proof(name), wildcard])
        else:
            self._prove([name, wildcard])

    def _prove_no_type(self, name: dns.name.Name) -> None:
        if self.zone.plan.denial.kind == "compact" and self.zone.signed:
            self._put_compact(name, {rdtype for owner, rdtype in self.zone.rrsets if owner == name})
        elif self._hashed and self.zone.chain.matching(name) is None:
            self._prove(self._encloser_proof(name))
        else:
            self._prove([name])

    def _prove_no_type_at_wildcard(self, wildcard: dns.name.Name, name: dns.name.Name) -> None:
        self._prove([*(self._encloser_proof(name) if self._hashed else [name]), wildcard])

    def _prove_expansion(self, wildcard: dns.name.Name, name: dns.name.Name) -> None:
        # RFC 5155 section 7.2.6: the signature's labels name the closest encloser; only the next closer is denied.
        self._prove([name.split(len(wildcard))[1] if self._hashed else name])

    def _encloser_proof(self, name: dns.name.Name) -> list[dns.name.Name]:
        """The closest encloser that has an NSEC3 of its own, and the name one label longer (RFC 5155 7.2.1)."""
        for depth in range(len(name) - 1, len(self.zone.origin) - 1, -1):
            encloser = name.split(depth)[1]
            if self.zone.chain.matching(encloser) is not None:
                return [encloser, name.split(depth + 1)[1]]
        return []

    def _prove(self, names: Iterable[dns.name.Name]) -> None:
        """Put the NSEC or NSEC3 records that match or cover these names, as far as the zone's lies let them out."""
        chain, lies = self.zone.chain, self.zone.lies
        if not self.zone.signed or not self.reply.dnssec or self.zone.plan.denial.kind not in {"nsec", "nsec3"}:
            return
        for name in names:
            owner = chain.speaking_of(name)
            owner = lies.swapped.get(owner, owner)
            rrset = self.zone.rrsets.get((owner, chain.rdtype))
            if owner not in lies.hidden and rrset is not None:
                self._put(self.to_authority, rrset)

    def _put_compact(self, name: dns.name.Name, types: set[RdataType]) -> None:
        if not self.reply.dnssec:
            return
        name = self.zone.lies.compact_owners.get(name, name)
        following = dns.name.Name((b"\0", *name.labels))
        data = nsec_rdata(following, types | {dns.rdatatype.NSEC, dns.rdatatype.RRSIG})
        rrset = dns.rrset.from_rdata(name, TTL, data)
        self.reply.put(self.to_authority, rrset, self.zone.signatures_over(rrset))

    # -- parts

    @property
    def _hashed(self) -> bool:
        return self.zone.plan.denial.kind == "nsec3"

    def _put(self, section: list[dns.rrset.RRset], rrset: dns.rrset.RRset) -> None:
        self.reply.put(section, rrset, self.zone.signatures.get((rrset.name, rrset.rdtype)))

    def _put_renamed(self, rrset: dns.rrset.RRset, name: dns.name.Name) -> None:
        shown = dns.rrset.from_rdata_list(rrset.name if rrset.name == name else name, rrset.ttl, list(rrset))
        self.reply.put(self.to_answer, shown, self.zone.signatures.get((rrset.name, rrset.rdtype)))

    def _put_soa(self) -> None:
        self._put(self.to_authority, self.zone.rrsets[self.zone.origin, dns.rdatatype.SOA])

    def _ancestors(self, name: dns.name.Name) -> Iterator[dns.name.Name]:
        """Names of the zone strictly above this one, closest first."""
        for depth in range(len(name) - 1, len(self.zone.origin) - 1, -1):
            yield name.split(depth)[1]

    def _closest_encloser(self, name: dns.name.Name) -> dns.name.Name:
        return next((above for above in self._ancestors(name) if above in self.zone.names), self.zone.origin)

    def _dname_above(self, name: dns.name.Name) -> dns.name.Name | None:
        found = [above for above in self._ancestors(name) if (above, dns.rdatatype.DNAME) in self.zone.rrsets]
        return found[-1] if found and found[-1] not in self.zone.lies.claims else None
