"""How labels are told apart by what it takes to guess them."""

import pytest

from dnsbound.provision.guessability import MOST_PATTERNS, Guessing, LabelPatterns, pattern_of
from dnsbound.provision.labels import label_of_serial, unguessable_label

PARENT = "_device.cars.example"


@pytest.mark.parametrize(
    ("label", "text", "guessing"),
    [
        ("car54", "car##", Guessing.COUNTING),
        ("sn-000123", "sn-######", Guessing.COUNTING),
        ("7-lane-2", "#-lane-#", Guessing.COUNTING),
        ("00-1a-2b-3c-4d-5e", "hardware address", Guessing.HARDWARE),
        ("001a2b3c4d5e", "hardware address", Guessing.HARDWARE),
        ("gateway", "letters", Guessing.WORDS),
        ("anna-maria", "letters", Guessing.WORDS),
        ("k3x9q2m7p4w8z1r5", "16 characters", Guessing.RANDOM),
        ("0123456789abcdef0123456789abcdef", "32 characters", Guessing.RANDOM),
        ("1" * 19, "19 characters", Guessing.RANDOM),
    ],
)
def test_forms(label: str, text: str, guessing: Guessing) -> None:
    pattern = pattern_of(label, PARENT)
    assert (pattern.text, pattern.guessing, pattern.parent) == (text, guessing, PARENT)


def test_labels_of_this_package_show_nothing() -> None:
    made = [unguessable_label() for _ in range(200)] + [label_of_serial(str(n), b"k" * 16) for n in range(200)]
    assert {pattern_of(label, PARENT).guessing for label in made} == {Guessing.RANDOM}


def test_counting_through() -> None:
    pattern = pattern_of("a1b2", PARENT)
    assert pattern.guesses == 100
    labels = list(pattern.labels(1000))
    assert len(labels) == 100
    assert (labels[0], labels[12], labels[-1]) == ("a0b0", "a1b2", "a9b9")
    assert list(pattern.labels(3)) == ["a0b0", "a0b1", "a0b2"]
    assert list(pattern_of("gateway", PARENT).labels(3)) == []


def test_patterns_are_counted_with_memory_of_the_patterns_alone() -> None:
    patterns = LabelPatterns()
    for number in range(MOST_PATTERNS + 50):
        patterns.add(f"car1.p{number}.cars.example")
    for number in range(100, 200):
        patterns.add(f"car{number}.p0.cars.example")
    assert patterns.total == MOST_PATTERNS + 150
    assert patterns.others == 50 + 100  # both the new parents and the new form came too late
    assert patterns.counted(Guessing.COUNTING) == MOST_PATTERNS
    assert len(patterns.most_common()) == MOST_PATTERNS
