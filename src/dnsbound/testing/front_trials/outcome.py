"""What was tried of a server, and what came of it."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """One line of a trial.

    what: who tried what. expected: what has to come. came: what did. passed: whether that is the same.
    """

    what: str
    expected: str
    came: str
    passed: bool
