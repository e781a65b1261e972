"""Warnings that peers can cause: told of once, then seldom, and of a bounded number of peers."""

import logging

import pytest

from dnsbound.edge.repeated_warnings import RepeatedWarnings


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def said(caplog):
    caplog.set_level(logging.WARNING, "dnsbound.test")
    return lambda: [record.getMessage() for record in caplog.records]


def warnings(clock: Clock, **options) -> RepeatedWarnings:
    return RepeatedWarnings(logging.getLogger("dnsbound.test"), seconds=10, monotonic=clock, **options)


def test_each_subject_is_told_of_at_once_and_then_seldom(clock, said):
    told = warnings(clock)
    for _ in range(3):
        told.warn("a", "a is wrong")
    told.warn("b", "b is wrong")
    assert said() == ["a is wrong", "b is wrong"]
    clock.now = 10.0
    told.warn("a", "a is wrong")
    told.warn("b", "b is wrong")
    assert said()[2:] == ["a is wrong (and 2 times since it was last said)", "b is wrong"]


def test_a_flood_of_subjects_is_bounded_and_later_ones_are_told_of_when_there_is_room(clock, said):
    told = warnings(clock, subjects=2)
    for subject in "abc":
        told.warn(subject, subject)
    assert said() == ["a", "b"]
    clock.now = 10.0
    told.warn("c", "c")
    assert said() == ["a", "b", "c"]


def test_what_may_have_been_mended_is_told_again(clock, said):
    told = warnings(clock)
    told.warn("a", "a")
    told.forget()
    told.warn("a", "a")
    assert said() == ["a", "a"]
