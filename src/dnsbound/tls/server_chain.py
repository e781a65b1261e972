"""What a client makes of the DNSSEC chain that its server sends in the handshake, or fails to send (RFC 9102).

The chain is judged by the validator that judges everything else, at an explicit moment and within limits (section 6).
It shows records by which the server is authenticated, or that there are none, or that the zone is not signed; a chain
that does not hold ends the connection, since whoever sends one means to be judged by it. What a client may fall back to
is a table, `FALLBACK`, of what was shown and what was demanded; sections 2.3.1 and 7 are its rows.

The octets come from and the verdict goes to the native engine (`native/src/dnssec_chain.rs`). Where pins are kept, and
the clock, are the edge's.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import Final, Protocol

import dns.exception
import dns.name

from dnsbound.dns.anchors import TrustAnchors
from dnsbound.dns.answer import Answer, Outcome, Security
from dnsbound.dns.chain_judging import ChainLimits, judge_extension
from dnsbound.dns.policy import Policy
from dnsbound.errors import (
    UNDECIDED_REASONS,
    LimitExceeded,
    Malformed,
    Reason,
    Refused,
    Undecided,
)
from dnsbound.records.tlsa import TLSA
from dnsbound.times import Moment, Seconds
from dnsbound.tls.errors import TLSMisuse
from dnsbound.verify.read_answers import tlsa_records

_HOUR: Final[Seconds] = 3600.0


class Shown(StrEnum):
    """What the server's chain shows; one that does not hold shows nothing and raises."""

    NO_CHAIN = "no chain"
    RECORDS = "records"
    UNUSABLE = "unusable records"
    """Secure TLSA records, and none that can be used: as if there were none (RFC 6698 section 4.1)."""
    DENIAL = "denial"
    UNSIGNED = "unsigned zone"


class Demand(StrEnum):
    """What the client demands of the server."""

    NOTHING = "nothing"
    """Certificate authorities are good enough."""
    CHAIN = "chain"
    """The server promised one earlier: it is pinned."""
    RECORDS = "records"
    """DANE or nothing."""


FALLBACK: Final[Mapping[tuple[Shown, Demand], Reason | None]] = MappingProxyType(
    {
        (Shown.NO_CHAIN, Demand.NOTHING): None,
        (Shown.NO_CHAIN, Demand.CHAIN): Reason.INDETERMINATE,
        (Shown.NO_CHAIN, Demand.RECORDS): Reason.INDETERMINATE,
        (Shown.RECORDS, Demand.NOTHING): None,
        (Shown.RECORDS, Demand.CHAIN): None,
        (Shown.RECORDS, Demand.RECORDS): None,
        (Shown.UNUSABLE, Demand.NOTHING): None,
        (Shown.UNUSABLE, Demand.CHAIN): None,
        (Shown.UNUSABLE, Demand.RECORDS): Reason.TLSA_UNUSABLE,
        (Shown.DENIAL, Demand.NOTHING): None,
        (Shown.DENIAL, Demand.CHAIN): None,
        (Shown.DENIAL, Demand.RECORDS): Reason.NO_TLSA,
        (Shown.UNSIGNED, Demand.NOTHING): None,
        (Shown.UNSIGNED, Demand.CHAIN): None,
        (Shown.UNSIGNED, Demand.RECORDS): Reason.INSECURE,
    }
)
"""Why the connection ends; None where it goes on: with RECORDS by these, else by certificate authorities."""

_SHOWN: Final[Mapping[tuple[Security, Outcome], Shown | Reason]] = MappingProxyType(
    {
        (Security.SECURE, Outcome.RECORDS): Shown.RECORDS,
        (Security.SECURE, Outcome.NODATA): Shown.DENIAL,
        (Security.SECURE, Outcome.NXDOMAIN): Shown.DENIAL,
        (Security.SECURE, Outcome.FAILED): Reason.INDETERMINATE,
        (Security.INSECURE, Outcome.RECORDS): Shown.UNSIGNED,
        (Security.INSECURE, Outcome.NODATA): Shown.UNSIGNED,
        (Security.INSECURE, Outcome.NXDOMAIN): Shown.UNSIGNED,
        (Security.INSECURE, Outcome.FAILED): Shown.UNSIGNED,
        (Security.BOGUS, Outcome.RECORDS): Reason.BOGUS,
        (Security.BOGUS, Outcome.NODATA): Reason.BOGUS,
        (Security.BOGUS, Outcome.NXDOMAIN): Reason.BOGUS,
        (Security.BOGUS, Outcome.FAILED): Reason.BOGUS,
        (Security.INDETERMINATE, Outcome.RECORDS): Reason.INDETERMINATE,
        (Security.INDETERMINATE, Outcome.NODATA): Reason.INDETERMINATE,
        (Security.INDETERMINATE, Outcome.NXDOMAIN): Reason.INDETERMINATE,
        (Security.INDETERMINATE, Outcome.FAILED): Reason.INDETERMINATE,
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ShownChain:
    """One server's chain, judged."""

    shown: Shown
    detail: str = ""
    records: tuple[TLSA, ...] = ()
    lifetime: Seconds = 0.0
    """How long the server promises to send chains; 0 takes a promise back."""


class PinStore(Protocol):
    """Servers that promised to send a chain (section 7). Thread-safe; `host` is in lower case."""

    def pinned(self, host: str, port: int, *, now: Moment) -> bool: ...

    def pin(self, host: str, port: int, *, until: Moment, now: Moment) -> None:
        """In place of an earlier promise, a longer one too."""
        ...

    def unpin(self, host: str, port: int) -> None: ...


class ServerChainJudge(Protocol):
    """What a client's connection asks about its server's chain."""

    @property
    def base_domain(self) -> str:
        """The reference identity: the SNI (section 3)."""
        ...

    def judge(self, extension_data: bytes | None) -> tuple[TLSA, ...]:
        """Records to authenticate the server by; none leaves it to certificate authorities. Raises Refused or
        Undecided. extension_data: None where the server sent none."""
        ...

    def settle(self, *, by_records: bool) -> None:
        """The handshake is complete, the server authenticated by the records of `judge`, or by authorities."""
        ...


def owner_name(host: str, port: int) -> dns.name.Name:
    """`_port._tcp.host` (RFC 6698 section 3); TLSMisuse for what is no host name."""
    try:
        return dns.name.from_text(f"_{port}._tcp.{host}.")
    except (dns.exception.DNSException, UnicodeError) as error:
        raise TLSMisuse(f"{host!r} is no host name: {error}") from None


def read_server_chain(
    extension_data: bytes | None,
    owner: dns.name.Name,
    *,
    anchors: TrustAnchors,
    now: Moment,
    policy: Policy | None = None,
    spend: ChainLimits | None = None,
) -> ShownChain:
    """What the chain says of the TLSA records of `owner`. spend: on this one chain.

    Refused with BAD_CHAIN when the octets are none; Undecided with BOGUS or INDETERMINATE when it does not hold, with
    WORK_BUDGET when it is too long or costs too much.
    """
    if extension_data is None:
        return ShownChain(shown=Shown.NO_CHAIN, detail="the server sent no DNSSEC chain")
    try:
        answer, hours = judge_extension(extension_data, owner, anchors=anchors, now=now, policy=policy, spend=spend)
    except Malformed as error:
        raise Refused(Reason.BAD_CHAIN, str(error)) from error
    except LimitExceeded as error:
        raise Undecided(Reason.WORK_BUDGET, str(error)) from error
    return _shown(answer, lifetime=hours * _HOUR)


def _shown(answer: Answer, *, lifetime: Seconds) -> ShownChain:
    if answer.limit:
        raise Undecided(Reason.WORK_BUDGET, answer.detail or answer.limit)
    shown = _SHOWN.get((answer.security, answer.outcome), Reason.INDETERMINATE)
    if isinstance(shown, Reason):
        raise Undecided(shown, answer.detail)
    records = tuple(tlsa_records(answer)) if shown is Shown.RECORDS else ()
    if shown is Shown.RECORDS and all(record.unusable_because for record in records):
        shown, records = Shown.UNUSABLE, ()
    return ShownChain(shown=shown, detail=answer.detail, records=records, lifetime=lifetime)


def check_demand(chain: ShownChain, demand: Demand) -> None:
    """Refused or Undecided where `FALLBACK` ends the connection."""
    reason = FALLBACK.get((chain.shown, demand), Reason.INDETERMINATE)
    if reason is not None:
        detail = chain.detail or f"the server's chain shows: {chain.shown}"
        raise Undecided(reason, detail) if reason in UNDECIDED_REASONS else Refused(reason, detail)
