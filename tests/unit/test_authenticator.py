"""The authenticator: one question per permitted claim, one report per decision, asynchronous and blocking alike."""

import asyncio
import json
import logging
from collections.abc import Callable
from dataclasses import replace

import dns.name
import pytest
from cryptography import x509

from dnsbound.credential.association import tlsa_for_certificate
from dnsbound.credential.presented import Presented
from dnsbound.dns.answer import Answer, Security
from dnsbound.edge.authenticator import DECISIONS, Authenticator
from dnsbound.errors import DnsboundError, LimitExceeded, Malformed, Misuse, PeerError, Reason, Refused, Undecided
from dnsbound.iana import Selector, Usage
from dnsbound.verify.access import AccessList
from dnsbound.verify.claim import ABSENT, Asserted, Claim
from dnsbound.verify.decision import DETAIL_CHARACTERS, Decision, Verdict
from dnsbound.verify.lookup_budget import LookupBudget
from dnsbound.verify.peer import VerifiedPeer
from unit.claims import CREDENTIAL, DOOR, NAME, NOW, Records, answer, claim
from unit.estates import AUTHORITY, END_ENTITY, Member

ACCESS = AccessList.allowing(DOOR, [NAME])
GOOD = answer(NAME, CREDENTIAL.tlsa())

Ask = Callable[..., VerifiedPeer]


def door(resolver: object, **options: object) -> tuple[Authenticator, list[Decision]]:
    seen: list[Decision] = []
    made = Authenticator(ACCESS, resolver, door=DOOR, clock=lambda: NOW, on_decision=seen.append, **options)  # type: ignore[arg-type]
    return made, seen


def asynchronously(authenticator: Authenticator, made: Claim, **options: bool) -> VerifiedPeer:
    return asyncio.run(authenticator.authenticate(made, **options))


def blocking(authenticator: Authenticator, made: Claim, **options: bool) -> VerifiedPeer:
    return authenticator.authenticate_blocking(made, **options)


@pytest.fixture(params=[asynchronously, blocking], ids=["asyncio", "blocking"])
def ask(request: pytest.FixtureRequest) -> Ask:
    return request.param  # type: ignore[no-any-return]


def test_a_claim_that_holds(ask: Ask) -> None:
    resolver = Records(GOOD)
    authenticator, seen = door(resolver)
    peer = ask(authenticator, claim())
    assert peer.record == CREDENTIAL.tlsa()
    assert resolver.asked == [(NAME, False)]
    [decision] = seen
    assert decision.verdict is Verdict.ADMITTED
    assert (decision.name, decision.door, decision.source, decision.at) == (NAME, DOOR, "192.0.2.7", NOW)
    assert (decision.record, decision.valid_until, decision.reason) == (peer.record.to_text(), peer.valid_until, None)
    assert (decision.possession, decision.provenance, decision.name_source) == (
        "proved by test",
        "resolved",
        "extension",
    )


@pytest.mark.parametrize(
    ("made", "reason"),
    [
        (claim("stranger.example"), Reason.NOT_PERMITTED),
        (claim(possession=ABSENT), Reason.NO_POSSESSION),
    ],
)
def test_what_cannot_hold_is_refused_and_the_dns_is_not_asked(ask: Ask, made: Claim, reason: Reason) -> None:
    resolver = Records()
    authenticator, seen = door(resolver)
    with pytest.raises(Refused) as caught:
        ask(authenticator, made)
    assert caught.value.reason is reason
    assert resolver.asked == []
    assert [(decision.verdict, decision.reason) for decision in seen] == [(Verdict.REFUSED, reason)]


@pytest.mark.parametrize(
    ("given", "verdict", "reason"),
    [
        (answer(NAME), Verdict.REFUSED, Reason.NO_TLSA),
        (answer(NAME, security=Security.BOGUS, detail="forged"), Verdict.UNDECIDED, Reason.BOGUS),
    ],
)
def test_what_the_dns_says_is_reported(ask: Ask, given: Answer, verdict: Verdict, reason: Reason) -> None:
    authenticator, seen = door(Records(given))
    with pytest.raises((Refused, Undecided)) as caught:
        ask(authenticator, claim())
    assert caught.value.reason is reason
    [decision] = seen
    assert (decision.verdict, decision.reason, decision.detail) == (verdict, reason, caught.value.detail)


def test_verdicts_are_never_remembered(ask: Ask) -> None:
    resolver = Records(GOOD)
    authenticator, seen = door(resolver)
    ask(authenticator, claim())
    resolver.answers = {GOOD.name: answer(NAME)}
    with pytest.raises(Refused) as caught:
        ask(authenticator, claim())
    assert caught.value.reason is Reason.NO_TLSA
    resolver.answers = {GOOD.name: GOOD}
    ask(authenticator, claim())
    assert len(resolver.asked) == len(seen) == 3


def test_asking_again_asks_past_the_cache_and_says_so(ask: Ask) -> None:
    resolver = Records(GOOD)
    authenticator, seen = door(resolver)
    ask(authenticator, claim(), again=True)
    assert resolver.asked == [(NAME, True)]
    assert [decision.again for decision in seen] == [True]


class Failing:
    """A resolver that breaks its promise not to raise."""

    def __init__(self, error: DnsboundError) -> None:
        self.error = error

    def cached(self, *question: object) -> None:
        return None

    async def lookup(self, *question: object, **options: object) -> Answer:
        raise self.error

    def lookup_blocking(self, *question: object, **options: object) -> Answer:
        raise self.error


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (LimitExceeded("signature-checks"), Reason.WORK_BUDGET),
        (Malformed("message"), Reason.DNS_FAILED),
        (PeerError("odd"), Reason.DNS_FAILED),
        (Undecided(Reason.DNS_FAILED, "down"), Reason.DNS_FAILED),
    ],
)
def test_a_resolver_that_raises_is_no_yes(ask: Ask, error: DnsboundError, reason: Reason) -> None:
    authenticator, seen = door(Failing(error))
    with pytest.raises(Undecided) as caught:
        ask(authenticator, claim())
    assert caught.value.reason is reason
    assert [(decision.verdict, decision.reason) for decision in seen] == [(Verdict.UNDECIDED, reason)]


def test_misuse_goes_up_as_it_is_and_is_no_decision(ask: Ask) -> None:
    authenticator, seen = door(Failing(Misuse("closed")))
    with pytest.raises(Misuse, match="closed"):
        ask(authenticator, claim())
    with pytest.raises(Misuse, match="door"):
        ask(authenticator, claim(door="mqtt"))
    assert seen == []


def test_an_observer_that_breaks_changes_nothing(ask: Ask, caplog: pytest.LogCaptureFixture) -> None:
    def broken(decision: Decision) -> None:
        raise RuntimeError(decision.name)

    authenticator = Authenticator(ACCESS, Records(GOOD), door=DOOR, clock=lambda: NOW, on_decision=broken)
    assert ask(authenticator, claim()).record == CREDENTIAL.tlsa()
    assert "on_decision failed" in caplog.text


PATTERN = AccessList.allowing(DOOR, ["*._device.cars.example"])


def exhausted(resolver: Records, ask: Ask) -> Authenticator:
    """A door at which a stranger with invented names has used up the lookups of the whole zone."""
    lookups = LookupBudget(per_source=2, per_zone=2)
    authenticator = Authenticator(PATTERN, resolver, door=DOOR, clock=lambda: NOW, lookups=lookups)
    for index in range(2):
        name = f"x{index}._device.cars.example"
        resolver.answers[dns.name.from_text(name)] = answer(name)
        with pytest.raises(Refused):
            ask(authenticator, claim(name, source="198.51.100.1"))
    with pytest.raises(Undecided) as caught:
        ask(authenticator, claim())
    assert caught.value.reason is Reason.LOOKUP_BUDGET
    return authenticator


def test_strangers_cannot_use_up_what_live_sessions_need(ask: Ask) -> None:
    """Else inventing names below a permitted pattern would end the session of everybody who is in by that pattern."""
    resolver = Records(GOOD)
    authenticator = exhausted(resolver, ask)
    for _ in range(5):
        assert ask(authenticator, claim(), again=True).record == CREDENTIAL.tlsa()


def test_strangers_cannot_lock_out_those_whose_evidence_is_at_hand() -> None:
    resolver = Records(GOOD)
    authenticator = exhausted(resolver, blocking)
    resolver.at_hand = {GOOD.name: replace(GOOD, validated_at=NOW - 1)}
    asked = list(resolver.asked)
    for _ in range(5):
        assert authenticator.authenticate_blocking(claim()).record == CREDENTIAL.tlsa()
        assert authenticator.authenticate_at_hand(claim()) is not None
    assert resolver.asked == asked


def test_every_decision_is_one_line_of_json_in_the_log(ask: Ask, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, DECISIONS)
    authenticator, _ = door(Records(GOOD))
    ask(authenticator, claim(possession=Asserted("nginx")))
    with pytest.raises(Refused):
        ask(authenticator, claim("stranger.example"))
    authenticator.turned_away(Refused(Reason.NO_NAME, "line\nbreak"), source="192.0.2.9")
    records = [record for record in caplog.records if record.name == DECISIONS]
    assert len(records) == 3
    assert not any("\n" in record.getMessage() for record in records)
    admitted, refused, nameless = (json.loads(record.getMessage()) for record in records)
    assert admitted == {
        "at": "2026-05-28T20:26:40Z",
        "door": DOOR,
        "verdict": "admitted",
        "name": NAME,
        "name_source": "extension",
        "source": "192.0.2.7",
        "possession": "asserted by nginx",
        "record": CREDENTIAL.tlsa().to_text(),
        "provenance": "resolved",
        "valid_until": "2026-05-28T20:27:40Z",
        "ms": 0.0,
    }
    assert (refused["verdict"], refused["reason"], refused["name"]) == ("refused", "not-permitted", "stranger.example")
    assert (nameless["reason"], nameless["source"]) == ("no-name", "192.0.2.9")
    assert "name" not in nameless


class Wordy(Member):
    """A certificate with a long subject."""

    @property
    def subject(self) -> x509.Name:
        return x509.Name([x509.NameAttribute(x509.ObjectIdentifier("1.2.3.4"), "x" * 30_000)])


def test_no_peer_makes_a_line_of_the_log_long(ask: Ask) -> None:
    """Names of its certificates are quoted, and may be as long as the handshake allows."""
    authority = Wordy("Cars", extensions=AUTHORITY, end=2021)
    leaf = Member("leaf", authority, END_ENTITY)
    record = tlsa_for_certificate(authority.der, Usage.DANE_TA, Selector.SPKI)
    authenticator, seen = door(Records(answer(NAME, record)))
    with pytest.raises(Refused) as caught:
        ask(authenticator, claim(presented=Presented((leaf.der, authority.der))))
    assert len(caught.value.detail) > 30_000
    assert seen[0].reason is Reason.CHAIN_INVALID
    assert len(seen[0].detail) == DETAIL_CHARACTERS
    assert seen[0].detail.endswith("...")
    long = Refused(Reason.NO_NAME, caught.value.detail)
    authenticator.turned_away(long)
    assert len(seen[1].detail) == DETAIL_CHARACTERS


def test_the_time_of_a_decision_is_measured_by_the_given_clock() -> None:
    moments = iter([NOW, NOW + 0.25, NOW + 0.5])
    seen: list[Decision] = []
    authenticator = Authenticator(
        ACCESS, Records(GOOD), door=DOOR, clock=lambda: next(moments), on_decision=seen.append
    )
    authenticator.authenticate_blocking(claim())
    assert (seen[0].at, seen[0].seconds) == (NOW + 0.5, 0.5)


def test_a_cancelled_claim_is_no_decision() -> None:
    class Silent:
        def cached(self, name: str, rdtype: dns.rdatatype.RdataType) -> Answer | None:
            return None

        async def lookup(self, *question: object, **options: object) -> Answer:
            await asyncio.Event().wait()
            raise AssertionError

        lookup_blocking = None

    authenticator, seen = door(Silent())

    async def impatient() -> None:
        async with asyncio.timeout(0.01):
            await authenticator.authenticate(claim())

    with pytest.raises(TimeoutError):
        asyncio.run(impatient())
    assert seen == []


def test_the_list_in_force_is_visible_and_the_door_is_named() -> None:
    authenticator, _ = door(Records(GOOD))
    assert authenticator.access_generation == ACCESS.generation
    assert (authenticator.door, authenticator.now(), len(authenticator.sessions)) == (DOOR, NOW, 0)
    with pytest.raises(Misuse, match="deadline"):
        door(Records(GOOD), deadline=0)


def test_a_wildcard_key_is_refused_through_the_authenticator_too(ask: Ask) -> None:
    authenticator, _ = door(Records(replace(GOOD, wildcard=True)))
    with pytest.raises(Refused) as caught:
        ask(authenticator, claim())
    assert caught.value.reason is Reason.WILDCARD_KEY
