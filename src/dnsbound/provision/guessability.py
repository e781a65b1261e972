"""How well labels of client names can be guessed: by counting on, by lists of words, or not.

A name that a zone does not give away by itself is still found by whoever guesses it: every guess is one question to the
DNS, or, where hashes of names can be collected, no question at all. Memory is that of the patterns, not of the names.

Sections: ARCH Privacy ("zone walking"), RFC 9276 section 3 (what hashing does not hide).
"""

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from itertools import pairwise, product
from typing import Final

MOST_PATTERNS: Final = 1000
"""Different patterns that are told apart; names of more are counted together."""
_DIGITS: Final = re.compile(r"[0-9]+")
_HARDWARE: Final = re.compile(r"(?:[0-9a-f]{2}[-_]?){5}[0-9a-f]{2}")
_MADE_RANDOM: Final = re.compile(r"[a-z2-7]{26}|[0-9a-f]{32,}")
_RANDOM_LENGTH: Final = 16
_RANDOM_CHANGES: Final = 4
_MOST_DIGITS: Final = 18


class Guessing(StrEnum):
    """What it takes to find a label."""

    COUNTING = "counting"
    """A fixed text with a number in it: whoever knows one name counts on."""
    HARDWARE = "hardware"
    """A hardware address: 16 million guesses for each maker of interfaces."""
    WORDS = "words"
    """Letters alone: names of people, places and hosts are in lists."""
    RANDOM = "random"
    """Long, letters and digits mixed: 64 bits or more, as far as it shows."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pattern:
    """Labels of one form below one name. text: with `#` for each digit. parent: the labels above, as text."""

    text: str
    parent: str
    guessing: Guessing

    @property
    def guesses(self) -> int | None:
        """How many labels have this form; None where that is not known."""
        if self.guessing is Guessing.COUNTING:
            return int(10 ** self.text.count("#"))
        return 2**24 if self.guessing is Guessing.HARDWARE else None

    def labels(self, limit: int) -> Iterator[str]:
        """The first so many labels of this form, where they can be counted through."""
        if self.guessing is not Guessing.COUNTING:
            return
        pieces = self.text.split("#")
        for number, digits in enumerate(product("0123456789", repeat=len(pieces) - 1)):
            if number >= limit:
                return
            yield "".join(piece + digit for piece, digit in zip(pieces, (*digits, ""), strict=True))


@dataclass(slots=True)
class LabelPatterns:
    """Names go in one by one; what comes out is how many of them have which form."""

    total: int = 0
    others: int = 0
    """Names of patterns that were too many to tell apart."""
    _counts: Counter[Pattern] = field(default_factory=Counter)

    def add(self, name: str) -> None:
        """name: canonical text with at least one dot."""
        label, _, parent = name.partition(".")
        pattern = pattern_of(label, parent)
        self.total += 1
        if pattern in self._counts or len(self._counts) < MOST_PATTERNS:
            self._counts[pattern] += 1
        else:
            self.others += 1

    def most_common(self) -> list[tuple[Pattern, int]]:
        return self._counts.most_common()

    def counted(self, guessing: Guessing) -> int:
        """Names that are found in this way."""
        return sum(count for pattern, count in self._counts.items() if pattern.guessing is guessing)

    def guessable(self) -> Iterable[Pattern]:
        """Patterns that can be counted through, those with the fewest guesses first."""
        counting = [pattern for pattern in self._counts if pattern.guessing is Guessing.COUNTING]
        return sorted(counting, key=lambda pattern: (pattern.guesses or 0, pattern.text))


def pattern_of(label: str, parent: str) -> Pattern:
    """The form of a label. Random labels of one length below one name are one pattern."""
    if _MADE_RANDOM.fullmatch(label) or _looks_random(label):
        return Pattern(text=f"{len(label)} characters", parent=parent, guessing=Guessing.RANDOM)
    if _HARDWARE.fullmatch(label):
        return Pattern(text="hardware address", parent=parent, guessing=Guessing.HARDWARE)
    digits = sum(len(run) for run in _DIGITS.findall(label))
    if not digits:
        return Pattern(text="letters", parent=parent, guessing=Guessing.WORDS)
    if digits > _MOST_DIGITS:
        return Pattern(text=f"{len(label)} characters", parent=parent, guessing=Guessing.RANDOM)
    text = _DIGITS.sub(lambda run: "#" * len(run[0]), label)
    return Pattern(text=text, parent=parent, guessing=Guessing.COUNTING)


def _looks_random(label: str) -> bool:
    """Long, and going to and fro between letters and digits as no serial number does."""
    changes = sum(one.isdigit() != other.isdigit() for one, other in pairwise(label))
    return len(label) >= _RANDOM_LENGTH and changes >= _RANDOM_CHANGES and "-" not in label
