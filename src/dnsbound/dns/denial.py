"""What proofs of absence say, whichever of NSEC and NSEC3 makes them.

`Denials` are the NSEC or NSEC3 records of one response, of one zone, every signature already checked. The questions
asked of them are those of RFC 4035 section 5.4 and RFC 5155 section 8; the answers are values, and "no proof" is one.
"""

from dataclasses import dataclass
from enum import Enum
from typing import Protocol

import dns.rdatatype

from dnsbound.dns.answer import Outcome
from dnsbound.dns.canonical import Key


class Proof(Enum):
    """How far a proof goes."""

    PROVED = "proved"
    OPT_OUT = "opt-out"
    """An unsigned delegation may stand there: the denial counts as insecure (RFC 5155 section 9.2)."""
    TOO_COSTLY = "too-costly"
    """NSEC3 iterations above the limit: treated as insecure (RFC 9276 section 3.2)."""


@dataclass(frozen=True, slots=True)
class Denial:
    """A denial that holds. subject: the records that show it, for people."""

    proof: Proof
    outcome: Outcome
    subject: str


@dataclass(frozen=True, slots=True)
class NoProof:
    """The records do not deny it. detail: what is missing or contradicts, for people."""

    detail: str


class Cut(Enum):
    """What a proof about a missing DS says of the name."""

    UNSIGNED_DELEGATION = "unsigned delegation"
    NOT_A_DELEGATION = "not a delegation"
    NO_SUCH_NAME = "no such name"


@dataclass(frozen=True, slots=True)
class NoDS:
    """The parent proves that the name has no DS."""

    cut: Cut
    subject: str


class Denials(Protocol):
    """The proofs of one response."""

    def deny(self, name: Key, rdtype: dns.rdatatype.RdataType, *, prefer: Outcome) -> Denial | NoProof:
        """That records of the type do not exist at the name. prefer: which outcome to try first (as the rcode says)."""

    def deny_expansion(self, name: Key, encloser: Key) -> Denial | NoProof:
        """That no closer name than the wildcard of `encloser` exists (RFC 4035 section 5.3.4, RFC 5155 section 8.8)."""

    def deny_ds(self, name: Key) -> NoDS | NoProof:
        """That no DS exists at the name, shown by the parent's side (RFC 4035 section 5.2, RFC 5155 section 8.6)."""
