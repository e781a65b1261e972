"""Handshake slots: in all, by source, given back, warned about once."""

import logging

import pytest

from dnsbound import limits
from dnsbound.edge.handshake_slots import HandshakeOutcome, HandshakeSlots
from dnsbound.errors import Misuse

NEAR, NEIGHBOUR, FAR = "192.0.2.1", "192.0.2.254", "198.51.100.1"


@pytest.mark.parametrize(
    ("at_once", "per_source", "share"),
    [
        (None, None, limits.HANDSHAKES_PER_SOURCE.default),
        (40, None, 10),
        (2, None, 1),
        (1_000_000, None, limits.HANDSHAKES_PER_SOURCE.default),
        (2, 2, 2),
        (2, 1000, 1000),
    ],
)
def test_the_share_of_one_source(at_once: int | None, per_source: int | None, share: int) -> None:
    assert HandshakeSlots(at_once=at_once, per_source=per_source).per_source == share


def test_by_default_one_source_is_less_than_everybody() -> None:
    assert limits.HANDSHAKES_PER_SOURCE.default < limits.HANDSHAKES_AT_ONCE.default
    with pytest.raises(Misuse):
        HandshakeSlots(per_source=0)


@pytest.mark.parametrize(
    ("near", "neighbour", "far"),
    [
        (NEAR, NEIGHBOUR, FAR),
        ("2001:db8:0:1::1", "2001:db8:0:ff::2", "2001:db8:0:100::1"),
        ("::ffff:192.0.2.1", NEIGHBOUR, "::ffff:198.51.100.1"),
        ("fe80::1%eth0", "fe80::2%eth1", "2001:db8::1"),
    ],
)
def test_a_network_has_one_share(near: str, neighbour: str, far: str) -> None:
    slots = HandshakeSlots(at_once=3, per_source=2)
    assert slots.take(near)
    assert slots.has_share(neighbour)
    assert slots.take(neighbour)
    assert not slots.has_share(near)
    assert not slots.take(near)
    assert slots.take(far)
    slots.give_back(neighbour)
    assert slots.take(near)
    assert not slots.take(far)
    assert slots.unfinished == 3
    assert slots.counts()[HandshakeOutcome.TURNED_AWAY] == 2


def test_local_sockets_have_all_slots() -> None:
    slots = HandshakeSlots(at_once=4, per_source=1)
    assert [slots.take("") for _ in range(5)] == [True] * 4 + [False]
    for _ in range(4):
        slots.give_back("")
    assert slots.unfinished == 0
    assert slots.take(NEAR)


def test_nothing_is_kept_of_sources_that_have_gone() -> None:
    slots = HandshakeSlots(at_once=1, per_source=1)
    for number in range(100):
        address = f"10.0.{number}.1"
        assert slots.take(address)
        assert not slots.take(address)
        slots.give_back(address)
    assert slots._held == {}
    assert slots._warned == set()


def test_one_warning_for_each_flood(caplog: pytest.LogCaptureFixture) -> None:
    slots = HandshakeSlots(at_once=3, per_source=2)
    with caplog.at_level(logging.WARNING, "dnsbound.listen"):
        taken = [slots.take(NEAR) for _ in range(9)]
        assert taken.count(True) == 2
        assert len(caplog.records) == 1
        assert "192.0.2.0/24" in caplog.text
        assert [slots.take(FAR) for _ in range(4)] == [True, False, False, False]
        assert len(caplog.records) == 2
        slots.give_back(NEAR)
        assert slots.take(NEAR)
        assert not slots.take(NEAR)
        assert len(caplog.records) == 3
