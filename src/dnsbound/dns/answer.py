"""What is known after a lookup: an Answer with its DNSSEC state, the evidence for it, and how long it holds.

An Answer is evidence, not a verdict: it never says whether anybody may come in. Sections: RFC 4033 section 5 (the four
states), RFC 4035 section 5.3.4 (wildcards), RFC 2308 (denial).

How a reader decides, in this order:

    limit is set           the work budget ran out (security is INDETERMINATE)
    BOGUS                  outcome is FAILED and there are no records: nothing in a bogus answer may be used
    INDETERMINATE, FAILED  no resolver gave a usable answer
    INDETERMINATE          an answer came (outcome says what it claims), no chain to an anchor; no records
    INSECURE               the records or the denial, for people; proves nothing
    SECURE                 RECORDS, NODATA or NXDOMAIN, proved
"""

from dataclasses import dataclass, field
from enum import Enum, StrEnum

import dns.name
import dns.rdata
import dns.rdatatype

from dnsbound.times import Moment, Seconds


class Security(StrEnum):
    """RFC 4033 section 5."""

    SECURE = "secure"
    INSECURE = "insecure"
    BOGUS = "bogus"
    INDETERMINATE = "indeterminate"


class Outcome(StrEnum):
    """What the answer says, once its security is known."""

    RECORDS = "records"
    NODATA = "nodata"
    NXDOMAIN = "nxdomain"
    FAILED = "failed"
    """No usable answer at all: time-out, SERVFAIL, REFUSED."""


class Provenance(Enum):
    """Where the evidence came from."""

    RESOLVED = "resolved"
    CARRIED = "carried"
    """A chain the peer or a message brought along (RFC 9102 form)."""
    PINNED = "pinned"
    """A record held locally, by configuration."""


@dataclass(frozen=True, slots=True)
class ProofStep:
    """One link of the reasoning, for people: which zone or name, which records, and what was concluded."""

    owner: str
    subject: str
    """What was looked at, such as `DNSKEY`, `DS`, `NSEC3 closest encloser`."""
    conclusion: str
    security: Security


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """The outcome of one lookup, validated here."""

    name: dns.name.Name
    """The name that was asked for."""
    rdtype: dns.rdatatype.RdataType
    security: Security
    outcome: Outcome
    detail: str = ""
    """Why, precisely, when the state is not SECURE or the outcome is FAILED."""
    limit: str = ""
    """Name of the limit of `dnsbound.limits` that was used up before a state was reached; empty otherwise."""
    records: tuple[dns.rdata.Rdata, ...] = ()
    owner: dns.name.Name | None = None
    """Where the records stood after aliases; None without aliases or records."""
    aliases: tuple[dns.name.Name, ...] = ()
    """CNAME and DNAME targets followed, in order; each link was judged like the records."""
    wildcard: bool = False
    """The records, or a link to them, were synthesised from a wildcard."""
    zone: dns.name.Name | None = None
    """Zone that signed the records or the denial."""
    ttl: Seconds = 0
    """Least TTL of the records, the alias links and the denials, RRSIG original TTLs included; zone keys and DS
    records on the way to the anchor are held for their own TTLs."""
    validated_at: Moment = 0.0
    earliest_expiry: Moment | None = None
    """Earliest expiry of a signature the answer rests on, the whole chain to the anchor included; None when none was
    needed."""
    signed_at: Moment | None = None
    """When the signature over the records began; of several links (aliases, the records, denials) the one that began
    first. Signatures over zone keys and DS records do not count. None when nothing was signed."""
    provenance: Provenance = Provenance.RESOLVED
    steps: tuple[ProofStep, ...] = field(default=(), compare=False)

    @property
    def valid_until(self) -> Moment:
        """The moment after which this evidence must not be used: its TTL, and the end of its signatures."""
        end = self.validated_at + self.ttl
        return end if self.earliest_expiry is None else min(end, self.earliest_expiry)
