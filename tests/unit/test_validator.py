"""The validator as a machine: what it asks, in which order replies may come, what it concludes and remembers."""

import random
from collections.abc import Callable
from dataclasses import replace

import dns.name
import dns.rcode
import dns.rdatatype
import pytest

from dnsbound.dns.anchors import TrustAnchors
from dnsbound.dns.answer import Answer, Outcome, Security
from dnsbound.dns.cache import EvidenceCache
from dnsbound.dns.canonical import name_of
from dnsbound.dns.messages import Failure, Query, Question, Reply, Response
from dnsbound.dns.policy import Policy
from dnsbound.dns.validator import Validation, validate
from dnsbound.errors import Misuse
from dnsbound.testing.zone_answers import ZoneAnswers
from dnsbound.testing.zone_signing import Window
from dnsbound.testing.zones import ZonePlan, ZoneTree

NOW = 1_800_000_000
TLSA = dns.rdatatype.TLSA
CAR = "car54._device.cars.example."
RECORD = "3 1 1 " + "ab" * 32
SOURCE = "the resolver at 192.0.2.1"

PLANS = [
    ZonePlan.of("."),
    ZonePlan.of("example."),
    ZonePlan.of(
        "cars.example.",
        records=(
            f"car54._device TLSA {RECORD}\nalias CNAME car54._device\naway CNAME x.plain.example.\n"
            "loop CNAME pool\npool CNAME loop\nold DNAME _device\n"
            + "\n".join(f"c{n} CNAME c{n + 1}" for n in range(20))
            + f"\n*.wild TLSA {RECORD}\n"
        ),
    ),
    ZonePlan.of("plain.example.", keys=(), records=f"x TLSA {RECORD}\nback CNAME any.wild.cars.example.\n"),
    ZonePlan.of("expanded.example.", records="* DS 1 13 2 " + "ab" * 32 + "\n"),
    ZonePlan.of("deep.cars.example.", records=f"car1._device TLSA {RECORD}\n"),
]
TREE = ZoneTree.build(PLANS, now=NOW)
ANCHORS = TrustAnchors.from_text(TREE.anchors())
ANSWERS = ZoneAnswers(TREE.zones, recursive=True)


def look_up(question: Question) -> Response:
    wire = ANSWERS.respond_wire(Query(7, name_of(question.key), question.rdtype).to_wire(), udp=False)
    assert wire is not None
    return Response.from_wire(wire, source=SOURCE)


def begin(name: str = CAR, rdtype: str = "TLSA", **options: object) -> Validation:
    arguments: dict[str, object] = {"anchors": ANCHORS, "now": NOW} | options
    return Validation(dns.name.from_text(name), dns.rdatatype.from_text(rdtype), **arguments)  # type: ignore[arg-type]


def judged(
    name: str = CAR, rdtype: str = "TLSA", ask: Callable[[Question], Reply] = look_up, **options: object
) -> Answer:
    return validate(begin(name, rdtype, **options), ask)


def shown(question: Question) -> str:
    return f"{name_of(question.key)} {dns.rdatatype.to_text(question.rdtype)}"


def test_secure_records_and_all_their_evidence() -> None:
    answer = judged()
    assert (answer.security, answer.outcome) == (Security.SECURE, Outcome.RECORDS)
    assert [record.to_text() for record in answer.records] == [RECORD]
    assert answer.zone == dns.name.from_text("cars.example.")
    assert (answer.owner, answer.aliases, answer.wildcard, answer.detail, answer.limit) == (None, (), False, "", "")
    assert answer.ttl == 3600
    assert answer.validated_at == NOW
    assert answer.earliest_expiry is not None
    assert NOW < answer.valid_until <= answer.earliest_expiry
    assert [(step.owner, step.subject) for step in answer.steps] == [
        (".", "trust anchor"),
        (".", "DNSKEY"),
        ("example.", "DS"),
        ("example.", "DNSKEY"),
        ("cars.example.", "DS"),
        ("cars.example.", "DNSKEY"),
        (CAR, "TLSA"),
    ]
    assert {step.security for step in answer.steps} == {Security.SECURE}


def test_questions_come_in_two_rounds_from_cold() -> None:
    validation = begin()
    first = validation.questions()
    assert [shown(question) for question in first] == [f"{CAR} TLSA", ". DNSKEY"]
    assert validation.questions() == ()
    for question in first:
        validation.feed(question, look_up(question))
    second = validation.questions()
    assert {shown(question) for question in second} == {
        "example. DS",
        "example. DNSKEY",
        "cars.example. DS",
        "cars.example. DNSKEY",
    }
    for question in second:
        validation.feed(question, look_up(question))
    assert validation.questions() == ()
    assert validation.answer is not None
    assert validation.answer.security is Security.SECURE


def test_warm_zone_costs_one_question_and_one_signature() -> None:
    store = EvidenceCache()
    judged(store=store)
    validation = begin(store=store, policy=Policy(signature_checks=8))
    [question] = validation.questions()
    validation.feed(question, look_up(question))
    assert validation.answer is not None
    assert validation.answer.security is Security.SECURE
    assert validation.answer.steps == judged().steps
    assert validation._work.signatures.left == 7


def test_zone_states_end() -> None:
    store = EvidenceCache()
    judged(store=store)
    assert len(begin(store=store, now=NOW + 3599).questions()) == 1
    assert len(begin(store=store, now=NOW + 3600).questions()) == 2
    assert len(begin(store=store, now=NOW - 1).questions()) == 2


def test_zone_states_are_of_one_set_of_anchors() -> None:
    """What hangs from one anchor must not vouch for a name under another."""
    store = EvidenceCache()
    judged(store=store)
    for options in ({"anchors": TrustAnchors.root()}, {"policy": Policy(danger_sha1=True)}):
        with pytest.raises(Misuse):
            begin(store=store, **options)


@pytest.mark.parametrize("seed", range(8))
def test_order_of_replies_does_not_matter(seed: int) -> None:
    order = random.Random(seed)
    validation = begin("alias.cars.example.")
    waiting: list[Question] = []
    while validation.answer is None:
        waiting += validation.questions()
        order.shuffle(waiting)
        question = waiting.pop()
        validation.feed(question, look_up(question))
    assert validation.answer.security is Security.SECURE
    assert validation.answer == judged("alias.cars.example.")


def test_late_and_repeated_replies_change_nothing() -> None:
    validation = begin()
    asked: list[Question] = []
    while validation.answer is None:
        for question in validation.questions():
            asked.append(question)
            validation.feed(question, look_up(question))
            validation.feed(question, Failure("a second opinion"))
    answer = validation.answer
    for question in asked:
        validation.feed(question, Failure("too late"))
    assert validation.answer is answer


def test_denials() -> None:
    missing = judged("nobody._device.cars.example.")
    assert (missing.security, missing.outcome) == (Security.SECURE, Outcome.NXDOMAIN)
    assert missing.ttl == 3600
    empty = judged("_device.cars.example.")
    assert (empty.security, empty.outcome) == (Security.SECURE, Outcome.NODATA)
    other = judged(CAR, "A")
    assert (other.security, other.outcome, other.records) == (Security.SECURE, Outcome.NODATA, ())


def test_aliases_are_followed_and_named() -> None:
    answer = judged("alias.cars.example.")
    assert (answer.security, answer.outcome) == (Security.SECURE, Outcome.RECORDS)
    assert answer.aliases == (dns.name.from_text(CAR),)
    assert answer.owner == dns.name.from_text(CAR)
    by_dname = judged("car54.old.cars.example.")
    assert (by_dname.security, by_dname.owner) == (Security.SECURE, dns.name.from_text(CAR))


def test_alias_into_an_unsigned_zone_is_insecure() -> None:
    answer = judged("away.cars.example.")
    assert (answer.security, answer.outcome) == (Security.INSECURE, Outcome.RECORDS)
    assert "plain.example. is delegated without DS" in answer.detail


def test_alias_out_of_an_unsigned_zone_stays_insecure() -> None:
    """Whoever forges the alias chooses the target: a secure one, wildcard proof and all, heals nothing."""
    answer = judged("back.plain.example.")
    assert (answer.security, answer.outcome, answer.wildcard) == (Security.INSECURE, Outcome.RECORDS, True)
    assert "plain.example. is delegated without DS" in answer.detail


def test_delegation_from_a_wildcard_is_none() -> None:
    unsigned = stripped(look_up(Question((b"example", b"cars", b"_device", b"car54"), TLSA)))
    [rrset] = unsigned.answer.values()

    def ask(question: Question) -> Response:
        moved = replace(unsigned, answer={(question.key, TLSA): replace(rrset, key=question.key)})
        return moved if question.rdtype == TLSA else look_up(question)

    answer = judged("car1.below.expanded.example.", ask=ask)
    assert answer.security is Security.BOGUS
    assert "DS set of below.expanded.example. is a wildcard expansion" in answer.detail


def test_earliest_expiry_of_the_whole_chain() -> None:
    tree = ZoneTree.build(PLANS, now=NOW)
    ends = {}
    for owner, origin, rdtype, seconds in (
        (".", ".", "DNSKEY", 900),
        ("example.", ".", "DS", 800),
        ("example.", "example.", "DNSKEY", 700),
        ("cars.example.", "example.", "DS", 600),
        ("cars.example.", "cars.example.", "DNSKEY", 500),
        (CAR, "cars.example.", "TLSA", 400),
    ):
        window = Window(inception=NOW - 100, expiration=NOW + seconds)
        zone = tree.zone(origin)
        before = judged_in(tree).earliest_expiry
        zone.sign_again(dns.name.from_text(owner), dns.rdatatype.from_text(rdtype), window=window)
        ends[owner, rdtype] = judged_in(tree).earliest_expiry
        assert ends[owner, rdtype] == NOW + seconds != before


def judged_in(tree: ZoneTree) -> Answer:
    answers = ZoneAnswers(tree.zones, recursive=True)

    def ask(question: Question) -> Response:
        wire = answers.respond_wire(Query(7, name_of(question.key), question.rdtype).to_wire(), udp=False)
        assert wire is not None
        return Response.from_wire(wire, source=SOURCE)

    answer = judged(ask=ask)
    assert answer.security is Security.SECURE, answer.detail
    return answer


def test_alias_circle_and_alias_chain_end() -> None:
    circle = judged("loop.cars.example.")
    assert (circle.security, circle.outcome) == (Security.INDETERMINATE, Outcome.FAILED)
    assert "circle" in circle.detail
    chain = judged("c0.cars.example.", policy=Policy(aliases=4))
    assert (chain.security, chain.outcome, chain.limit) == (Security.INDETERMINATE, Outcome.FAILED, "aliases")
    assert chain.records == ()


def test_wildcard_is_flagged() -> None:
    answer = judged("car99.wild.cars.example.")
    assert (answer.security, answer.wildcard) == (Security.SECURE, True)
    assert not judged("*.wild.cars.example.").wildcard


def test_unsigned_zone() -> None:
    answer = judged("x.plain.example.")
    assert (answer.security, answer.outcome) == (Security.INSECURE, Outcome.RECORDS)
    denied = judged("y.plain.example.")
    assert (denied.security, denied.outcome) == (Security.INSECURE, Outcome.NXDOMAIN)


def test_no_anchor_is_indeterminate() -> None:
    for anchors in (TrustAnchors.none(), ANCHORS.without("cars.example.")):
        answer = judged(anchors=anchors)
        assert (answer.security, answer.outcome, answer.records) == (Security.INDETERMINATE, Outcome.RECORDS, ())
        assert "no trust anchor" in answer.detail


def test_zone_above_the_closest_anchor_cannot_sign_for_it() -> None:
    """Anchors are bound to names: what a zone above signs counts for nothing where a longer anchor stands."""
    stranger = TrustAnchors.from_text("car54._device.cars.example. DS 1 13 2 " + "00" * 32)
    for name in (CAR, f"x.{CAR}"):
        answer = judged(name, anchors=ANCHORS.with_(stranger))
        assert answer.security is Security.BOGUS, answer.detail
        assert judged(name, anchors=ANCHORS.without(CAR)).security is Security.INDETERMINATE
    assert judged("_device.cars.example.", anchors=ANCHORS.with_(stranger)).security is Security.SECURE
    assert judged(CAR, "DS", anchors=ANCHORS.with_(stranger)).security is Security.SECURE


def test_anchor_below_needs_nothing_above() -> None:
    asked: list[str] = []

    def noting(question: Question) -> Response:
        asked.append(shown(question))
        return look_up(question)

    answer = judged(ask=noting, anchors=TrustAnchors.from_text(TREE.anchors("cars.example.")))
    assert answer.security is Security.SECURE
    assert asked == [f"{CAR} TLSA", "cars.example. DNSKEY"]


def test_ds_question_is_answered_by_the_parent() -> None:
    answer = judged("cars.example.", "DS")
    assert (answer.security, answer.outcome) == (Security.SECURE, Outcome.RECORDS)
    assert answer.zone == dns.name.from_text("example.")
    denied = judged("plain.example.", "DS")
    assert (denied.security, denied.outcome) == (Security.SECURE, Outcome.NODATA)
    root = judged(".", "DS")
    assert (root.security, root.outcome) == (Security.SECURE, Outcome.NODATA)


def stripped(response: Response) -> Response:
    """As a resolver that knows nothing of DNSSEC passes it on."""
    answer = {at: replace(rrset, signatures=[]) for at, rrset in response.answer.items()}
    return replace(response, answer=answer, authority={}, has_signatures=False)


def test_stripped_signatures_name_the_resolver() -> None:
    answer = judged(ask=lambda question: stripped(look_up(question)))
    assert (answer.security, answer.outcome, answer.records) == (Security.BOGUS, Outcome.FAILED, ())
    assert answer.detail.startswith(f"{SOURCE} strips RRSIGs")


def test_stripped_signatures_name_the_resolver_even_when_the_zone_is_warm() -> None:
    store = EvidenceCache()
    judged(store=store)
    for name in (CAR, "nobody._device.cars.example."):
        answer = judged(name, ask=lambda question: stripped(look_up(question)), store=store)
        assert answer.security is Security.BOGUS
        assert answer.detail.startswith(f"{SOURCE} strips RRSIGs")


def test_one_unsigned_set_is_not_blamed_on_the_resolver() -> None:
    def without_tlsa_signatures(question: Question) -> Response:
        response = look_up(question)
        return stripped(response) if question.rdtype == TLSA else response

    answer = judged(ask=without_tlsa_signatures)
    assert answer.security is Security.BOGUS
    assert "no RRSIG over" in answer.detail
    assert "strips" not in answer.detail


def test_forged_denial_of_signed_records() -> None:
    def denies(question: Question) -> Response:
        response = look_up(question)
        return replace(response, answer={}, rcode=dns.rcode.NXDOMAIN) if question.rdtype == TLSA else response

    answer = judged(ask=denies)
    assert (answer.security, answer.outcome) == (Security.BOGUS, Outcome.FAILED)


def test_denial_taken_from_another_name() -> None:
    other = look_up(Question((b"example", b"cars", b"zzz"), TLSA))

    def replays(question: Question) -> Response:
        return other if question.rdtype == TLSA else look_up(question)

    answer = judged(ask=replays)
    assert answer.security is Security.BOGUS
    assert "not proved" in answer.detail


def test_records_moved_to_another_name() -> None:
    def moved(question: Question) -> Response:
        response = look_up(question)
        if question.rdtype != TLSA:
            return response
        [rrset] = look_up(Question((b"example", b"cars", b"_device", b"car54"), TLSA)).answer.values()
        return replace(response, answer={(question.key, TLSA): replace(rrset, key=question.key)})

    assert judged("other._device.cars.example.", ask=moved).security is Security.BOGUS


def test_expired_and_not_yet_valid_name_the_signature() -> None:
    late = judged(now=NOW + 400 * 86_400)
    assert late.security is Security.BOGUS
    assert "expired 20" in late.detail
    early = judged(now=NOW - 400 * 86_400)
    assert early.security is Security.BOGUS
    assert "not valid before 20" in early.detail


@pytest.mark.parametrize("failing", ["TLSA", "DS", "DNSKEY"])
def test_failures_are_never_denials(failing: str) -> None:
    def fails(question: Question) -> Reply:
        if dns.rdatatype.to_text(question.rdtype) == failing:
            return Failure("the resolver at 192.0.2.1: no answer")
        return look_up(question)

    answer = judged(ask=fails)
    assert answer.security is Security.INDETERMINATE
    assert answer.outcome is (Outcome.FAILED if failing == "TLSA" else Outcome.RECORDS)
    assert answer.records == ()
    assert "no answer" in answer.detail


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"rcode": dns.rcode.SERVFAIL}, "SERVFAIL"),
        ({"rcode": dns.rcode.REFUSED, "extended_error": "18 Prohibited"}, "REFUSED (18 Prohibited)"),
        ({"truncated": True}, "truncated"),
        ({"is_referral": True}, "refers to other servers"),
    ],
)
@pytest.mark.parametrize("failing", ["TLSA", "DS", "DNSKEY"])
def test_responses_that_answer_nothing_are_no_denials(change: dict[str, object], word: str, failing: str) -> None:
    def fails(question: Question) -> Reply:
        response = look_up(question)
        if dns.rdatatype.to_text(question.rdtype) == failing:
            return replace(response, answer={}, authority={}, **change)  # type: ignore[arg-type]
        return response

    answer = judged(ask=fails)
    assert answer.security is Security.INDETERMINATE
    assert answer.outcome is (Outcome.FAILED if failing == "TLSA" else Outcome.RECORDS)
    assert word in answer.detail


def test_giving_up_keeps_what_was_shown() -> None:
    validation = begin()
    answer = validation.give_up("no answer within 5 s")
    assert (answer.security, answer.outcome, answer.detail) == (
        Security.INDETERMINATE,
        Outcome.FAILED,
        "no answer within 5 s",
    )
    assert validation.give_up("again") is answer


@pytest.mark.parametrize("policy", [Policy(signature_checks=8), Policy(queries=8), Policy(nsec3_hashes=64)])
def test_smallest_budgets_still_do_for_an_ordinary_name(policy: Policy) -> None:
    assert judged(policy=policy).security is Security.SECURE


def test_query_budget_ends_a_long_walk() -> None:
    answer = judged("x." * 30 + "plain.example.", policy=Policy(queries=8))
    assert (answer.security, answer.limit) == (Security.INSECURE, "")
    deep = judged("a.b.c.d.e.f.g.h.i.j.k." + CAR, policy=Policy(queries=8), ask=unsigned_answer)
    assert (deep.security, deep.limit) == (Security.INDETERMINATE, "dns-queries")


def unsigned_answer(question: Question) -> Response:
    """TLSA answers lose their signatures, so that the walk must go all the way down."""
    response = look_up(question)
    return stripped(response) if question.rdtype == TLSA else response


@pytest.mark.parametrize("rdtype", ["ANY", "RRSIG", "AXFR"])
def test_types_without_validated_answers(rdtype: str) -> None:
    with pytest.raises(Misuse):
        begin(CAR, rdtype)


def test_relative_names_are_misuse() -> None:
    with pytest.raises(Misuse):
        Validation(dns.name.from_text("car54", None), TLSA, anchors=ANCHORS, now=NOW)


def test_a_zone_below_a_zone() -> None:
    answer = judged("car1._device.deep.cars.example.")
    assert answer.security is Security.SECURE
    assert answer.zone == dns.name.from_text("deep.cars.example.")
