"""Judging a chain that somebody else brought along, at most so much work: octets, records, signature checks.

The octets are an AuthenticationChain (RFC 9102 section 2.3), alone or in a server's extension with its lifetime.
Nothing of what they prove is kept: each chain stands for itself, and for the connection it came by.
"""

from dataclasses import dataclass, replace

import dns.name
import dns.rdatatype

from dnsbound import limits
from dnsbound.dns.anchors import TrustAnchors
from dnsbound.dns.answer import Answer
from dnsbound.dns.chain import AuthenticationChain, ChainExtension
from dnsbound.dns.policy import Policy
from dnsbound.errors import LimitExceeded
from dnsbound.times import Moment


@dataclass(frozen=True, slots=True, kw_only=True)
class ChainLimits:
    """What is spent on one chain of a peer's. None means the limit's default; checked when made."""

    octets: int | None = None
    records: int | None = None
    signature_checks: int | None = None

    def __post_init__(self) -> None:
        limits.CARRIED_OCTETS.checked(self.octets)
        limits.CARRIED_RECORDS.checked(self.records)
        limits.CARRIED_SIGNATURES.checked(self.signature_checks)


def judge_chain(
    octets: bytes,
    name: dns.name.Name,
    rdtype: dns.rdatatype.RdataType,
    *,
    anchors: TrustAnchors,
    now: Moment,
    policy: Policy | None = None,
    spend: ChainLimits | None = None,
) -> Answer:
    """What the chain says of a name and type at a moment; its provenance is CARRIED.

    Malformed when the octets are no chain. LimitExceeded when they are too many; where the signature checks run out,
    the Answer says so (`limit`).
    """
    spend = spend or ChainLimits()
    chain = AuthenticationChain.from_wire(octets, records=_records(octets, spend))
    return chain.validate(name, rdtype, anchors=anchors, now=now, policy=_within(spend, policy))


def judge_extension(
    extension_data: bytes,
    name: dns.name.Name,
    *,
    anchors: TrustAnchors,
    now: Moment,
    policy: Policy | None = None,
    spend: ChainLimits | None = None,
) -> tuple[Answer, int]:
    """The same for TLSA records in a server's dnssec_chain, with the support lifetime in hours."""
    spend = spend or ChainLimits()
    extension = ChainExtension.from_wire(extension_data, records=_records(extension_data, spend))
    answer = extension.chain.validate(name, dns.rdatatype.TLSA, anchors=anchors, now=now, policy=_within(spend, policy))
    return answer, extension.lifetime


def _records(octets: bytes, spend: ChainLimits) -> int:
    """How many there may be; LimitExceeded for too many octets."""
    most = limits.CARRIED_OCTETS.checked(spend.octets)
    if len(octets) > most:
        raise LimitExceeded(limits.CARRIED_OCTETS.name, f"a chain of {len(octets)} octets, more than {most}")
    return limits.CARRIED_RECORDS.checked(spend.records)


def _within(spend: ChainLimits, policy: Policy | None) -> Policy:
    return replace(policy or Policy(), signature_checks=limits.CARRIED_SIGNATURES.checked(spend.signature_checks))
