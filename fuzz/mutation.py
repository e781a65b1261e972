"""Mutations of seed inputs: what turns a valid message into an almost valid one."""

import random

INTERESTING = (
    b"\x00",
    b"\xff",
    b"\x7f",
    b"\x80",
    b"\xc0\x0c",
    b"\x00\x00",
    b"\xff\xff",
    b"\xff\xff\xff\xff",
    b".",
    b"*",
)
MAX_OCTETS = 8192


def mutate(rng: random.Random, pool: list[bytes]) -> bytes:
    """One to eight changes of a seed; now and then plain noise."""
    if rng.random() < 0.02:
        return rng.randbytes(rng.randrange(300))
    octets = bytearray(rng.choice(pool))
    for _ in range(rng.choice((1, 1, 2, 3, 8))):
        rng.choice(CHANGES)(rng, octets, pool)
    return bytes(octets[:MAX_OCTETS])


def _at(rng: random.Random, octets: bytearray) -> int:
    return rng.randrange(len(octets) + 1)


def flip(rng: random.Random, octets: bytearray, _pool: list[bytes]) -> None:
    if octets:
        octets[rng.randrange(len(octets))] ^= 1 << rng.randrange(8)


def replace(rng: random.Random, octets: bytearray, _pool: list[bytes]) -> None:
    if octets:
        octets[rng.randrange(len(octets))] = rng.randrange(256)


def insert(rng: random.Random, octets: bytearray, _pool: list[bytes]) -> None:
    at = _at(rng, octets)
    octets[at:at] = rng.choice(INTERESTING)


def remove(rng: random.Random, octets: bytearray, _pool: list[bytes]) -> None:
    at = _at(rng, octets)
    del octets[at : at + rng.choice((1, 2, 4, 30))]


def truncate(rng: random.Random, octets: bytearray, _pool: list[bytes]) -> None:
    del octets[_at(rng, octets) :]


def repeat(rng: random.Random, octets: bytearray, _pool: list[bytes]) -> None:
    start, end = sorted((_at(rng, octets), _at(rng, octets)))
    octets[end:end] = octets[start:end] * rng.choice((1, 2, 8))
    del octets[MAX_OCTETS:]


def splice(rng: random.Random, octets: bytearray, pool: list[bytes]) -> None:
    other = rng.choice(pool)
    start = rng.randrange(len(other) + 1)
    at = _at(rng, octets)
    octets[at:at] = other[start : start + rng.randrange(64)]


CHANGES = (flip, flip, replace, insert, remove, truncate, repeat, splice)
