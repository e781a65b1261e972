"""The rule that no step may break, and what breaks it.

For every combination of usage, selector and matching type that a verifier may find at the name, be it at a server or in
a cache, at least one record matches what the client uses. A combination that matches only past or future keys refuses
the client wherever that combination is the one that counts (RFC 7671 section 9: the strongest digest a verifier knows).
A whole key is always looked at beside the digests, so that one which no handshake can use, to encrypt to, takes nothing
away.

Sections: RFC 7671 section 8 (the rule), 8.3 (a new digest for every key, and withdrawn whole).
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TypeAlias

from dnsbound.credential.encryption_keys import publishes_encryption_key
from dnsbound.provision.errors import RollRefused
from dnsbound.provision.lifecycle.deployment import Deployment, Parameters
from dnsbound.records.tlsa import TLSA

RRset: TypeAlias = frozenset[TLSA]
"""The TLSA records of one name; empty where none stand."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Situation:
    """What verifiers may meet at one time."""

    served: RRset
    cached: tuple[RRset, ...] = ()
    """What stood before, as long as a cache may hold it."""
    deployed: tuple[Deployment, ...]
    """What the client may use: two of them while it switches."""


def faults(situation: Situation) -> Iterator[str]:
    """One sentence for each combination under which the client would be refused."""
    for where, rrset in (("served", situation.served), *(("still cached", held) for held in situation.cached)):
        for deployment in situation.deployed:
            for parameters in unmatched(rrset, deployment):
                yield f"no {parameters} record that is {where} matches {_whose(situation, deployment)}"


def unmatched(rrset: RRset, deployment: Deployment) -> list[Parameters]:
    """The combinations of an RRset of which no record matches. A key to encrypt to is none that anybody logs in by."""
    combinations = {Parameters.of(record) for record in rrset if not publishes_encryption_key(record)}
    matched = {Parameters.of(record) for record in rrset if deployment.matches(record)}
    return sorted(combinations - matched)


def check(situations: Iterable[Situation]) -> None:
    """RollRefused with the first fault (RFC 7671 section 8), also where nothing at all would stand."""
    for situation in situations:
        if not situation.served:
            raise RollRefused("no TLSA record would stand: the client could never log in")
        for fault in faults(situation):
            raise RollRefused(f"{fault} (RFC 7671 section 8)")


def _whose(situation: Situation, deployment: Deployment) -> str:
    if len(situation.deployed) == 1:
        return "what the client uses then"
    return "the present key" if deployment is situation.deployed[0] else "the new key"
