"""What all worker processes of a service have counted together, those included that have died.

Each worker leaves what it counted in memory that all share, each second; the one that takes a dead one's place counts
on from there, so that no total ever falls back. What a worker that was killed had counted in its last second is lost.
What is counted is the service's own (`radius_totals`, `authz_totals`, `gate_totals`).
"""

import json
from abc import ABC, abstractmethod
from collections import Counter
from dataclasses import fields
from typing import Any, Final, Generic, Self, TypeVar

from dnsbound.edge.shared_snapshots import SharedSnapshots


class Counts:
    """Numbers and Counters alone, as the fields of a dataclass: what one thing counts."""

    __slots__ = ()

    def add(self, other: Self) -> None:
        """Take another process's counts in."""
        for each in fields(self):  # type: ignore[arg-type] # every kind of it is a dataclass
            setattr(self, each.name, getattr(self, each.name) + getattr(other, each.name))

    def to_json(self) -> dict[str, Any]:
        """In plain types; `from_json` is the inverse."""
        return {each.name: getattr(self, each.name) for each in fields(self)}  # type: ignore[arg-type]

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> Self:
        """Of our own processes: what is missing is an error of this program."""
        return cls(**{key: Counter(each) if isinstance(each, dict) else each for key, each in value.items()})


class Totals(ABC):
    """Counts of one process, or of several. starts: how often a worker began."""

    __slots__ = ()
    starts: int

    @abstractmethod
    def add(self, other: Self) -> None:
        """Take another process's counts in."""

    @abstractmethod
    def to_json(self) -> dict[str, Any]:
        """In plain types; `from_json` is the inverse."""

    @classmethod
    @abstractmethod
    def from_json(cls, value: dict[str, Any]) -> Self:
        """Of our own processes: what is missing is an error of this program."""

    @abstractmethod
    def outlive(self) -> None:
        """The process that counted has died: what there was in it is not there now."""

    def to_octets(self) -> bytes:
        """`from_octets` is the inverse."""
        return json.dumps(self.to_json(), separators=(",", ":")).encode()

    @classmethod
    def from_octets(cls, octets: bytes) -> Self:
        """Of our own processes."""
        return cls.from_json(json.loads(octets))

    @classmethod
    def of_all(cls, snapshots: SharedSnapshots) -> Self:
        """Added up over all workers."""
        total = cls()
        for octets in snapshots.all():
            total.add(cls.from_octets(octets))
        return total


T = TypeVar("T", bound=Totals)


class WorkerTotals(Generic[T]):
    """What one worker counts, and what those counted who had its place before."""

    def __init__(self, kind: type[T], snapshots: SharedSnapshots, worker: int) -> None:
        """kind: what is counted; made without arguments, it is nothing yet."""
        self._kind = kind
        self._snapshots = snapshots
        self._worker = worker
        octets = snapshots.get(worker)
        self._former: Final = kind() if octets is None else kind.from_octets(octets)
        self._former.outlive()
        self._former.starts += 1

    def leave(self, now: T) -> None:
        """Say how it stands now. now: what this worker counted itself."""
        # A copy takes the former counts in, not the counters that go on counting.
        total = self._kind.from_octets(now.to_octets())
        total.add(self._former)
        self._snapshots.put(self._worker, total.to_octets())
