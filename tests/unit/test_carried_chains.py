"""Evidence that clients carry: off unless allowed, after possession and permit, within a budget, never remembered."""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import dns.name
import dns.rdatatype
import pytest

from dnsbound import limits
from dnsbound.credential.credential import Credential
from dnsbound.dns.anchors import TrustAnchors
from dnsbound.dns.answer import Answer, Outcome, Provenance, Security
from dnsbound.dns.cache import EvidenceCache
from dnsbound.dns.chain import AuthenticationChain
from dnsbound.dns.chain_judging import ChainLimits, judge_chain
from dnsbound.dns.policy import Policy
from dnsbound.edge.authenticator import Authenticator
from dnsbound.edge.latest_time import LatestTime
from dnsbound.errors import Malformed, Misuse, Reason, Refused, Undecided
from dnsbound.limits import CARRIED_OCTETS, CARRIED_SECONDS
from dnsbound.testing import World
from dnsbound.testing.zones import ZonePlan, ZoneTree
from dnsbound.verify.access import AccessList, AccessSource
from dnsbound.verify.carried import CarriedChains
from dnsbound.verify.claim import ABSENT, Claim
from dnsbound.verify.decision import Decision, Verdict
from dnsbound.verify.engine import Verifier
from dnsbound.verify.lookup_budget import LookupBudget
from dnsbound.verify.peer import VerifiedPeer
from dnsbound.verify.sessions import Action, Sessions
from unit.claims import CREDENTIAL, DOOR, NAME, NOW, Records, answer, claim

TTL = 300
HOUR = 3600
OWNER = dns.name.from_text(NAME)
ACCESS = AccessList.allowing(DOOR, [NAME, "*._device.trucks.example"])
WORLD = World(clock=lambda: NOW)
WORLD.organisation("cars.example").publish(NAME, CREDENTIAL.tlsa(), ttl=TTL)
CHAIN = WORLD.chain(NAME)
ALLOWED = CarriedChains(["*._device.cars.example", NAME], anchors=WORLD.anchors)
FIRST = CarriedChains([NAME], anchors=WORLD.anchors, before_asking=True)
FAILED = answer(NAME, security=Security.INDETERMINATE, outcome=Outcome.FAILED, detail="nobody answers")
STRANGER = Credential.generate(NAME, now=NOW)

Ask = Callable[..., VerifiedPeer]


def carrying(chain: bytes | None = CHAIN.octets, **fields: Any) -> Claim:
    return claim(carried_chain=chain, **fields)


def asynchronously(authenticator: Authenticator, made: Claim, **options: bool) -> VerifiedPeer:
    return asyncio.run(authenticator.authenticate(made, **options))


def blocking(authenticator: Authenticator, made: Claim, **options: bool) -> VerifiedPeer:
    return authenticator.authenticate_blocking(made, **options)


@pytest.fixture(params=[asynchronously, blocking], ids=["asyncio", "blocking"])
def ask(request: pytest.FixtureRequest) -> Ask:
    return request.param  # type: ignore[no-any-return]


def door(resolver: Records | None, *, now: float = NOW, **options: Any) -> tuple[Authenticator, list[Decision]]:
    seen: list[Decision] = []
    options = {"carried_chains": ALLOWED, "danger_any_clock": resolver is None} | options
    made = Authenticator(ACCESS, resolver, door=DOOR, clock=lambda: now, on_decision=seen.append, **options)
    return made, seen


def offline(access: AccessSource, now: float, chains: CarriedChains) -> Authenticator:
    return Authenticator(access, None, door=DOOR, clock=lambda: now, carried_chains=chains, danger_any_clock=True)


def refused(ask: Ask, authenticator: Authenticator, made: Claim, **options: bool) -> Reason:
    with pytest.raises((Refused, Undecided)) as caught:
        ask(authenticator, made, **options)
    return caught.value.reason


def test_a_chain_admits_without_any_lookup(ask: Ask) -> None:
    resolver = Records()
    authenticator, seen = door(resolver, carried_chains=FIRST)
    peer = ask(authenticator, carrying())
    assert (peer.record, peer.provenance) == (CREDENTIAL.tlsa(), Provenance.CARRIED)
    assert resolver.asked == []
    [decision] = seen
    assert (decision.verdict, decision.provenance) == (Verdict.ADMITTED, "carried")


def test_a_door_without_a_resolver_admits_by_the_anchor_and_a_clock(ask: Ask) -> None:
    authenticator, seen = door(None)
    assert ask(authenticator, carrying()).provenance is Provenance.CARRIED
    assert refused(ask, authenticator, claim()) is Reason.DNS_FAILED
    assert [decision.verdict for decision in seen] == [Verdict.ADMITTED, Verdict.UNDECIDED]


def test_without_a_resolver_and_without_carried_chains_there_is_no_door() -> None:
    with pytest.raises(Misuse):
        Authenticator(ACCESS, None, door=DOOR, danger_any_clock=True)


def test_without_a_resolver_the_clock_is_guarded(tmp_path: Path) -> None:
    with pytest.raises(Misuse, match="danger_any_clock"):
        Authenticator(ACCESS, None, door=DOOR, carried_chains=ALLOWED)
    latest = LatestTime(tmp_path / "time")
    guarded = Authenticator(ACCESS, None, door=DOOR, carried_chains=ALLOWED, latest_time=latest, clock=lambda: NOW)
    assert blocking(guarded, carrying()).provenance is Provenance.CARRIED
    assert latest.moment == NOW


def test_off_unless_the_door_takes_chains(ask: Ask) -> None:
    """The chain is not even read, and the DNS is asked as if there were none."""
    resolver = Records(answer(NAME, STRANGER.tlsa()))
    authenticator, _ = door(resolver, carried_chains=None)
    assert refused(ask, authenticator, carrying()) is Reason.TLSA_MISMATCH
    assert refused(ask, authenticator, carrying(b"garbage")) is Reason.TLSA_MISMATCH
    assert resolver.asked == [(NAME, False), (NAME, False)]


def test_off_for_names_that_are_not_listed(ask: Ask) -> None:
    resolver = Records(answer(NAME, CREDENTIAL.tlsa()))
    others = CarriedChains(["*._device.trucks.example"], anchors=WORLD.anchors)
    authenticator, _ = door(resolver, carried_chains=others)
    assert ask(authenticator, carrying()).provenance is Provenance.RESOLVED
    assert refused(ask, door(None, carried_chains=others)[0], carrying()) is Reason.DNS_FAILED


def test_names_are_those_of_an_access_list() -> None:
    with pytest.raises(Malformed):
        CarriedChains(["no_dots"])
    with pytest.raises(Malformed):
        CarriedChains(["**"])
    assert not CarriedChains([]).accepts(claim().name)
    assert not CarriedChains(["*.cars.example"]).accepts(claim().name)


class Untouched(CarriedChains):
    """A policy that must not be asked to judge."""

    __slots__ = ()

    def judge(self, octets: bytes, owner: dns.name.Name, *, now: float) -> Answer:
        raise AssertionError("judged before possession and permit")


@pytest.mark.parametrize(
    ("made", "reason"),
    [
        (carrying(possession=ABSENT), Reason.NO_POSSESSION),
        (carrying(presented=replace(CREDENTIAL.presented, chain=(), raw_public_key=None)), Reason.NO_CREDENTIAL),
        (carrying(name="car55._device.cars.example"), Reason.NOT_PERMITTED),
    ],
)
def test_possession_and_permit_come_before_the_chain_is_read(ask: Ask, made: Claim, reason: Reason) -> None:
    policy = Untouched(["*._device.cars.example"], anchors=WORLD.anchors)
    assert refused(ask, door(None, carried_chains=policy)[0], made) is reason


@pytest.mark.parametrize("octets", [b"", b"\x00", CHAIN.octets[:-1], b"\xff" * 100, b"\x00\x00" + CHAIN.octets])
def test_octets_that_are_no_chain_are_refused_and_nobody_is_asked(ask: Ask, octets: bytes) -> None:
    for resolver in (Records(answer(NAME, CREDENTIAL.tlsa())), None):
        authenticator, _ = door(resolver, carried_chains=FIRST)
        assert refused(ask, authenticator, carrying(octets)) is Reason.BAD_CHAIN
        assert resolver is None or resolver.asked == []


def without_leaf() -> bytes:
    kept = [one for one in CHAIN.chain.records if one[0] != OWNER]
    return AuthenticationChain(tuple(kept)).to_wire()


def with_another_record() -> bytes:
    records = [
        (name, ttl, dns.rdata.from_text("IN", "TLSA", STRANGER.tlsa().to_text()) if rdata.rdtype == 52 else rdata)
        for name, ttl, rdata in CHAIN.chain.records
    ]
    return AuthenticationChain(tuple(records)).to_wire()


OTHER_WORLD = World(clock=lambda: NOW)
OTHER_WORLD.organisation("cars.example").publish(NAME, CREDENTIAL.tlsa())


@pytest.mark.parametrize(
    ("octets", "now"),
    [
        (without_leaf(), NOW),
        (with_another_record(), NOW),
        (OTHER_WORLD.chain(NAME).octets, NOW),
        (CHAIN.octets, NOW + 2 * HOUR),
        (CHAIN.octets, NOW - 2 * HOUR),
    ],
    ids=["incomplete", "forged", "another root", "expired", "not yet valid"],
)
def test_a_chain_that_shows_nothing_is_undecided_and_leaves_the_dns_to_say(ask: Ask, octets: bytes, now: float) -> None:
    """docs/decisions/0004: bogus tells nothing of what the owner wants."""
    assert refused(ask, door(None, now=now)[0], carrying(octets)) is Reason.BOGUS
    known = answer(NAME, CREDENTIAL.tlsa(), validated_at=now, earliest_expiry=now + HOUR)
    resolver = Records(known)
    assert ask(door(resolver, now=now, carried_chains=FIRST)[0], carrying(octets)).provenance is Provenance.RESOLVED
    assert resolver.asked == [(NAME, False)]


def test_a_carried_denial_is_a_no(ask: Ask) -> None:
    world = World(clock=lambda: NOW)
    world.organisation("cars.example")
    allowed = CarriedChains([NAME], anchors=world.anchors, before_asking=True)
    denial = world.chain(NAME).octets
    for resolver in (Records(answer(NAME, CREDENTIAL.tlsa())), None):
        authenticator, _ = door(resolver, carried_chains=allowed)
        assert refused(ask, authenticator, carrying(denial)) is Reason.NO_TLSA


def test_a_carried_proof_of_an_unsigned_zone_is_a_no(ask: Ask) -> None:
    world = World(clock=lambda: NOW)
    world.organisation("cars.example", signed=False).publish(NAME, CREDENTIAL.tlsa())
    allowed = CarriedChains([NAME], anchors=world.anchors)
    chain = world.chain(NAME)
    assert chain.answer.security is Security.INSECURE
    assert refused(ask, door(None, carried_chains=allowed)[0], carrying(chain.octets)) is Reason.INSECURE


def test_another_key_than_the_chains_is_refused(ask: Ask) -> None:
    assert refused(ask, door(None)[0], carrying(presented=STRANGER.presented)) is Reason.TLSA_MISMATCH


# A door with a resolver asks first, unless it is told otherwise.


def test_the_dns_is_asked_first(ask: Ask) -> None:
    """While it answers, chains are not even read."""
    for given, carried in ((answer(NAME, CREDENTIAL.tlsa()), b"garbage"), (answer(NAME), CHAIN.octets)):
        resolver = Records(given)
        authenticator, seen = door(resolver)
        if given.records:
            assert ask(authenticator, carrying(carried)).provenance is Provenance.RESOLVED
        else:
            assert refused(ask, authenticator, carrying(carried)) is Reason.NO_TLSA
        assert resolver.asked == [(NAME, False)]
        assert len(seen) == 1


@pytest.mark.parametrize(
    "silence",
    [
        FAILED,
        answer(NAME, security=Security.BOGUS, outcome=Outcome.FAILED, detail="forged"),
        answer(NAME, security=Security.INDETERMINATE, outcome=Outcome.NODATA, detail="no anchor"),
        answer(NAME, security=Security.INDETERMINATE, outcome=Outcome.FAILED, limit="signature-checks"),
    ],
    ids=["no answer", "bogus", "no anchor", "too costly"],
)
def test_where_the_dns_cannot_say_the_chain_does(ask: Ask, silence: Answer) -> None:
    authenticator, seen = door(Records(silence))
    peer = ask(authenticator, carrying())
    assert (peer.provenance, peer.renew_at) == (Provenance.CARRIED, NOW + TTL)
    [decision] = seen
    assert (decision.verdict, decision.provenance) == (Verdict.ADMITTED, "carried")


def test_where_neither_can_say_the_dns_is_blamed(ask: Ask) -> None:
    authenticator, seen = door(Records(FAILED), now=NOW)
    assert refused(ask, authenticator, carrying(without_leaf())) is Reason.DNS_FAILED
    assert refused(ask, authenticator, claim()) is Reason.DNS_FAILED
    assert refused(ask, authenticator, carrying(b"garbage")) is Reason.BAD_CHAIN
    assert len(seen) == 3


def test_a_lookup_that_said_nothing_stays_paid_for(ask: Ask) -> None:
    name = "truck1._device.trucks.example"
    world = World(clock=lambda: NOW)
    world.organisation("trucks.example").publish(name, CREDENTIAL.tlsa())
    allowed = CarriedChains([name], anchors=world.anchors)
    resolver = Records(answer(name, security=Security.INDETERMINATE, outcome=Outcome.FAILED))
    authenticator, _ = door(resolver, carried_chains=allowed, lookups=LookupBudget(per_source=2))
    made = carrying(world.chain(name).octets, name=name)
    assert [ask(authenticator, made).provenance for _ in range(2)] == [Provenance.CARRIED] * 2
    assert refused(ask, authenticator, made) is Reason.LOOKUP_BUDGET


# What we know ourselves counts first.


def known_here(*records: Any, **fields: Any) -> Records:
    resolver = Records()
    resolver.at_hand[OWNER] = answer(NAME, *records, **fields)
    return resolver


def test_a_secure_denial_known_here_wins(ask: Ask) -> None:
    resolver = known_here()
    assert refused(ask, door(resolver)[0], carrying()) is Reason.NO_TLSA
    assert resolver.asked == []


def test_other_records_known_here_win(ask: Ask) -> None:
    assert refused(ask, door(known_here(STRANGER.tlsa()))[0], carrying()) is Reason.TLSA_MISMATCH


def test_the_same_records_known_here_are_not_carried_ones(ask: Ask) -> None:
    peer = ask(door(known_here(CREDENTIAL.tlsa()))[0], carrying(b"not even read"))
    assert peer.provenance is Provenance.RESOLVED


def test_nothing_of_a_chain_enters_the_cache(ask: Ask) -> None:
    with World(clock=lambda: NOW) as world:
        world.organisation("cars.example").publish(NAME, CREDENTIAL.tlsa(), ttl=TTL)
        cache = EvidenceCache()
        resolver = world.resolver(cache=cache)
        allowed = CarriedChains([NAME], anchors=world.anchors, before_asking=True)
        authenticator = Authenticator(ACCESS, resolver, door=DOOR, clock=lambda: NOW, carried_chains=allowed)
        before = len(world.queries)
        assert ask(authenticator, carrying(world.chain(NAME).octets)).provenance is Provenance.CARRIED
        assert len(cache) == 0
        assert len(world.queries) == before
        # The next connection, without a chain, finds nothing of it: the DNS is asked.
        assert ask(authenticator, claim()).provenance is Provenance.RESOLVED
        assert world.queries_for(NAME)


# The budget.


@pytest.mark.parametrize(
    ("limit", "needed"),
    [("octets", len(CHAIN.octets)), ("records", len(CHAIN.chain.records)), ("signature_checks", 10)],
)
def test_a_chain_above_the_budget_is_undecided(ask: Ask, limit: str, needed: int) -> None:
    name = "car1.a.b.cars.example" if limit == "signature_checks" else NAME
    world = World(clock=lambda: NOW)
    world.organisation("cars.example").delegate("b").delegate("a").publish("car1", CREDENTIAL.tlsa())
    chain = world.chain(name).octets if name != NAME else CHAIN.octets
    anchors = world.anchors if name != NAME else WORLD.anchors
    access = AccessList.allowing(DOOR, [name])
    for spent, enough in ((needed, True), (needed - 1, False)):
        allowed = CarriedChains([name], anchors=anchors, spend=ChainLimits(**{limit: spent}))
        authenticator = offline(access, NOW, allowed)
        made = carrying(chain, name=name)
        if enough:
            assert ask(authenticator, made).provenance is Provenance.CARRIED
        else:
            assert refused(ask, authenticator, made) is Reason.WORK_BUDGET


def test_limits_are_checked_when_they_are_set() -> None:
    with pytest.raises(Misuse):
        ChainLimits(octets=CARRIED_OCTETS.maximum + 1)
    with pytest.raises(Misuse):
        CarriedChains([NAME], max_age=CARRIED_SECONDS.maximum + 1)


def test_a_lookup_budget_is_not_spent_on_chains(ask: Ask) -> None:
    name = "truck1._device.trucks.example"
    credential = Credential.generate(name, now=NOW)
    world = World(clock=lambda: NOW)
    world.organisation("trucks.example").publish(name, credential.tlsa())
    chain = world.chain(name).octets
    allowed = CarriedChains([name], anchors=world.anchors, before_asking=True)
    authenticator, _ = door(Records(), carried_chains=allowed)
    made = carrying(chain, name=name, presented=credential.presented)
    for _ in range(100):
        assert authenticator.authenticate_at_hand(made) is not None


# Age and end.


def test_the_end_is_the_first_signature_whatever_the_ttl(ask: Ask) -> None:
    peer = ask(door(None)[0], carrying())
    assert TTL < HOUR
    assert CHAIN.answer.earliest_expiry is not None
    assert peer.valid_until == peer.renew_at == peer.signatures_expire == CHAIN.answer.earliest_expiry
    assert peer.valid_until > NOW + TTL


def test_where_the_dns_can_be_asked_the_ttl_says_when(ask: Ask) -> None:
    peer = ask(door(Records(), carried_chains=FIRST)[0], carrying())
    assert peer.renew_at == NOW + TTL
    assert peer.valid_until == CHAIN.answer.earliest_expiry


def test_the_end_is_the_maximum_age_where_that_is_sooner(ask: Ask) -> None:
    signed_at = CHAIN.answer.signed_at
    assert signed_at is not None
    allowed = CarriedChains([NAME], anchors=WORLD.anchors, max_age=900)
    assert ask(door(None, carried_chains=allowed)[0], carrying()).valid_until == signed_at + 900
    late, _ = door(None, carried_chains=allowed, now=signed_at + 900)
    assert ask(late, carrying()).valid_until == signed_at + 900
    too_late, _ = door(None, carried_chains=allowed, now=signed_at + 901)
    assert refused(ask, too_late, carrying()) is Reason.EVIDENCE_TOO_OLD


class Estate:
    """A zone whose every set can be signed at a moment of its own, by the same keys."""

    def __init__(self, records: str) -> None:
        plans = [ZonePlan.of("."), ZonePlan.of("example."), ZonePlan.of("cars.example.", records=records)]
        self.tree = ZoneTree.build(plans, now=NOW)
        self.zone = self.tree.zone("cars.example.")

    def sign(self, owner: str, rdtype: str, *began: float) -> None:
        at = dns.name.from_text(owner), dns.rdatatype.from_text(rdtype)
        self.zone.signatures[at] = [
            signature
            for begin in began
            for signature in self.zone.signatures_over(
                self.zone.rrsets[at],
                window=replace(self.zone.window, inception=int(begin), expiration=int(NOW + HOUR)),
            )
        ]

    def chain(self) -> AuthenticationChain:
        """All there is, as a hostile client would arrange it."""
        records = [
            (rrset.name, rrset.ttl, rdata)
            for zone in self.tree.zones
            for at, rrset in zone.rrsets.items()
            for rdata in [*rrset, *zone.signatures.get(at, [])]
        ]
        return AuthenticationChain(tuple(records))

    def judged(self, chain: AuthenticationChain) -> Answer:
        anchors = TrustAnchors.from_text(self.tree.anchors())
        return judge_chain(chain.to_wire(), OWNER, dns.rdatatype.TLSA, anchors=anchors, now=NOW)

    def signed_at(self) -> float | None:
        judged = self.judged(self.chain())
        assert judged.security is Security.SECURE, judged.detail
        return judged.signed_at


TLSA_TEXT = CREDENTIAL.tlsa().to_text()


def test_age_counts_from_the_youngest_signature_over_the_records() -> None:
    estate = Estate(f"car54._device TLSA {TLSA_TEXT}\n")
    estate.sign(NAME, "TLSA", NOW - 500, NOW - 100, NOW - 300)
    assert estate.signed_at() == NOW - 100


def test_younger_zone_keys_make_no_old_record_young() -> None:
    estate = Estate(f"car54._device TLSA {TLSA_TEXT}\n")
    estate.sign(NAME, "TLSA", NOW - 500)
    estate.sign("cars.example", "DNSKEY", NOW - 1)
    assert estate.signed_at() == NOW - 500


def test_a_young_alias_makes_no_old_record_young() -> None:
    estate = Estate(f"car54._device CNAME kept\nkept TLSA {TLSA_TEXT}\n")
    estate.sign(NAME, "CNAME", NOW - 1)
    estate.sign("kept.cars.example", "TLSA", NOW - 500)
    assert estate.signed_at() == NOW - 500
    estate.sign(NAME, "CNAME", NOW - 900)
    assert estate.signed_at() == NOW - 900


def test_an_old_denial_under_a_wildcard_counts_too() -> None:
    """A name that got a record of its own since then is not the wildcard's any more."""
    wildcard = "*._device.cars.example"
    estate = Estate(f"*._device TLSA {TLSA_TEXT.replace('3', '2', 1)}\n")
    for owner, rdtype in estate.zone.signatures:
        estate.sign(owner.to_text(), dns.rdatatype.to_text(rdtype), NOW - 1)
    estate.sign(wildcard, "NSEC", NOW - 700)
    records = []
    for name, ttl, rdata in estate.chain().records:
        expanded = name == dns.name.from_text(wildcard) and dns.rdatatype.TLSA in (rdata.rdtype, rdata.covers())
        records.append((OWNER if expanded else name, ttl, rdata))
    judged = estate.judged(AuthenticationChain(tuple(records)))
    assert (judged.security, judged.wildcard) == (Security.SECURE, True), judged.detail
    assert judged.signed_at == NOW - 700


# Live sessions.


def test_a_live_session_is_asked_about_by_the_dns_where_there_is_one(ask: Ask) -> None:
    resolver = Records(answer(NAME))
    authenticator, seen = door(resolver, carried_chains=FIRST)
    peer = ask(authenticator, carrying())
    session = authenticator.sessions.register(peer, carrying(), None, now=NOW)
    assert session.planned < NOW + TTL
    assert refused(ask, authenticator, session.claim, again=True) is Reason.NO_TLSA
    assert resolver.asked == [(NAME, True)]
    assert authenticator.sessions.settle(session, Refused(Reason.NO_TLSA), now=NOW + 1) is Action.CUT
    assert [decision.again for decision in seen] == [False, True]


def test_a_dead_resolver_keeps_a_session_until_the_chain_ends(ask: Ask) -> None:
    authenticator, _ = door(Records(FAILED))
    peer = ask(authenticator, carrying())
    session = authenticator.sessions.register(peer, carrying(), None, now=NOW)
    undecided = Undecided(refused(ask, authenticator, session.claim, again=True))
    assert undecided.reason is Reason.DNS_FAILED
    assert authenticator.sessions.settle(session, undecided, now=NOW + TTL + 60) is Action.KEEP
    assert authenticator.sessions.settle(session, undecided, now=peer.valid_until) is Action.CUT


def test_without_a_resolver_a_session_ends_with_its_chain(ask: Ask) -> None:
    now = [NOW]
    authenticator = Authenticator(
        ACCESS, None, door=DOOR, clock=lambda: now[0], carried_chains=ALLOWED, danger_any_clock=True
    )
    peer = ask(authenticator, carrying())
    session = authenticator.sessions.register(peer, carrying(), None, now=NOW)
    assert session.planned > NOW + TTL
    now[0] = peer.valid_until
    again = ask(authenticator, session.claim, again=True)
    assert again.valid_until == peer.valid_until
    now[0] = peer.valid_until + 1
    assert refused(ask, authenticator, session.claim, again=True) is Reason.BOGUS
    assert authenticator.sessions.settle(session, Undecided(Reason.BOGUS), now=now[0]) is Action.CUT


def test_a_chain_is_kept_only_where_it_is_judged_again(ask: Ask) -> None:
    for resolver, kept in ((None, CHAIN.octets), (Records(), None)):
        authenticator, _ = door(resolver, carried_chains=FIRST)
        peer = ask(authenticator, carrying())
        assert authenticator.sessions.register(peer, carrying(), None, now=NOW).claim.carried_chain == kept


def test_a_changed_access_list_reaches_sessions_of_a_door_without_a_resolver(ask: Ask) -> None:
    class Changing:
        access = ACCESS

        def current(self) -> AccessList:
            return self.access

    source = Changing()
    authenticator = offline(source, NOW, ALLOWED)
    peer = ask(authenticator, carrying())
    authenticator.sessions.register(peer, carrying(), None, now=NOW)
    source.access = AccessList.allowing(DOOR, ["someone.else.example"])
    [session] = authenticator.sessions.due(now=NOW + 1, generation=authenticator.access_generation)
    assert refused(ask, authenticator, session.claim, again=True) is Reason.NOT_PERMITTED


def test_grace_does_not_outlive_the_signatures() -> None:
    authenticator, _ = door(None, grace=1_000_000.0)
    peer = blocking(authenticator, carrying())
    sessions = Sessions(grace=1_000_000.0)
    assert sessions.ends_at(sessions.register(peer, carrying(), None, now=NOW)) == CHAIN.answer.earliest_expiry


# The engine itself.


def test_the_engine_judges_only_what_the_door_takes() -> None:
    with pytest.raises(Misuse):
        Verifier(ACCESS, door=DOOR).begin(carrying(), now=NOW).judge_carried(now=NOW)
    with pytest.raises(Misuse):
        Verifier(ACCESS, door=DOOR, carried=ALLOWED).begin(claim(), now=NOW).judge_carried(now=NOW)


def test_the_maximum_age_holds_for_carried_answers_judged_by_others() -> None:
    policy = CarriedChains([NAME], anchors=WORLD.anchors, max_age=60)
    need = Verifier(ACCESS, door=DOOR, carried=policy).begin(carrying(), now=NOW)
    old = answer(NAME, CREDENTIAL.tlsa(), provenance=Provenance.CARRIED, signed_at=NOW - 61)
    with pytest.raises(Undecided) as caught:
        need.answer(old, now=NOW)
    assert caught.value.reason is Reason.EVIDENCE_TOO_OLD


def test_the_validators_policy_is_the_doors(ask: Ask) -> None:
    lenient = CarriedChains([NAME], anchors=WORLD.anchors, policy=Policy(clock_skew=2 * HOUR))
    late = NOW + HOUR + 60
    assert ask(door(None, carried_chains=lenient, now=late)[0], carrying()).provenance is Provenance.CARRIED


# What other builders of chains leave out.


def test_no_denial_is_needed_where_no_zone_begins() -> None:
    """RFC 9102 section 2.3 asks for the DS and DNSKEY sets of each zone. Ours hold more, for validators that walk."""
    world = World(clock=lambda: NOW)
    world.organisation("cars.example").delegate("site.west").publish("car1", CREDENTIAL.tlsa())
    name = dns.name.from_text("car1.site.west.cars.example")
    chain = world.chain(name.to_text()).chain
    fewer = tuple(one for one in chain.records if dns.rdatatype.NSEC not in (one[2].rdtype, one[2].covers()))
    assert len(fewer) == len(chain.records) - 2
    for records, every_cut, expected in (
        (chain.records, True, Security.SECURE),
        (fewer, False, Security.SECURE),
        (fewer, True, Security.BOGUS),
    ):
        judged = AuthenticationChain(records).validate(
            name, dns.rdatatype.TLSA, anchors=world.anchors, now=NOW, every_cut=every_cut
        )
        assert judged.security is expected


def test_a_delegation_further_down_is_no_way_around_a_zone_between() -> None:
    """The zone between has keys of its own: what the zone above it signs does not stand in for them."""
    world = World(clock=lambda: NOW)
    cars = world.organisation("cars.example")
    west = cars.delegate("west")
    west.delegate("site").publish("car1", CREDENTIAL.tlsa())
    name = dns.name.from_text("car1.site.west.cars.example")
    chain = world.chain(name.to_text()).chain
    between = dns.name.from_text("west.cars.example")
    kept = [one for one in chain.records if one[0] != between]
    judged = judge_chain(
        AuthenticationChain(tuple(kept)).to_wire(), name, dns.rdatatype.TLSA, anchors=world.anchors, now=NOW
    )
    assert judged.security is Security.BOGUS


def test_the_page_about_chains_has_the_numbers_of_the_code() -> None:
    page = " ".join((Path(__file__).parents[2] / "docs" / "howto" / "chains.md").read_text().split())
    budget = (
        f"{CARRIED_OCTETS.default // 1024} KiB, {limits.CARRIED_RECORDS.default} records, "
        f"{limits.CARRIED_SIGNATURES.default} signature checks"
    )
    assert budget in page
    assert CARRIED_SECONDS.default == 7 * 86_400
    assert "a week unless told otherwise" in page
    assert limits.SIGNATURE_SECONDS.default == HOUR
    assert limits.SIGNATURE_SECONDS.maximum == 86_400
