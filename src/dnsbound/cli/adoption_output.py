"""What an adoption shows: counts, rows that were not adopted, the plan, and how far it is."""

import csv
import json
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO, TYPE_CHECKING, Final, Self

from dnsbound.cli.exit_codes import printable
from dnsbound.cli.output import advise, emit, say
from dnsbound.errors import Misuse
from dnsbound.limits import ADOPTION_LISTED

if TYPE_CHECKING:
    from types import TracebackType

    from dnsbound.provision.adoption.candidate import BadRow
    from dnsbound.provision.adoption.plan import Step

_FIELDS: Final = ("where", "name", "problem", "detail")
_SUFFIXES: Final = frozenset({".csv", ".json", ".jsonl", ".ndjson"})


class Rejects:
    """Rows that are not adopted: each one line on standard error, or in a file, where the first few are shown too."""

    def __init__(self, path: Path | None) -> None:
        if path is not None and path.suffix.lower() not in _SUFFIXES:
            raise Misuse(f"{path}: the name of a file of rejects ends in .csv, .json or .jsonl")
        self.problems: Counter[str] = Counter()
        self._path = path
        # Opened for writing at once: that the disk takes it is better known before anything is changed.
        self._file: IO[str] | None = None if path is None else path.open("w", encoding="utf-8", newline="")
        self._table = csv.writer(self._file) if self._file is not None and self._is_table else None
        if self._table is not None:
            self._table.writerow(_FIELDS)

    @property
    def _is_table(self) -> bool:
        return self._path is not None and self._path.suffix.lower() == ".csv"

    @property
    def count(self) -> int:
        return self.problems.total()

    def add(self, row: "BadRow") -> None:
        self.problems[row.problem.value] += 1
        facts = facts_of_bad_row(row)
        if self._table is not None:
            self._table.writerow([facts[field] for field in _FIELDS])
        elif self._file is not None:
            self._file.write(json.dumps(facts) + "\n")
        if self._file is None or self.count <= ADOPTION_LISTED.default:
            named = f" {row.name}:" if row.name else ""
            advise(printable(f"{row.where}:{named} {row.problem.value}: {row.detail}"))

    def finish(self) -> None:
        if self._file is not None:
            self._file.flush()
            if self.count > ADOPTION_LISTED.default:
                advise(f"... and {self.count - ADOPTION_LISTED.default} more, all of them in {self._path}")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: "TracebackType | None"
    ) -> None:
        if self._file is not None:
            self._file.close()


class Plan:
    """The plan as it is shown: with --json every step, for people the first few of each kind."""

    def __init__(self, *, as_json: bool) -> None:
        self._as_json = as_json
        self._shown: Counter[str] = Counter()

    def add(self, step: "Step") -> None:
        if self._as_json:
            emit({"action": step.action.value, "name": step.name, "where": step.where, "detail": step.detail})
            return
        self._shown[step.action.value] += 1
        if self._shown[step.action.value] <= ADOPTION_LISTED.default:
            detail = f"  ({step.detail})" if step.detail else ""
            say(printable(f"{step.action.value:9}  {step.name}{detail}"))


class Tally:
    """What was found and done, counted."""

    def __init__(self) -> None:
        self.read = 0
        self.passed_over = 0
        self.repeated = 0
        self.unusable = 0
        """Rows of which not even the name is certain."""
        self.unchecked = 0
        """Rows with a signature that nobody checked."""
        self.actions: Counter[str] = Counter()

    def facts(self, rejects: Rejects) -> dict[str, object]:
        return {
            "read": self.read,
            "passed_over": self.passed_over,
            "repeated": self.repeated,
            "unchecked": self.unchecked,
            "actions": dict(sorted(self.actions.items())),
            "rejected": dict(sorted(rejects.problems.items())),
        }

    def lines(self, rejects: Rejects) -> Iterator[str]:
        counted = {"read": self.read, "passed over": self.passed_over, "repeated": self.repeated}
        for what, number in (counted | dict(sorted(self.actions.items()))).items():
            if number or what == "read":
                yield f"{number:>9}  {what}"
        for problem, number in sorted(rejects.problems.items()):
            yield f"{number:>9}  not adopted: {problem}"


def facts_of_bad_row(row: "BadRow") -> Mapping[str, str]:
    """As `--json` and the file of rejects show it."""
    return {"where": row.where, "name": row.name, "problem": row.problem.value, "detail": row.detail}
