"""Which worker a request belongs to: the one that gave out its State or Class, else one that stays for repetitions."""

import hashlib
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dnsbound.errors import Misuse
from dnsbound.iana import RadiusAttribute, RadiusCode
from dnsbound.limits import WORKERS
from dnsbound.protocols.radius_routing import KEY_OCTETS, RANDOM_OCTETS, RadiusRouting

KEY = bytes(range(KEY_OCTETS))
FOUR = RadiusRouting(4, KEY)
AT = ("192.0.2.7", 1645)


def octets(seed, count):
    return hashlib.shake_128(str(seed).encode()).digest(count)


def request(code=RadiusCode.ACCESS_REQUEST, *, identifier=1, seed=0, attributes=()):
    body = b"".join(bytes((kind, len(value) + 2)) + value for kind, value in attributes)
    return bytes((code, identifier)) + (20 + len(body)).to_bytes(2, "big") + octets(seed, 16) + body


@pytest.mark.parametrize("workers", [1, 2, 4, WORKERS.maximum])
def test_each_worker_is_found_by_what_it_gave_out(workers):
    routing = RadiusRouting(workers, KEY)
    for seed in range(64):
        worker = seed % workers
        state = routing.marked(worker, octets(seed, RANDOM_OCTETS))
        assert len(state) == 1 + RANDOM_OCTETS
        assert routing.named_by(state) == worker
        asked = request(seed=seed, attributes=[(RadiusAttribute.USER_NAME, b"x"), (RadiusAttribute.STATE, state)])
        assert routing.worker_for(asked, *AT) == worker
        counted = request(
            RadiusCode.ACCOUNTING_REQUEST,
            seed=seed,
            attributes=[(RadiusAttribute.CLASS, b"of a proxy"), (RadiusAttribute.CLASS, state)],
        )
        assert routing.worker_for(counted, *AT) == worker


def test_a_state_does_not_show_its_worker():
    first = {FOUR.marked(1, octets(seed, RANDOM_OCTETS))[0] for seed in range(256)}
    assert len(first) > 100


def test_a_retransmission_goes_where_the_first_went_and_requests_are_spread():
    found = Counter()
    for seed in range(4000):
        worker = FOUR.worker_for(request(seed=seed), *AT)
        assert worker == FOUR.worker_for(request(seed=seed), *AT)
        found[worker] += 1
    assert set(found) == {0, 1, 2, 3}
    assert min(found.values()) > 800


@pytest.mark.parametrize(
    "other",
    [
        (request(seed=1), AT),
        (request(seed=0, identifier=2), AT),
        (request(seed=0), ("192.0.2.7", 1646)),
        (request(seed=0), ("192.0.2.8", 1645)),
    ],
)
def test_all_that_makes_a_request_another_counts(other):
    many = RadiusRouting(WORKERS.maximum, KEY)
    assert many.worker_for(request(seed=0), *AT) != many.worker_for(other[0], *other[1])


def test_who_does_not_know_the_key_cannot_aim():
    guessed = RadiusRouting(4, bytes(KEY_OCTETS))
    found = Counter(
        FOUR.worker_for(
            request(seed=seed, attributes=[(RadiusAttribute.STATE, guessed.marked(3, octets(seed, RANDOM_OCTETS)))]),
            *AT,
        )
        for seed in range(2000)
    )
    assert max(found.values()) < 700


def test_what_was_given_out_for_something_else_names_nobody():
    state = FOUR.marked(2, octets(0, RANDOM_OCTETS))
    assert FOUR.named_by(state[:-1]) is None
    assert FOUR.named_by(state + b"\0") is None
    assert FOUR.named_by(b"") is None
    status = request(RadiusCode.STATUS_SERVER, attributes=[(RadiusAttribute.STATE, state)])
    assert FOUR.worker_for(status, *AT) == FOUR.worker_for(request(RadiusCode.STATUS_SERVER), *AT)


@pytest.mark.parametrize(
    ("workers", "key"), [(0, KEY), (-1, KEY), (WORKERS.maximum + 1, KEY), (4, KEY[1:]), (4, KEY + b"\0")]
)
def test_workers_and_keys_are_checked(workers, key):
    with pytest.raises(Misuse):
        RadiusRouting(workers, key)


@pytest.mark.parametrize(("worker", "length"), [(4, 16), (-1, 16), (0, 15), (0, 17)])
def test_only_workers_there_are_get_a_mark(worker, length):
    with pytest.raises(Misuse):
        FOUR.marked(worker, bytes(length))


@given(st.binary(max_size=200), st.text(max_size=20), st.integers(0, 65535))
def test_octets_of_any_kind_go_somewhere(hostile, address, port):
    assert 0 <= FOUR.worker_for(hostile, address.encode("ascii", "replace").decode(), port) < 4


@given(st.binary(max_size=100), st.sampled_from([1, 4, 12]), st.integers(0, 65535))
def test_attributes_of_any_form_end_the_search(hostile, code, length):
    whole = bytes((code, 0)) + length.to_bytes(2, "big") + bytes(16) + hostile
    assert 0 <= FOUR.worker_for(whole, *AT) < 4
