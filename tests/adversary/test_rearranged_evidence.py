"""A resolver that holds every signed record there is, and arranges them as it likes.

It can forge nothing, but it may leave out, move to other names and sections, expand wildcards over any name, and show
every denial of every zone at once. Whatever it does, what is judged secure is what the zones say, and what the zones
secure is never judged insecure: the worst it reaches is bogus.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from itertools import product

import dns.name
import dns.rcode
import dns.rdatatype
import pytest

from dnsbound.dns.anchors import TrustAnchors
from dnsbound.dns.answer import Answer, Outcome, Security
from dnsbound.dns.canonical import WILDCARD, Key, is_below, key_of, name_of
from dnsbound.dns.messages import Query, Question, Response, RRset, Section
from dnsbound.dns.policy import Policy
from dnsbound.dns.validator import Validation, validate
from dnsbound.testing.zone_answers import ZoneAnswers
from dnsbound.testing.zones import ZonePlan, ZoneTree

NOW = 1_800_000_000.0
TLSA, A, DS = dns.rdatatype.TLSA, dns.rdatatype.A, dns.rdatatype.DS
DENIALS = frozenset({dns.rdatatype.NSEC, dns.rdatatype.NSEC3})
POLICY = Policy(signature_checks=4096, nsec3_hashes=65_536)
RECORDS = f"""
car TLSA 3 1 1 {"ab" * 32}
a.b.ent TLSA 3 1 1 {"cd" * 32}
alias CNAME car
away CNAME host.child
*.w TLSA 2 1 1 {"ef" * 32}
there.w A 192.0.2.2
x.deep.w A 192.0.2.3
*.deeper.w TLSA 2 1 1 {"99" * 32}
*.c CNAME car
moved DNAME w
*.child.w A 192.0.2.4
"""
CHILD = f"host TLSA 3 1 1 {'12' * 32}\nonly A 192.0.2.5\n*.w TLSA 2 1 1 {'34' * 32}\nback CNAME car.cars.example.\n"
OWNERS = [
    *("@", "car", "ent", "b.ent", "a.b.ent", "alias", "away", "w", "there.w", "deep.w", "deeper.w", "c", "moved"),
    *("child", "host.child", "only.child", "w.child", "back.child", "open", "host.open", "none", "child.w", "childish"),
]
NAMES = [
    key_of(dns.name.from_text(text, dns.name.from_text("cars.example.")))
    for owner in OWNERS
    for text in ((owner, f"q.{owner}") if owner != "@" else (owner, "q", "p.q"))
]
Liar = Callable[["Estate", Question, Question], Response | None]


@dataclass(frozen=True, slots=True)
class Estate:
    """The zones, what they truly answer, and every signed RRset they ever show."""

    anchors: TrustAnchors
    answers: ZoneAnswers
    sets: Section
    judged: dict[Question, Answer] = field(default_factory=dict)

    def truth(self, question: Question) -> Response:
        wire = self.answers.respond_wire(Query(7, name_of(question.key), question.rdtype).to_wire(), udp=False)
        assert wire is not None
        return Response.from_wire(wire, source="the liar")

    @property
    def denials(self) -> Section:
        return {at: rrset for at, rrset in self.sets.items() if rrset.rdtype in DENIALS}

    def true_answer(self, question: Question) -> Answer:
        if question not in self.judged:
            self.judged[question] = self.judge(question)
        return self.judged[question]

    def judge(self, question: Question, liar: Liar | None = None) -> Answer:
        validation = Validation(name_of(question.key), question.rdtype, anchors=self.anchors, now=NOW, policy=POLICY)
        return validate(validation, lambda asked: (liar and liar(self, question, asked)) or self.truth(asked))


def build(denial: str, child_denial: str) -> Estate:
    tree = ZoneTree.build(
        [
            ZonePlan.of("."),
            ZonePlan.of("example.", denial=denial),
            ZonePlan.of("cars.example.", records=RECORDS, denial=denial),
            ZonePlan.of("child.cars.example.", records=CHILD, denial=child_denial),
            ZonePlan.of("open.cars.example.", records=CHILD, keys=()),
        ],
        now=NOW,
    )
    estate = Estate(TrustAnchors.from_text(tree.anchors()), ZoneAnswers(tree.zones, recursive=True), {})
    types = (TLSA, A, DS, dns.rdatatype.CNAME, dns.rdatatype.DNSKEY, dns.rdatatype.SOA, dns.rdatatype.DNAME)
    wildcards = [(*name, WILDCARD) for name in NAMES]
    above = [key_of(dns.name.from_text(text)) for text in (".", "example.")]
    for name, rdtype in product([*NAMES, *wildcards, *above], types):
        response = estate.truth(Question(name, rdtype))
        for section in (response.answer, response.authority):
            estate.sets.update({at: rrset for at, rrset in section.items() if rrset.signatures and rrset.rdatas})
    return estate


@pytest.fixture(
    scope="module",
    params=[
        ("nsec", "nsec"),
        ("nsec3", "nsec"),
        ("nsec3 optout", "nsec3"),
        ("nsec3 salt=aa iterations=2", "compact"),
        ("compact", "nsec3 optout"),
    ],
    ids=" over ".join,
)
def estate(request: pytest.FixtureRequest) -> Estate:
    return build(*request.param)


def questions() -> Iterator[Question]:
    for name, rdtype in product(NAMES, (TLSA, DS)):
        yield Question(name, rdtype)


def lie(answer: Section, authority: Section, rcode: dns.rcode.Rcode = dns.rcode.NOERROR) -> Response:
    return Response(source="the liar", rcode=rcode, answer=answer, authority=authority, has_signatures=True)


def at_name(rrset: RRset, name: Key) -> RRset:
    """The set and its signatures, shown at another name."""
    return replace(rrset, key=name, labels=tuple(reversed(name)))


def withholds_the_answer(estate: Estate, question: Question, asked: Question) -> Response | None:
    return lie({}, estate.denials) if asked == question else None


def says_that_the_name_is_none(estate: Estate, question: Question, asked: Question) -> Response | None:
    return lie({}, estate.denials, dns.rcode.NXDOMAIN) if asked == question else None


def hides_every_key_of_the_child(estate: Estate, question: Question, asked: Question) -> Response | None:
    return lie({}, estate.denials) if asked.rdtype == DS and len(asked.key) > 2 else None


def hides_keys_behind_aliases(estate: Estate, question: Question, asked: Question) -> Response | None:
    if asked.rdtype != DS or len(asked.key) <= 2:
        return None
    kinds = (dns.rdatatype.CNAME, dns.rdatatype.DNAME)
    aliases = [rrset for rrset in estate.sets.values() if rrset.rdtype in kinds]
    shown = {at: rrset for at, rrset in estate.sets.items() if rrset.rdtype in kinds}
    for rrset in aliases:
        shown.setdefault((asked.key, rrset.rdtype), at_name(rrset, asked.key))
    return lie(shown, estate.denials)


def unsigns_the_child(estate: Estate, question: Question, asked: Question) -> Response | None:
    """No keys, and the answer without signatures: as if the zone had never been signed."""
    if asked.rdtype == DS and len(asked.key) > 2:
        return lie({}, estate.denials)
    if asked != question:
        return None
    forged = {at: replace(rrset, signatures=[]) for at, rrset in estate.truth(asked).answer.items()}
    return lie(forged, {})


def shows_everything_at_once(estate: Estate, question: Question, asked: Question) -> Response | None:
    return lie({at: rrset for at, rrset in estate.sets.items() if rrset.rdtype not in DENIALS}, estate.denials)


LIARS: list[Liar] = [
    withholds_the_answer,
    says_that_the_name_is_none,
    hides_every_key_of_the_child,
    hides_keys_behind_aliases,
    unsigns_the_child,
    shows_everything_at_once,
]


def not_better_than_true(truth: Answer, told: Answer, what: object) -> None:
    if told.security is Security.SECURE:
        assert truth.security is Security.SECURE, what
        assert (told.outcome, set(told.records)) == (truth.outcome, set(truth.records)), what
    if told.security is Security.INSECURE:
        assert truth.security is Security.INSECURE, what
    if told.security not in (Security.SECURE, Security.INSECURE):
        assert told.records == ()


@pytest.mark.parametrize("liar", LIARS, ids=lambda liar: liar.__name__)
def test_arranged_records_prove_nothing_new(liar: Liar, estate: Estate) -> None:
    states = set()
    for question in questions():
        told = estate.judge(question, liar)
        not_better_than_true(estate.true_answer(question), told, question)
        states.add(told.security)
    # The lie reached the validator, and it is told from the truth.
    assert Security.BOGUS in states or liar is shows_everything_at_once
    assert Security.SECURE in states


def test_records_shown_at_another_name(estate: Estate) -> None:
    """Every TLSA set, and every alias, at every name: as it stands, and as if a wildcard had made it."""
    moved = [
        rrset
        for rrset in estate.sets.values()
        if rrset.rdtype in (TLSA, dns.rdatatype.CNAME) and rrset.key[-1:] == (WILDCARD,)
    ]
    moved += [estate.sets[name, TLSA] for name in NAMES if (name, TLSA) in estate.sets]
    assert len(moved) > 10
    outcomes = set()
    for name in NAMES:
        question = Question(name, TLSA)
        truth = estate.true_answer(question)
        for rrset in moved:
            if rrset.key == name or not is_below(name, rrset.signatures[0].signer):
                continue

            def shows(estate: Estate, question: Question, asked: Question, shown: RRset = rrset) -> Response | None:
                if asked != question:
                    return None
                return lie({(asked.key, shown.rdtype): at_name(shown, asked.key)}, estate.denials)

            told = estate.judge(question, shows)
            not_better_than_true(truth, told, (question, rrset))
            outcomes.add((told.security, told.outcome, told.wildcard))
    assert (Security.BOGUS, Outcome.FAILED, False) in outcomes
    assert any(security is not Security.BOGUS and wildcard for security, _, wildcard in outcomes)
