"""NSEC and NSEC3 chains of test zones, and which link of a chain speaks about a name.

Sections: RFC 4034 section 4 and 6.1, RFC 4035 section 2.3 (NSEC); RFC 5155 sections 3, 5, 6 and 7.1 (NSEC3, opt-out).
"""

import bisect
import hashlib
from base64 import b32hexencode
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final, Self

import dns.name
import dns.rdata
import dns.rdataclass
import dns.rdatatype
import dns.rrset

from dnsbound.errors import Misuse

OPT_OUT: Final = 0x01
SHA1: Final = 1
_KINDS: Final = frozenset({"nsec", "nsec3", "compact", "none"})


@dataclass(frozen=True, slots=True, kw_only=True)
class DenialPlan:
    """How a zone denies, from text: `nsec`, `nsec3 optout iterations=10 salt=ab12`, `compact` (RFC 9824), `none`.

    `hash=N` and `flags=N` state other numbers in the NSEC3 records than the ones they were computed with.
    """

    kind: str = "nsec"
    opt_out: bool = False
    iterations: int = 0
    salt: bytes = b""
    stated_hash: int = SHA1
    extra_flags: int = 0

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read the text form; raises Misuse."""
        kind, *words = text.split()
        values = dict(word.split("=", 1) for word in words if "=" in word)
        unknown = {word for word in words if "=" not in word} - {"optout"}
        unknown |= set(values) - {"iterations", "salt", "hash", "flags"}
        if kind not in _KINDS or unknown:
            raise Misuse(f"no such way to deny: {text!r}")
        return cls(
            kind=kind,
            opt_out="optout" in words,
            iterations=int(values.get("iterations", "0")),
            salt=bytes.fromhex(values.get("salt", "")),
            stated_hash=int(values.get("hash", str(SHA1))),
            extra_flags=int(values.get("flags", "0")),
        )


class DenialChain:
    """The links of one zone's chain: which exist, and which one matches or covers a name."""

    def __init__(self, plan: DenialPlan, origin: dns.name.Name) -> None:
        self.plan = plan
        self.origin = origin
        self._order: list[dns.name.Name] = []

    @property
    def rdtype(self) -> dns.rdatatype.RdataType:
        """NSEC or NSEC3."""
        return dns.rdatatype.NSEC3 if self.plan.kind == "nsec3" else dns.rdatatype.NSEC

    def owner_of(self, name: dns.name.Name) -> dns.name.Name:
        """Where the link of an existing name stands: at the name itself or at its hash."""
        if self.plan.kind != "nsec3":
            return name
        return dns.name.Name((nsec3_label(name, self.plan), *self.origin.labels))

    def matching(self, name: dns.name.Name) -> dns.name.Name | None:
        """Owner of the link that stands for this name, if there is one."""
        owner = self.owner_of(name)
        position = bisect.bisect_left(self._order, owner)
        return owner if position < len(self._order) and self._order[position] == owner else None

    def speaking_of(self, name: dns.name.Name) -> dns.name.Name:
        """Owner of the link that matches the name, or else covers it; the chain is a ring."""
        return self._order[bisect.bisect_right(self._order, self.owner_of(name)) - 1]

    def links(
        self, types_at: Mapping[dns.name.Name, Iterable[dns.rdatatype.RdataType]], ttl: int
    ) -> list[dns.rrset.RRset]:
        """Make the chain over these names (types: without NSEC and RRSIG, which are added) and remember its order."""
        owners = {self.owner_of(name): frozenset(types) for name, types in types_at.items()}
        self._order = sorted(owners)
        following = [*self._order[1:], *self._order[:1]]
        return [
            dns.rrset.from_rdata(owner, ttl, self._link(after, owners[owner]))
            for owner, after in zip(self._order, following, strict=True)
        ]

    def _link(self, following: dns.name.Name, types: frozenset[dns.rdatatype.RdataType]) -> dns.rdata.Rdata:
        if self.plan.kind != "nsec3":
            return nsec_rdata(following, types | {dns.rdatatype.NSEC, dns.rdatatype.RRSIG})
        # An insecure delegation and an empty non-terminal have nothing of their own that is signed (RFC 5155 7.1).
        signs = {dns.rdatatype.RRSIG} if types - {dns.rdatatype.NS} else set()
        words = " ".join(map(dns.rdatatype.to_text, sorted(types | signs)))
        flags = self.plan.extra_flags | (OPT_OUT if self.plan.opt_out else 0)
        text = (
            f"{self.plan.stated_hash} {flags} {self.plan.iterations} {self.plan.salt.hex() or '-'} "
            f"{following.labels[0].decode()} {words}"
        )
        return dns.rdata.from_text(dns.rdataclass.IN, dns.rdatatype.NSEC3, text)


def nsec_rdata(following: dns.name.Name, types: Iterable[dns.rdatatype.RdataType]) -> dns.rdata.Rdata:
    """An NSEC record's data."""
    words = " ".join(map(dns.rdatatype.to_text, sorted(types)))
    return dns.rdata.from_text(dns.rdataclass.IN, dns.rdatatype.NSEC, f"{following.to_text()} {words}")


def nsec3_label(name: dns.name.Name, plan: DenialPlan) -> bytes:
    """The hashed owner label of a name (RFC 5155 section 5), upper case as most software writes it."""
    digest = hashlib.sha1(name.to_digestable() + plan.salt, usedforsecurity=False).digest()
    for _ in range(plan.iterations):
        digest = hashlib.sha1(digest + plan.salt, usedforsecurity=False).digest()
    return b32hexencode(digest)
