"""A RADIUS client's identifiers, repetitions and watchdog, by a clock and chances that the tests make up."""

import pytest

from dnsbound.errors import Misuse
from dnsbound.protocols.radius_exchange import (
    IDENTIFIERS,
    Alarm,
    Identifiers,
    Patience,
    Retransmission,
    Watchdog,
)


class TestIdentifiers:
    def test_all_of_them_once_and_then_none(self) -> None:
        identifiers = Identifiers()
        taken = [identifiers.take() for _ in range(IDENTIFIERS)]
        assert sorted(each for each in taken if each is not None) == list(range(IDENTIFIERS))
        assert identifiers.take() is None
        assert len(identifiers) == IDENTIFIERS

    def test_the_one_used_longest_ago_comes_first(self) -> None:
        identifiers = Identifiers()
        first, second = identifiers.take(), identifiers.take()
        assert first is not None
        assert second is not None
        identifiers.give_back(second)
        identifiers.give_back(first)
        later = [identifiers.take() for _ in range(IDENTIFIERS)]
        assert later[-2:] == [second, first]

    def test_giving_back_what_is_not_taken(self) -> None:
        identifiers = Identifiers()
        with pytest.raises(Misuse):
            identifiers.give_back(3)


class TestRetransmission:
    def test_waits_double_up_to_the_longest(self) -> None:
        machine = Retransmission(Patience(), now=0.0, chance=0.0)
        sent = [0.0]
        due = machine.due
        while machine.send_again(now=due, chance=0.0):
            sent.append(due)
            due = machine.due
        assert sent == [0.0, 2.0, 6.0, 14.0]
        assert machine.due == 30.0
        assert machine.sent == 4

    def test_no_more_often_than_it_may(self) -> None:
        machine = Retransmission(Patience(first=1, times=3, seconds=1000), now=0.0, chance=0.0)
        assert machine.send_again(now=machine.due, chance=0.0)
        assert machine.send_again(now=machine.due, chance=0.0)
        assert not machine.send_again(now=machine.due, chance=0.0)
        assert machine.sent == 3

    def test_the_longest_wait_holds_but_for_chance(self) -> None:
        machine = Retransmission(Patience(first=10, longest=16, times=9, seconds=1000), now=0.0, chance=1.0)
        assert machine.due == pytest.approx(11.0)
        before = machine.due
        assert machine.send_again(now=before, chance=1.0)
        assert machine.due - before == pytest.approx(17.6)

    @pytest.mark.parametrize(("chance", "first"), [(-1.0, 1.8), (0.0, 2.0), (1.0, 2.2)])
    def test_chance_moves_the_first_wait_by_a_tenth(self, chance: float, first: float) -> None:
        assert Retransmission(Patience(), now=0.0, chance=chance).due == pytest.approx(first)

    def test_nobody_waits_beyond_the_end(self) -> None:
        machine = Retransmission(Patience(first=8, seconds=5), now=0.0, chance=0.0)
        assert machine.due == 5.0
        assert not machine.send_again(now=5.0, chance=0.0)

    @pytest.mark.parametrize("wrong", [{"first": 0}, {"first": 20}, {"times": 0}, {"seconds": 0}])
    def test_what_cannot_be(self, wrong: dict[str, float]) -> None:
        with pytest.raises(Misuse):
            Patience(**wrong)  # type: ignore[arg-type]


class TestWatchdog:
    def test_it_asks_after_silence_and_gives_up_after_more(self) -> None:
        dog = Watchdog(30, now=0.0, chance=0.0)
        assert dog.due == 30.0
        assert dog.bark(now=30.0, chance=0.0) is Alarm.ASK
        assert dog.due == 60.0
        assert dog.bark(now=60.0, chance=0.0) is Alarm.DEAD

    def test_any_sign_of_life_counts(self) -> None:
        dog = Watchdog(30, now=0.0, chance=0.0)
        assert dog.bark(now=30.0, chance=0.0) is Alarm.ASK
        dog.heard(now=40.0, chance=0.0)
        assert dog.due == 70.0
        assert dog.bark(now=70.0, chance=0.0) is Alarm.ASK

    @pytest.mark.parametrize(("chance", "due"), [(-1.0, 28.0), (1.0, 32.0)])
    def test_intervals_vary_by_two_seconds(self, chance: float, due: float) -> None:
        assert Watchdog(30, now=0.0, chance=chance).due == due
