"""The NSEC3 chain told interval by interval: what is known, what is not, and when it is all of it."""

from hypothesis import given
from hypothesis import strategies as st

from dnsbound.dns.exposure import HASH_SPACE, HashSettings, width_of
from dnsbound.dns.hash_ring import HashRing, Interval

SETTINGS = HashSettings(salt=b"", iterations=0)
DIGESTS = st.integers(0, HASH_SPACE - 1) | st.integers(0, 40) | st.integers(HASH_SPACE - 40, HASH_SPACE - 1)


def digest(number: int) -> bytes:
    return number.to_bytes(20, "big")


def chain(numbers: set[int]) -> list[Interval]:
    """The records of a zone whose names have these hashes."""
    ordered = sorted(numbers)
    return [(digest(one), digest(two)) for one, two in zip(ordered, ordered[1:] + ordered[:1], strict=True)]


def ring_of(intervals: list[Interval]) -> HashRing:
    ring = HashRing(SETTINGS)
    for interval in intervals:
        ring.add(interval)
    return ring


@given(st.sets(DIGESTS, min_size=1, max_size=30), DIGESTS, st.randoms(use_true_random=False))
def test_it_closes_with_the_last_interval_and_not_before(numbers: set[int], asked: int, order) -> None:
    intervals = chain(numbers)
    order.shuffle(intervals)
    ring = HashRing(SETTINGS)
    for interval in intervals:
        assert not ring.is_closed()
        assert ring.add(interval)
        assert not ring.add(interval)
    assert ring.is_closed()
    assert ring.hashes == {digest(one) for one in numbers}
    assert ring.covers(digest(asked))


@given(st.sets(DIGESTS, min_size=2, max_size=30), DIGESTS, st.integers(0, 29))
def test_what_the_missing_interval_covers_is_not_known(numbers: set[int], asked: int, missing: int) -> None:
    intervals = chain(numbers)
    owner, end = intervals.pop(missing % len(intervals))
    ring = ring_of(intervals)
    inside = digest(asked) not in (owner, end) and width_of((owner, digest(asked))) < width_of((owner, end))
    # A hash that ends a known interval is known, also where its own record is the missing one.
    assert ring.covers(digest(asked)) is not inside
    assert not ring.is_closed()


def test_nothing_is_known_at_first() -> None:
    ring = HashRing(SETTINGS)
    assert not ring.covers(digest(7))
    assert not ring.is_closed()
    assert ring.hashes == frozenset()


def test_a_zone_of_one_name_leads_back_to_itself() -> None:
    ring = ring_of([(digest(7), digest(7))])
    assert ring.is_closed()
    assert ring.covers(digest(6))
    assert ring.hashes == {digest(7)}


def test_a_name_that_comes_while_one_asks() -> None:
    ring = ring_of([(digest(1), digest(9)), (digest(9), digest(1))])
    assert ring.is_closed()
    assert ring.add((digest(1), digest(5)))
    assert not ring.is_closed()
    assert ring.covers(digest(3))
    assert not ring.covers(digest(7))
    assert ring.add((digest(5), digest(9)))
    assert ring.is_closed()


def test_a_server_that_lies_closes_no_ring() -> None:
    """Wide enough together, and no ring: they overlap, or lead past the first."""
    far = HASH_SPACE - 1
    assert not ring_of([(digest(1), digest(0)), (digest(2), digest(1))]).is_closed()
    assert not ring_of([(digest(0), digest(far)), (digest(5), digest(far))]).is_closed()
    assert not ring_of([(digest(1), digest(far)), (digest(far), digest(2)), (digest(2), digest(1))]).is_closed()
