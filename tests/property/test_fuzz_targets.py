"""Every fuzz target for a fixed number of mutations: the smoke test of `make fuzz-smoke`, repeatable."""

import random

import pytest
from fuzz.__main__ import broken_promise
from fuzz.mutation import mutate
from fuzz.target import Target
from fuzz.targets import TARGETS

from dnsbound.errors import DnsboundError

MUTATIONS = 300


@pytest.mark.filterwarnings("default")  # an odd certificate makes `cryptography` warn, which is no failure to parse it
@pytest.mark.parametrize("name", TARGETS)
def test_mutated_input_gives_a_value_or_an_error_of_ours(name: str) -> None:
    target, rng = TARGETS[name], random.Random(name)
    pool = target.seeds()
    assert pool
    for _ in range(MUTATIONS):
        octets = mutate(rng, pool)
        assert broken_promise(target, octets) is None, octets.hex()


@pytest.mark.parametrize("name", TARGETS)
def test_seeds_are_good_input(name: str) -> None:
    for octets in TARGETS[name].seeds():
        TARGETS[name].run(octets)


def test_the_fuzzer_notices_what_it_is_for() -> None:
    def careless(octets: bytes) -> object:
        return octets[3]

    def careful(_octets: bytes) -> object:
        raise DnsboundError("no")

    assert "IndexError" in (broken_promise(Target(careless, lambda: [b"abcd"]), b"abc") or "")
    assert broken_promise(Target(careful, lambda: [b""]), b"") is None
