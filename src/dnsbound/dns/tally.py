"""What a lookup has come to so far: the worst state of its links, its shortest lives, and the steps that show it."""

from dataclasses import dataclass, field
from typing import Final

import dns.name
import dns.rdata
import dns.rdatatype

from dnsbound.dns.answer import Answer, Outcome, ProofStep, Provenance, Security
from dnsbound.dns.canonical import Key, name_of
from dnsbound.dns.signatures import Verified
from dnsbound.dns.zone_trust import ZoneTrust
from dnsbound.times import Moment, Seconds

_BADNESS: Final = {Security.SECURE: 0, Security.INSECURE: 1, Security.INDETERMINATE: 2, Security.BOGUS: 3}


@dataclass(slots=True)
class Tally:
    """Grows link by link; `answer` makes the value. Nothing in it can make a state better again."""

    security: Security = Security.SECURE
    outcome: Outcome = Outcome.FAILED
    detail: str = ""
    records: tuple[dns.rdata.Rdata, ...] = ()
    owner: dns.name.Name | None = None
    aliases: list[dns.name.Name] = field(default_factory=list)
    wildcard: bool = False
    zone: Key | None = None
    ttl: Seconds | None = None
    expires: Moment | None = None
    inception: Moment | None = None
    chain: tuple[ProofStep, ...] = ()
    links: list[ProofStep] = field(default_factory=list)

    @property
    def is_lost(self) -> bool:
        """Bogus or indeterminate: nothing that follows can be used."""
        return _BADNESS[self.security] >= _BADNESS[Security.INDETERMINATE]

    def worsen(self, security: Security, detail: str) -> None:
        """A link is in this state; the first of the worst state gives the detail."""
        if _BADNESS[security] > _BADNESS[self.security]:
            self.security = security
            self.detail = detail

    def rests_on(self, trust: ZoneTrust) -> None:
        """The state of a zone is part of the evidence."""
        if trust.security is not Security.SECURE:
            self.worsen(trust.security, trust.detail)
        self.ends_by(trust.expires)
        self.chain += tuple(step for step in trust.steps if step not in self.chain)

    def rests_on_records(self, verified: Verified) -> None:
        self.lives(verified.ttl)
        self.ends_by(verified.expires)
        self.inception = verified.inception if self.inception is None else min(self.inception, verified.inception)

    def lives(self, ttl: Seconds) -> None:
        self.ttl = ttl if self.ttl is None else min(self.ttl, ttl)

    def ends_by(self, expires: Moment | None) -> None:
        if expires is not None:
            self.expires = expires if self.expires is None else min(self.expires, expires)

    def step(self, owner: str, subject: str, conclusion: str, security: Security) -> None:
        self.links.append(ProofStep(owner, subject, conclusion, security))

    def shown_steps(self) -> tuple[ProofStep, ...]:
        """The chain from the anchor first, then the links of the answer."""
        return (*self.chain, *self.links)

    def answer(
        self, name: dns.name.Name, rdtype: dns.rdatatype.RdataType, *, now: Moment, provenance: Provenance
    ) -> Answer:
        """The value. A bogus or indeterminate answer carries no records (see `Answer`)."""
        lost = self.is_lost
        return Answer(
            name=name,
            rdtype=rdtype,
            security=self.security,
            outcome=Outcome.FAILED if self.security is Security.BOGUS else self.outcome,
            detail=self.detail,
            records=() if lost else self.records,
            owner=None if lost else self.owner,
            aliases=tuple(self.aliases),
            wildcard=self.wildcard,
            zone=None if self.zone is None else name_of(self.zone),
            ttl=0 if lost else (self.ttl or 0),
            validated_at=now,
            earliest_expiry=self.expires,
            signed_at=self.inception,
            provenance=provenance,
            steps=self.shown_steps(),
        )
