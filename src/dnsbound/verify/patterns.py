"""Name patterns of access lists, and the tree that finds all patterns a name matches.

`*` is exactly one label and `**` is one or more. In entries that let in, a wildcard never takes a label that begins
with an underscore: `*.cars.example` does not reach into `_device.cars.example`, unless the pattern spells that label.
In entries that keep out, a wildcard takes any label. Patterns are stored from the root down, so that the cost of a
lookup follows the labels of the name and not the number of patterns.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, Generic, Self, TypeVar

from dnsbound.errors import Malformed
from dnsbound.names import ClientName

ONE_LABEL: Final = "*"
LABELS: Final = "**"
_WILDCARDS: Final = (ONE_LABEL, LABELS)
_V = TypeVar("_V")


@dataclass(frozen=True, slots=True)
class NamePattern:
    """A pattern with at least one wildcard label; `**` at most once. Labels are canonical, leftmost first."""

    labels: tuple[str, ...]

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read a pattern; Malformed with what is wrong."""
        labels = text.split(".")
        wildcards = [label for label in labels if label in _WILDCARDS]
        if not wildcards:
            raise Malformed(f"{text!r} holds no wildcard label")
        if wildcards.count(LABELS) > 1:
            raise Malformed(f"{text!r} holds `**` more than once")
        for label in labels:
            if "*" in label and label not in _WILDCARDS:
                raise Malformed(f"{text!r} mixes `*` with other characters in one label")
        # What a name demands of its labels holds of the literal ones; wildcards are stood in for.
        ClientName.parse(".".join("x" if label in _WILDCARDS else label for label in labels))
        return cls(tuple(label.lower() for label in labels))

    @property
    def suffix(self) -> tuple[str, ...]:
        """The literal labels right of the last wildcard."""
        last = max(index for index, label in enumerate(self.labels) if label in _WILDCARDS)
        return self.labels[last + 1 :]

    @property
    def rank(self) -> tuple[int, int]:
        """Sorts less specific patterns first: by literal labels, and `*` above `**`."""
        return sum(label not in _WILDCARDS for label in self.labels), -self.labels.count(LABELS)

    def to_text(self) -> str:
        return ".".join(self.labels)

    def __str__(self) -> str:
        return self.to_text()


class PatternTree(Generic[_V]):
    """Patterns with a value each; a later pattern of the same text replaces an earlier one."""

    __slots__ = ("_root", "_takes_underscores")

    def __init__(self, *, takes_underscores: bool) -> None:
        """takes_underscores: whether wildcards match labels that begin with an underscore."""
        self._root: _Node[_V] = _Node(repeats=False)
        self._takes_underscores = takes_underscores

    def find(self, pattern: NamePattern) -> _V | None:
        """The value added under exactly this pattern."""
        node: _Node[_V] | None = self._root
        for label in reversed(pattern.labels):
            if node is None:
                return None
            node = node.children.get(label)
        return None if node is None else node.value

    def add(self, pattern: NamePattern, value: _V) -> None:
        node = self._root
        for label in reversed(pattern.labels):
            below = node.children.get(label)
            if below is None:
                below = node.children[label] = _Node(repeats=label == LABELS)
            node = below
        node.value = value

    def matches(self, labels: tuple[str, ...]) -> list[_V]:
        """Value of every pattern that the name with these canonical labels matches, in no particular order."""
        nodes = [self._root]
        for label in reversed(labels):
            wild = self._takes_underscores or not label.startswith("_")
            after: list[_Node[_V]] = []
            for node in nodes:
                children = node.children
                below = children.get(label)
                if below is not None:
                    after.append(below)
                if wild:
                    if node.repeats:
                        after.append(node)
                    if ONE_LABEL in children:
                        after.append(children[ONE_LABEL])
                    if LABELS in children:
                        after.append(children[LABELS])
            if not after:
                return []
            nodes = after
        return [node.value for node in nodes if node.value is not None]

    def __iter__(self) -> Iterator[_V]:
        """Value of every pattern, in no particular order."""
        nodes = [self._root]
        while nodes:
            node = nodes.pop()
            nodes.extend(node.children.values())
            if node.value is not None:
                yield node.value


class _Node(Generic[_V]):
    __slots__ = ("children", "repeats", "value")

    def __init__(self, *, repeats: bool) -> None:
        self.children: dict[str, _Node[_V]] = {}
        self.repeats = repeats
        self.value: _V | None = None
