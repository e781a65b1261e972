"""Which hosts take the mail of a domain, as far as DNSSEC vouches for it.

A sender that authenticates mail servers by TLSA must know from a secure MX record whom to authenticate: an attacker who
could change that record would name a host of its own. What is asked of each host is `Context.prepare`'s. Sections: RFC
7672 sections 2.2.1 and 3.1; RFC 7505 section 3; RFC 5321 section 5.1.
"""

from dataclasses import dataclass
from typing import Final

import dns.exception
import dns.name
import dns.rdatatype
from dns.rdtypes.ANY.MX import MX

from dnsbound.dns.answer import Answer, Outcome, Security
from dnsbound.edge.context_server_tlsa import LOOKUP_SECONDS, ResolverLike, canonical_host
from dnsbound.errors import Misuse, Reason, Refused, Undecided

_REASONS: Final = {Security.BOGUS: Reason.BOGUS, Security.INDETERMINATE: Reason.INDETERMINATE}


@dataclass(frozen=True, slots=True, kw_only=True)
class MailExchanger:
    """host: in lower case, without a final dot. preference: lower comes first."""

    host: str
    preference: int


async def mail_exchangers(
    resolver: ResolverLike, domain: str, *, deadline: float = LOOKUP_SECONDS
) -> tuple[MailExchanger, ...]:
    """The hosts that take a domain's mail, best first; the domain itself where it has no MX record, and none where it
    takes no mail or does not exist.

    Refused(INSECURE) where the answer is not signed, Undecided where it could not be found out, Misuse for what is no
    domain.
    """
    try:
        name = dns.name.from_text(canonical_host(domain) + ".")
    except (dns.exception.DNSException, UnicodeError) as error:
        raise Misuse(f"{domain!r} is no domain: {error}") from None
    answer = await resolver.lookup(name, dns.rdatatype.MX, deadline=deadline)
    _check(answer, domain)
    if answer.outcome is Outcome.NXDOMAIN:
        return ()
    if answer.outcome is Outcome.NODATA:
        return (MailExchanger(host=canonical_host(domain), preference=0),)
    found = [record for record in answer.records if isinstance(record, MX) and record.exchange != dns.name.root]
    made = [
        MailExchanger(host=record.exchange.to_text(omit_final_dot=True).lower(), preference=record.preference)
        for record in found
    ]
    return tuple(sorted(made, key=lambda each: (each.preference, each.host)))


def _check(answer: Answer, domain: str) -> None:
    where = f"MX of {domain}: {answer.detail or answer.security.value}"
    if answer.limit:
        raise Undecided(Reason.WORK_BUDGET, where)
    if answer.outcome is Outcome.FAILED:
        raise Undecided(_REASONS.get(answer.security, Reason.DNS_FAILED), where)
    if answer.security in _REASONS:
        raise Undecided(_REASONS[answer.security], where)
    if answer.security is not Security.SECURE:
        raise Refused(Reason.INSECURE, where)
