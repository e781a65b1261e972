"""Judging the answer to one question: its records, its aliases link by link, its denial.

Generators again: they yield Questions and are sent Replies, as in `zone_walk`. Sections: RFC 4035 sections 5.3 and 5.4,
RFC 6672 section 5.3 (DNAME), RFC 6840 section 4.3, RFC 2308.
"""

from typing import Final

import dns.rcode
import dns.rdatatype
from dns.rdtypes.ANY.CNAME import CNAME
from dns.rdtypes.ANY.DNAME import DNAME

from dnsbound import limits
from dnsbound.dns.answer import Outcome, Security
from dnsbound.dns.canonical import Key, is_at_or_below, key_of, name_of, text_of
from dnsbound.dns.denial import Denial, NoProof, Proof
from dnsbound.dns.messages import Failure, Question, Response, RRset, find
from dnsbound.dns.signatures import Unverified, Verified, signers
from dnsbound.dns.tally import Tally
from dnsbound.dns.zone_trust import Judging, ZoneTrust
from dnsbound.dns.zone_walk import Steps, ZoneWalk
from dnsbound.errors import LimitExceeded, Malformed

_DS: Final = dns.rdatatype.DS
_SIGNERS_TRIED: Final = 3
"""Zones tried for one RRset that carries RRSIGs of several; honest ones carry one."""


class Judgement:
    """The judgement of one lookup; `run` is its generator and returns the Tally."""

    def __init__(self, walk: ZoneWalk, judging: Judging, name: Key, rdtype: dns.rdatatype.RdataType) -> None:
        self._walk = walk
        self._judging = judging
        self._name = name
        self._rdtype = rdtype
        self.tally = Tally()

    def run(self) -> Steps[Tally]:
        """Follow the question to records, a denial, or a state in which nothing can be used."""
        current = self._name
        seen = {current}
        response = yield from self._ask(current)
        while response is not None and not self.tally.is_lost:
            rrset = self._direct(response, current)
            if rrset is not None:
                yield from self._records(rrset, response)
                break
            target = yield from self._alias(current, response)
            if target is None:
                if not self.tally.is_lost:
                    yield from self._denial(current, response)
                break
            if target in seen:
                self.tally.worsen(Security.INDETERMINATE, f"aliases of {text_of(self._name)} run in a circle")
                break
            if len(seen) > limits.ALIASES.checked(self._judging.policy.aliases):
                raise LimitExceeded(limits.ALIASES.name, f"too many aliases of {text_of(self._name)}")
            seen.add(target)
            current = target
            if not self.tally.is_lost and not self._speaks_of(response, current):
                response = yield from self._ask(current)
        return self.tally

    def _ask(self, name: Key) -> Steps[Response | None]:
        """The response about a name, or None with the tally lost."""
        reply = yield Question(name, self._rdtype)
        if isinstance(reply, Failure):
            self.tally.worsen(Security.INDETERMINATE, reply.detail)
            return None
        return reply

    def _direct(self, response: Response, name: Key) -> RRset | None:
        """The records asked for. A CNAME made from a DNAME is an alias to follow even where a CNAME is asked for."""
        if self._rdtype == dns.rdatatype.CNAME and _dname_above(response, name) is not None:
            return None
        return find(response.answer, name, self._rdtype)

    def _speaks_of(self, response: Response, name: Key) -> bool:
        """Whether the response already holds records for an alias target; if not, the target is asked for."""
        direct = find(response.answer, name, self._rdtype) or find(response.answer, name, dns.rdatatype.CNAME)
        return direct is not None or _dname_above(response, name) is not None

    # Records.

    def _records(self, rrset: RRset, response: Response) -> Steps[None]:
        tally = self.tally
        tally.outcome = Outcome.RECORDS
        yield from self._judge(rrset, response)
        tally.records = tuple(rrset.rdatas)
        if tally.aliases:
            tally.owner = rrset.name

    def _judge(self, rrset: RRset, response: Response) -> Steps[None]:
        """The state of one RRset of the answer, added to the tally."""
        tally = self.tally
        held_at = _held_at(rrset.key, rrset.rdtype)
        zones = [
            zone for zone in signers(rrset) if is_at_or_below(held_at, zone) and self._walk.may_sign(zone, held_at)
        ]
        if not zones:
            yield from self._unsigned(rrset, response)
            return
        complaint = ""
        for zone in zones[:_SIGNERS_TRIED]:
            trust = yield from self._walk.trust_for(zone, is_zone=True)
            if trust.security is not Security.SECURE:
                self._in_unsafe_zone(rrset, trust)
                return
            if trust.zone != zone:
                complaint = f"{_subject(rrset)} is signed by {text_of(zone)}, which is no zone"
                continue
            verified = self._judging.verify(rrset, zone, trust.keys)
            if isinstance(verified, Unverified):
                complaint = verified.detail
                continue
            tally.rests_on(trust)
            self._secured(verified, trust, response)
            return
        tally.rests_on(trust)
        tally.step(text_of(rrset.key), _type_text(rrset), complaint, Security.BOGUS)
        tally.worsen(Security.BOGUS, complaint)

    def _secured(self, verified: Verified, trust: ZoneTrust, response: Response) -> None:
        """A good signature; a wildcard expansion must also be shown to have been allowed."""
        tally = self.tally
        rrset = verified.rrset
        tally.rests_on_records(verified)
        tally.zone = trust.zone
        made = f"signed by {text_of(trust.zone)} key {verified.tag}"
        if verified.wildcard is None:
            tally.step(text_of(rrset.key), _type_text(rrset), made, Security.SECURE)
            return
        tally.wildcard = True
        source = f"expanded from *.{text_of(verified.wildcard)}".replace("*..", "*.")
        found, complaint, checked = self._walk.denials(response, trust)
        for denials in found:
            denial = denials.deny_expansion(rrset.key, verified.wildcard)
            if isinstance(denial, NoProof):
                complaint = denial.detail
                continue
            for proof in checked:
                tally.rests_on_records(proof)
            state = Security.SECURE if denial.proof is Proof.PROVED else Security.INSECURE
            tally.step(text_of(rrset.key), _type_text(rrset), f"{made}, {source}; {denial.subject}", state)
            tally.worsen(state, f"{_subject(rrset)} is {source}, which rests on {denial.subject}")
            return
        detail = (
            f"{_subject(rrset)} is {source} without proof: {complaint or 'no denial of the name itself came along'}"
        )
        tally.step(text_of(rrset.key), _type_text(rrset), detail, Security.BOGUS)
        tally.worsen(Security.BOGUS, detail)

    def _unsigned(self, rrset: RRset, response: Response) -> Steps[None]:
        """No usable RRSIG: right in an unsigned zone alone."""
        tally = self.tally
        trust = yield from self._walk.trust_for(_held_at(rrset.key, rrset.rdtype), is_zone=False)
        if trust.security is not Security.SECURE:
            self._in_unsafe_zone(rrset, trust)
            return
        tally.rests_on(trust)
        detail = self._walk.blame(response, _subject(rrset), trust.zone)
        if rrset.signatures:
            detail = f"the RRSIGs over {_subject(rrset)} are of zones that cannot have signed it"
        tally.step(text_of(rrset.key), _type_text(rrset), detail, Security.BOGUS)
        tally.worsen(Security.BOGUS, detail)

    def _in_unsafe_zone(self, rrset: RRset, trust: ZoneTrust) -> None:
        self.tally.rests_on(trust)
        self.tally.lives(rrset.ttl)
        self.tally.zone = trust.zone
        self.tally.step(text_of(rrset.key), _type_text(rrset), f"in a zone that is {trust.security}", trust.security)

    # Aliases.

    def _alias(self, current: Key, response: Response) -> Steps[Key | None]:
        """The target of the alias at or above the name, judged; None when there is no alias."""
        cname = find(response.answer, current, dns.rdatatype.CNAME)
        dname = _dname_above(response, current)
        if dname is not None:
            return (yield from self._dname(current, dname, cname, response))
        if cname is None:
            return None
        yield from self._judge(cname, response)
        if len(cname.rdatas) != 1 or not isinstance(cname.rdatas[0], CNAME):
            self.tally.worsen(Security.BOGUS, f"{text_of(current)} has {len(cname.rdatas)} CNAME records")
            return None
        target = key_of(cname.rdatas[0].target)
        self.tally.aliases.append(cname.rdatas[0].target)
        return target

    def _dname(self, current: Key, dname: RRset, cname: RRset | None, response: Response) -> Steps[Key | None]:
        """RFC 6672 section 5.3.1: the DNAME is what is signed; a CNAME beside it must be the one it makes."""
        tally = self.tally
        yield from self._judge(dname, response)
        if len(dname.rdatas) != 1 or not isinstance(dname.rdatas[0], DNAME):
            tally.worsen(Security.BOGUS, f"{text_of(dname.key)} has {len(dname.rdatas)} DNAME records")
            return None
        target = key_of(dname.rdatas[0].target) + current[len(dname.key) :]
        try:
            name = name_of(target)
        except Malformed:
            tally.worsen(Security.INDETERMINATE, f"the DNAME at {text_of(dname.key)} makes too long a name")
            return None
        shown = None if cname is None else [key_of(rdata.target) for rdata in cname.rdatas if isinstance(rdata, CNAME)]
        if shown is not None and shown != [target]:
            tally.worsen(Security.BOGUS, f"the CNAME at {text_of(current)} is not the one its DNAME makes")
            return None
        tally.aliases.append(name)
        return target

    # Denial.

    def _denial(self, name: Key, response: Response) -> Steps[None]:
        tally = self.tally
        claimed = Outcome.NXDOMAIN if response.rcode == dns.rcode.NXDOMAIN else Outcome.NODATA
        tally.outcome = claimed
        zones = self._denying_zones(name, response)
        if not zones:
            yield from self._unsigned_denial(name, response)
            return
        complaint = ""
        for zone in zones[:_SIGNERS_TRIED]:
            trust = yield from self._walk.trust_for(zone, is_zone=True)
            if trust.security is not Security.SECURE:
                self._denied_unsafely(name, response, trust)
                return
            if trust.zone != zone:
                complaint = f"the denial is signed by {text_of(zone)}, which is no zone"
                continue
            found, wrong, checked = self._walk.denials(response, trust)
            complaint = wrong or complaint
            for denials in found:
                denial = denials.deny(name, self._rdtype, prefer=claimed)
                if isinstance(denial, Denial):
                    self._denied(name, denial, trust, checked, response)
                    return
                complaint = denial.detail
        held = yield from self._walk.trust_for(_held_at(name, self._rdtype), is_zone=False)
        if held.security is Security.INSECURE:
            # The denials are of a zone above: they show that the zone of the name is unsigned.
            self._denied_unsafely(name, response, held)
            return
        tally.rests_on(trust)
        detail = f"the absence of {text_of(name)} {self._type_text} is not proved: {complaint}"
        tally.step(text_of(name), self._type_text, detail, Security.BOGUS)
        tally.worsen(Security.BOGUS, detail)

    def _denying_zones(self, name: Key, response: Response) -> list[Key]:
        """Zones whose NSEC or NSEC3 records came along and which may speak of the name, nearest first."""
        zones = {
            zone
            for (_, rdtype), rrset in response.authority.items()
            if rdtype in (dns.rdatatype.NSEC, dns.rdatatype.NSEC3) and rrset.rdatas
            for zone in signers(rrset)
        }
        held_at = _held_at(name, self._rdtype)
        able = (zone for zone in zones if is_at_or_below(held_at, zone) and self._walk.may_sign(zone, held_at))
        return sorted(able, key=len, reverse=True)

    def _denied(self, name: Key, denial: Denial, trust: ZoneTrust, checked: list[Verified], response: Response) -> None:
        tally = self.tally
        tally.rests_on(trust)
        for proof in checked:
            tally.rests_on_records(proof)
        self._lives_as_soa_says(response)
        tally.outcome = denial.outcome
        tally.zone = trust.zone
        state = Security.SECURE if denial.proof is Proof.PROVED else Security.INSECURE
        why = "" if state is Security.SECURE else f" ({denial.proof.value})"
        tally.step(text_of(name), self._type_text, f"{denial.outcome}: {denial.subject}{why}", state)
        tally.worsen(state, f"the denial of {text_of(name)} does not prove it{why}: {denial.subject}")

    def _unsigned_denial(self, name: Key, response: Response) -> Steps[None]:
        tally = self.tally
        trust = yield from self._walk.trust_for(_held_at(name, self._rdtype), is_zone=False)
        if trust.security is not Security.SECURE:
            self._denied_unsafely(name, response, trust)
            return
        tally.rests_on(trust)
        detail = self._walk.blame(response, f"the absence of {text_of(name)} {self._type_text}", trust.zone)
        tally.step(text_of(name), self._type_text, detail, Security.BOGUS)
        tally.worsen(Security.BOGUS, detail)

    def _denied_unsafely(self, name: Key, response: Response, trust: ZoneTrust) -> None:
        self.tally.rests_on(trust)
        self._lives_as_soa_says(response)
        self.tally.zone = trust.zone
        detail = f"{self.tally.outcome} in a zone that is {trust.security}"
        self.tally.step(text_of(name), self._type_text, detail, trust.security)

    def _lives_as_soa_says(self, response: Response) -> None:
        """RFC 2308 section 5, RFC 9077. The SOA need not be checked: it can only shorten the life of the denial."""
        if response.negative_ttl is not None:
            self.tally.lives(response.negative_ttl)

    @property
    def _type_text(self) -> str:
        return dns.rdatatype.to_text(self._rdtype)


def _held_at(owner: Key, rdtype: int) -> Key:
    """Where to look for the zone of a record: DS records stand in the parent."""
    return owner[:-1] if rdtype == _DS else owner


def _dname_above(response: Response, name: Key) -> RRset | None:
    """The DNAME nearest above the name in the answer section."""
    for depth in range(len(name) - 1, -1, -1):
        rrset = find(response.answer, name[:depth], dns.rdatatype.DNAME)
        if rrset is not None:
            return rrset
    return None


def _type_text(rrset: RRset) -> str:
    return dns.rdatatype.to_text(rrset.rdtype)


def _subject(rrset: RRset) -> str:
    return f"{text_of(rrset.key)} {_type_text(rrset)}"
