"""Judging what the DNS says of a name, for people: the engine's rules without a door, a list or a peer.

Nothing here can make a VerifiedPeer: a certificate in a file proves no possession of its key.
"""

import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from dnsbound.cli.exit_codes import ExitCode, exit_code_of_reason
from dnsbound.errors import LimitExceeded, Reason, Refused, Undecided
from dnsbound.names import ClientName
from dnsbound.times import Moment, Seconds, iso

if TYPE_CHECKING:
    from dnsbound.credential.matching import MatchReport, RecordResult
    from dnsbound.credential.presented import Presented
    from dnsbound.dns.answer import Answer
    from dnsbound.edge.resolver import Resolver
    from dnsbound.records.tlsa import TLSA


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    """What came of a lookup, and of holding a certificate or key against its records."""

    answer: "Answer"
    records: "tuple[TLSA, ...]" = ()
    results: "tuple[RecordResult, ...]" = ()
    """One for each record, when there was something to hold against them."""
    reason: Reason | None = None
    """Why not; None when the evidence holds."""
    detail: str = ""

    @property
    def exit_code(self) -> ExitCode:
        return ExitCode.YES if self.reason is None else exit_code_of_reason(self.reason)

    @property
    def outcome(self) -> str:
        """`yes`, `no` or `undecided`."""
        return {ExitCode.YES: "yes", ExitCode.NO: "no"}.get(self.exit_code, "undecided")


def judge(
    name: ClientName,
    presented: "Presented | None",
    resolver: "Resolver",
    *,
    deadline: Seconds,
    roots: tuple[bytes, ...],
) -> Judgement:
    """Look the name up, and try every record against what would be presented. roots: turn usages 0 and 1 on."""
    import dns.name

    from dnsbound.verify.engine import check_answer, place_of
    from dnsbound.verify.read_answers import tlsa_records

    begun_at = time.time()
    owner, rdtype = place_of(name)
    answer = resolver.lookup_blocking(dns.name.from_text(owner), rdtype, deadline=deadline)
    now = time.time()
    found = Judgement(answer=answer)
    try:
        found = replace(found, records=tuple(tlsa_records(answer)))
        check_answer(answer, now=now, begun_at=begun_at)
        if presented is not None:
            found = replace(found, results=_tried(found, presented, name, now, roots).results)
        _check_records(found)
    except (Refused, Undecided) as error:
        return replace(found, reason=error.reason, detail=error.detail)
    except LimitExceeded as error:
        return replace(found, reason=Reason.WORK_BUDGET, detail=str(error))
    return found


def _tried(
    found: Judgement, presented: "Presented", name: ClientName, now: Moment, roots: tuple[bytes, ...]
) -> "MatchReport":
    from dnsbound.credential.matching import MatchPolicy, match
    from dnsbound.iana import Usage

    policy = MatchPolicy(usages=frozenset(Usage), roots=roots) if roots else MatchPolicy()
    wildcard = found.answer.wildcard
    return match(found.records, presented, name=name, now=now, policy=policy, from_wildcard=wildcard, exhaustive=True)


def _check_records(found: Judgement) -> None:
    """Refused unless a record matched, or, with nothing to match, one could be used."""
    from dnsbound.credential.matching import MatchReport

    if found.results:
        MatchReport(found.results).matched  # noqa: B018 (raises why not)
    elif all(record.unusable_because for record in found.records):
        raise Refused(Reason.TLSA_UNUSABLE, "no record can be used")


def facts(judgement: Judgement, name: ClientName) -> dict[str, object]:
    """The judgement for `--json`."""
    answer = judgement.answer
    return {
        "name": name.text,
        "outcome": judgement.outcome,
        "reason": None if judgement.reason is None else judgement.reason.value,
        "detail": judgement.detail,
        "security": answer.security.value,
        "answer": answer.outcome.value,
        "zone": None if answer.zone is None else answer.zone.to_text(omit_final_dot=True),
        "aliases": [alias.to_text(omit_final_dot=True) for alias in answer.aliases],
        "wildcard": answer.wildcard,
        "ttl": answer.ttl,
        "signatures_expire": None if answer.earliest_expiry is None else iso(answer.earliest_expiry),
        "records": _record_facts(judgement),
        "steps": proof_steps(answer),
    }


def proof_steps(answer: "Answer") -> list[dict[str, object]]:
    """How the validator came to its answer, for programs."""
    return [
        {
            "owner": step.owner,
            "subject": step.subject,
            "conclusion": step.conclusion,
            "security": step.security.value,
        }
        for step in answer.steps
    ]


def _record_facts(judgement: Judgement) -> list[dict[str, object]]:
    if judgement.results:
        return [
            {
                "record": result.record.to_text(),
                "state": result.state.value,
                "reason": None if result.reason is None else result.reason.value,
                "why": result.why,
            }
            for result in judgement.results
        ]
    return [
        {
            "record": record.to_text(),
            "state": _state_alone(judgement, record),
            "reason": Reason.TLSA_UNUSABLE.value if record.unusable_because else None,
            "why": record.unusable_because or "",
        }
        for record in judgement.records
    ]


def _state_alone(judgement: Judgement, record: "TLSA") -> str:
    """Of a record that nothing was held against."""
    if judgement.answer.security.value != "secure":
        return "not believed"
    return "unusable" if record.unusable_because else "usable"
