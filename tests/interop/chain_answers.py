"""A name server that knows nothing but the records of one chain: for validators of others that are fed by it."""

import dns.message
import dns.name
import dns.rcode
import dns.rdatatype
import dns.rrset

from dnsbound.dns.answer import Outcome
from dnsbound.dns.chain_building import BuiltChain

DENIALS = (dns.rdatatype.NSEC, dns.rdatatype.NSEC3)
Sets = dict[tuple[dns.name.Name, dns.rdatatype.RdataType], list[dns.rrset.RRset]]


class ChainAnswers:
    """Answers what was asked for, or an alias to it; or else shows every denial there is. It signs nothing, looks
    nothing up, and has no SOA record to put beside a denial."""

    def __init__(self, built: BuiltChain) -> None:
        self._sets: Sets = {}
        self._asked = built.answer.name, built.answer.rdtype
        self._is_nxdomain = built.answer.outcome is Outcome.NXDOMAIN
        for owner, ttl, rdata in built.chain.records:
            kind = rdata.covers() or rdata.rdtype
            sets = self._sets.setdefault((owner, kind), [])
            found = next((rrset for rrset in sets if rrset.rdtype == rdata.rdtype), None)
            if found is None:
                sets.append(dns.rrset.from_rdata(owner, ttl, rdata))
            else:
                found.add(rdata)

    def respond(self, query: dns.message.Message) -> dns.message.Message:
        """The response to a query of one question."""
        question = query.question[0]
        response = dns.message.make_response(query, recursion_available=True)
        name: dns.name.Name | None = question.name
        while name is not None:
            name = self._add(response, name, question.rdtype)
        response.authority.extend(rrset for (_, kind), sets in self._sets.items() if kind in DENIALS for rrset in sets)
        if self._is_nxdomain and (question.name, question.rdtype) == self._asked:
            response.set_rcode(dns.rcode.NXDOMAIN)
        return response

    def _add(
        self, response: dns.message.Message, name: dns.name.Name, rdtype: dns.rdatatype.RdataType
    ) -> dns.name.Name | None:
        """Put what stands at the name, or above it; the target where that is an alias."""
        if (name, rdtype) in self._sets:
            response.answer.extend(self._sets[name, rdtype])
            return None
        if (name, dns.rdatatype.CNAME) in self._sets:
            target: dns.name.Name = self._put(response, name, dns.rdatatype.CNAME)[0].target
            return target
        for depth in range(1, len(name)):
            above = name.split(depth)[1]
            if (above, dns.rdatatype.DNAME) in self._sets:
                dname = self._put(response, above, dns.rdatatype.DNAME)
                made: dns.name.Name = name.relativize(above).concatenate(dname[0].target)
                response.answer.append(dns.rrset.from_text(name, dname.ttl, "IN", "CNAME", made.to_text()))
                return made
        return None

    def _put(
        self, response: dns.message.Message, owner: dns.name.Name, rdtype: dns.rdatatype.RdataType
    ) -> dns.rrset.RRset:
        sets = self._sets[owner, rdtype]
        response.answer.extend(sets)
        return next(rrset for rrset in sets if rrset.rdtype == rdtype)
