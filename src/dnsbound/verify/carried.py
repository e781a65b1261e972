"""Evidence that the client brings along: from whom a door takes it, how much it may cost, and how old it may be.

A client may carry the DNSSEC chain of its own TLSA record, so that a door admits it by the trust anchor and a clock
alone. Off unless a door has a `CarriedChains`, and then for the names it lists. A chain is judged by the validator that
judges everything else, within `ChainLimits`, after possession and permit, and, at a door with a resolver, after the DNS
could not say. It lives with its claim: nothing of it is kept, and another connection gains nothing by it.

Until its signatures end nothing takes a carried record back, so **the signatures' lifetime is the revocation time**;
`max_age` shortens it. The age counts from `Answer.signed_at`: from the inception of the signature over the TLSA set,
the youngest where it has several. Where an alias or a wildcard is part of the proof, the link whose signature began
first counts, so that nobody refreshes an old record with a young alias. Signatures over zone keys and DS records do not
count: they say nothing of when the record was there.

What a specification leaves open (draft-ietf-dance-client-auth section 12 discusses such a chain and defines none).
"""

from collections.abc import Iterable
from typing import Final

import dns.name
import dns.rdatatype

from dnsbound.dns.anchors import TrustAnchors
from dnsbound.dns.answer import Answer
from dnsbound.dns.chain_judging import ChainLimits, judge_chain
from dnsbound.dns.policy import Policy
from dnsbound.errors import LimitExceeded, Malformed, Reason, Refused, Undecided
from dnsbound.limits import CARRIED_SECONDS
from dnsbound.names import ClientName
from dnsbound.times import Moment, Seconds, iso
from dnsbound.verify.access import AccessList

_ANY_DOOR: Final = "carried"


class CarriedChains:
    """What one door believes of chains that clients carry. Immutable; any number of threads may use it."""

    __slots__ = ("_anchors", "_max_age", "_names", "_policy", "_spend", "before_asking")

    def __init__(
        self,
        names: Iterable[str],
        *,
        anchors: TrustAnchors | None = None,
        max_age: int | None = None,
        spend: ChainLimits | None = None,
        policy: Policy | None = None,
        before_asking: bool = False,
    ) -> None:
        """names: whose chains count, exact names and patterns as in an access list. anchors: the root's by default.
        max_age: seconds, None for the default of `limits.CARRIED_SECONDS`. spend: on one chain. policy: of the
        validator. before_asking: at a door with a resolver, a chain that holds is enough; without it the DNS is asked
        first, and the chain counts where the DNS cannot say. Malformed for a name or pattern that is none."""
        self._names = AccessList.allowing(_ANY_DOOR, names)
        self._anchors = TrustAnchors.root() if anchors is None else anchors
        self._max_age: Seconds = CARRIED_SECONDS.checked(max_age)
        self._spend = spend or ChainLimits()
        self._policy = policy or Policy()
        self.before_asking: Final = before_asking

    @property
    def anchors(self) -> TrustAnchors:
        return self._anchors

    def accepts(self, name: ClientName) -> bool:
        """Whether this client's chain would be looked at."""
        try:
            self._names.permit(_ANY_DOOR, name)
        except Refused:
            return False
        return True

    def judge(
        self,
        octets: bytes,
        owner: dns.name.Name,
        rdtype: dns.rdatatype.RdataType = dns.rdatatype.TLSA,
        *,
        now: Moment,
    ) -> Answer:
        """What the chain says of the records of `owner`, in whatever state.

        Raises Refused(BAD_CHAIN) when the octets are none, Undecided with WORK_BUDGET when they are too many or cost
        too much, or with EVIDENCE_TOO_OLD.
        """
        try:
            answer = judge_chain(
                octets,
                owner,
                rdtype,
                anchors=self._anchors,
                now=now,
                policy=self._policy,
                spend=self._spend,
            )
        except Malformed as error:
            raise Refused(Reason.BAD_CHAIN, str(error)) from error
        except LimitExceeded as error:
            raise Undecided(Reason.WORK_BUDGET, str(error)) from error
        if answer.limit:
            raise Undecided(Reason.WORK_BUDGET, answer.detail)
        self.check_age(answer, now=now)
        return answer

    def check_age(self, answer: Answer, *, now: Moment) -> None:
        """Undecided(EVIDENCE_TOO_OLD) for evidence above the maximum age."""
        if answer.signed_at is not None and now > answer.signed_at + self._max_age:
            detail = f"carried evidence signed at {iso(answer.signed_at)}, believed for {self._max_age:g} s"
            raise Undecided(Reason.EVIDENCE_TOO_OLD, detail)

    def ends_at(self, answer: Answer) -> Moment:
        """When carried evidence holds no longer: its first signature has ended, or it has the maximum age.

        TTLs do not count: they say how long a cache may go without asking, and this was not looked up.
        """
        ends = [moment for moment in (answer.earliest_expiry,) if moment is not None]
        if answer.signed_at is not None:
            ends.append(answer.signed_at + self._max_age)
        return min(ends, default=answer.validated_at)
