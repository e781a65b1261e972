"""Whether a device's record can carry a lease: what was looked up at the name its maker gave it.

Sections: RFC 7671 section 5.1 (usage 3 reads no names), section 5.2 (usage 2 does); dance-client-auth section 8.2; RFC
7672 section 2.1.3 (every alias must be secure, which the validator sees to).
"""

from dnsbound.dns.answer import Answer
from dnsbound.iana import Usage
from dnsbound.provision.errors import LeaseRefused
from dnsbound.times import Moment
from dnsbound.verify.engine import check_answer
from dnsbound.verify.read_answers import tlsa_records


def check_target(answer: Answer, *, now: Moment, begun_at: Moment) -> None:
    """The answer to a TLSA question for the device's name.

    Refused and Undecided as at a door: no record, not signed, not to be found out. LeaseRefused where a leased name
    could not work, or would let others in: the name is itself an alias, the records come from a wildcard, cannot be
    used, block the name, or are not all `3 x x`.
    """
    check_answer(answer, now=now, begun_at=begun_at)
    name = answer.name.to_text(omit_final_dot=True)
    if answer.aliases:
        raise LeaseRefused(f"{name} is itself an alias of {answer.aliases[0].to_text(omit_final_dot=True)}")
    if answer.wildcard:
        raise LeaseRefused(f"the records of {name} come from a wildcard: no device of that name is known there")
    records = tlsa_records(answer)
    if any(record.is_block for record in records):
        raise LeaseRefused(f"{name} is blocked by its owner")
    if all(record.unusable_because for record in records):
        raise LeaseRefused(f"{name} has no record that a verifier can use")
    others = sorted({record.parameters for record in records if record.usage != Usage.DANE_EE})
    if others:
        raise LeaseRefused(
            f"{name} has a record {others[0]}: under a leased name whoever its authority certifies could come in; "
            "a lease takes 3 x x alone"
        )
