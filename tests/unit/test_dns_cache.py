"""The cache of evidence: what is kept, for how long, and what never is."""

from dataclasses import replace

import dns.name
import dns.rdatatype
import pytest

from dnsbound.dns.anchors import TrustAnchors
from dnsbound.dns.answer import Answer, Outcome, Security
from dnsbound.dns.cache import EvidenceCache
from dnsbound.dns.policy import Policy
from dnsbound.dns.zone_trust import ZoneTrust
from dnsbound.errors import Misuse

NOW = 1_800_000_000.0
KEY = ((b"example", b"cars"), 52)


def answer(
    security: Security = Security.SECURE,
    outcome: Outcome = Outcome.RECORDS,
    *,
    ttl: float = 300,
    expires: float | None = None,
) -> Answer:
    return Answer(
        name=dns.name.from_text("cars.example."),
        rdtype=dns.rdatatype.TLSA,
        security=security,
        outcome=outcome,
        ttl=ttl,
        validated_at=NOW,
        earliest_expiry=expires,
    )


def test_kept_until_its_ttl_ends() -> None:
    cache = EvidenceCache()
    kept = cache.put(KEY, answer())
    assert cache.get(KEY, now=NOW + 299.9) is kept
    assert cache.get(KEY, now=NOW + 300) is None


def test_never_kept_past_a_signature() -> None:
    cache = EvidenceCache()
    cache.put(KEY, answer(expires=NOW + 10))
    assert cache.get(KEY, now=NOW + 9) is not None
    assert cache.get(KEY, now=NOW + 10) is None


@pytest.mark.parametrize(
    ("one", "seconds"),
    [
        (answer(ttl=90_000), 3600),
        (answer(outcome=Outcome.NODATA, ttl=90_000), 60),
        (answer(outcome=Outcome.NXDOMAIN, ttl=90_000), 60),
        (answer(Security.INSECURE, ttl=90_000), 60),
        (answer(Security.INSECURE, Outcome.NXDOMAIN, ttl=90_000), 60),
    ],
)
def test_caps_show_in_the_answer(one: Answer, seconds: int) -> None:
    cache = EvidenceCache()
    assert cache.put(KEY, one).ttl == seconds
    assert cache.get(KEY, now=NOW + seconds - 1) is not None
    assert cache.get(KEY, now=NOW + seconds) is None


@pytest.mark.parametrize(
    "one",
    [
        answer(Security.BOGUS, Outcome.FAILED),
        answer(Security.INDETERMINATE, Outcome.FAILED),
        answer(Security.INDETERMINATE, Outcome.RECORDS),
        answer(Security.SECURE, Outcome.FAILED),
        answer(ttl=0),
    ],
)
def test_what_is_never_kept(one: Answer) -> None:
    cache = EvidenceCache()
    assert cache.put(KEY, one) is one
    assert cache.get(KEY, now=NOW) is None


def test_failure_does_not_drop_what_was_known() -> None:
    cache = EvidenceCache()
    cache.put(KEY, answer())
    cache.put(KEY, answer(Security.INDETERMINATE, Outcome.FAILED))
    known = cache.get(KEY, now=NOW)
    assert known is not None
    assert known.security is Security.SECURE


def test_denial_replaces_records_and_the_other_way_round() -> None:
    cache = EvidenceCache()
    for outcome in (Outcome.RECORDS, Outcome.NXDOMAIN, Outcome.RECORDS):
        cache.put(KEY, answer(outcome=outcome))
        known = cache.get(KEY, now=NOW)
        assert known is not None
        assert known.outcome is outcome
    cache.put(KEY, answer(outcome=Outcome.NXDOMAIN, ttl=0))
    assert cache.get(KEY, now=NOW) is None


def test_denials_do_not_displace_records() -> None:
    cache = EvidenceCache(entries=16)
    cache.put(KEY, answer())
    for number in range(1000):
        cache.put(((b"example", str(number).encode()), 52), answer(outcome=Outcome.NXDOMAIN))
    assert cache.get(KEY, now=NOW) is not None
    assert len(cache) == 1 + 4


def test_size_is_bounded_and_the_oldest_goes() -> None:
    cache = EvidenceCache(entries=16)
    for number in range(100):
        cache.put(((b"example", str(number).encode()), 52), answer())
    assert len(cache) == 8
    assert cache.get(((b"example", b"99"), 52), now=NOW) is not None
    assert cache.get(((b"example", b"91"), 52), now=NOW) is None
    cache.clear()
    assert len(cache) == 0


def test_zone_states_have_their_own_end() -> None:
    cache = EvidenceCache()
    trust = ZoneTrust(zone=(b"example",), security=Security.SECURE, since=NOW, until=NOW + 5)
    cache.put_trust((b"example",), trust)
    assert cache.get_trust((b"example",), now=NOW) is trust
    assert cache.get_trust((b"example",), now=NOW + 5) is None


def test_a_clock_set_back_does_not_lengthen_a_life() -> None:
    """Proved while the clock was a year ahead: when it is right again, that is no evidence for the year to come."""
    cache = EvidenceCache()
    cache.put(KEY, answer())
    cache.put_trust(KEY[0], ZoneTrust(zone=KEY[0], security=Security.SECURE, since=NOW, until=NOW + 5))
    for earlier in (NOW - 0.1, NOW - 365 * 86_400):
        assert cache.get(KEY, now=earlier) is None
        assert cache.get_trust(KEY[0], now=earlier) is None
    assert cache.get(KEY, now=NOW) is not None


def test_one_cache_serves_one_set_of_anchors_and_one_policy() -> None:
    cache = EvidenceCache()
    root, policy = TrustAnchors.root(), Policy()
    cache.bind(root, policy)
    cache.bind(TrustAnchors.root(), Policy(signature_checks=8))
    for anchors, other in (
        (TrustAnchors.none(), policy),
        (root.without("example."), policy),
        (root, Policy(danger_sha1=True)),
        (root, Policy(clock_skew=60)),
        (root, Policy(nsec3_iterations=0)),
    ):
        with pytest.raises(Misuse):
            cache.bind(anchors, other)
    cache.clear()
    cache.bind(TrustAnchors.none(), policy)


def test_numbers_out_of_range_are_misuse() -> None:
    with pytest.raises(Misuse):
        EvidenceCache(entries=1)
    with pytest.raises(Misuse):
        EvidenceCache(positive_ttl=-1)


def test_what_is_forgotten_is_asked_for_again_with_what_led_through_it() -> None:
    cache = EvidenceCache()
    alias = ((b"example", b"van"), 52)
    other = ((b"example", b"bikes"), 52)
    cache.put(KEY, answer())
    cache.put((KEY[0], 1), answer(outcome=Outcome.NODATA))
    cache.put(alias, replace(answer(), name=dns.name.from_text("van.example."), aliases=(answer().name,)))
    cache.put(other, replace(answer(), name=dns.name.from_text("bikes.example.")))
    assert cache.forget(KEY[0], now=NOW + 1) == 3
    assert [cache.get(key, now=NOW + 1) for key in (KEY, (KEY[0], 1), alias)] == [None, None, None]
    assert cache.get(other, now=NOW + 1) is not None
    assert cache.forget(KEY[0], now=NOW + 1) == 0


def test_bd_04_an_answer_that_was_asked_for_before_the_forgetting_is_not_kept() -> None:
    cache = EvidenceCache()
    cache.forget(KEY[0], now=NOW + 1)
    alias = ((b"example", b"van"), 52)
    late = replace(answer(), aliases=(answer().name,))
    assert cache.put(KEY, answer()).records == ()
    cache.put(alias, late)
    assert cache.get(KEY, now=NOW + 1) is None
    assert cache.get(alias, now=NOW + 1) is None
    cache.put(KEY, replace(answer(), validated_at=NOW + 2))
    assert cache.get(KEY, now=NOW + 3) is not None
