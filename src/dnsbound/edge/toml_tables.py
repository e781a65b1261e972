"""Tables of a TOML file while they are read: each reading takes a key away, and what is left in the end is an error.

Every error is one line: the file, the line of the key where it can be found, the table, and what is wrong. The TOML
reader of the standard library gives no positions for what parses, so the line is searched for: that of the first such
key behind the header of its table. What the keys mean is the caller's.
"""

import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Self, TypeVar, cast

from dnsbound.edge.secret_files import read_public_file
from dnsbound.errors import Malformed, Misuse
from dnsbound.limits import Limit

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True, kw_only=True)
class TomlText:
    """A file's text, and where it was read."""

    path: Path
    text: str

    @classmethod
    def read(cls, path: Path) -> Self:
        """Misuse for a file that cannot be read, Malformed for one that is no text."""
        octets = read_public_file(path)
        try:
            return cls(path=path, text=octets.decode("utf-8"))
        except UnicodeDecodeError as error:
            raise Malformed(f"{path}: not UTF-8 text", error.start) from None

    def tree(self) -> dict[str, Any]:
        """What it says; Malformed."""
        try:
            return tomllib.loads(self.text)
        except RecursionError:
            raise Malformed(f"{self.path}: nested too deeply") from None
        except ValueError as error:
            raise Malformed(f"{self.path}: {error}") from None

    def line_of(self, table: tuple[str, ...], key: str | None) -> int | None:
        """Of a key of a table, or of the table's header; None where it is not found, as in an inline table."""
        start, end = 0, len(self.text)
        if table:
            header = re.search(rf"^[ \t]*\[\s*{_dotted(table)}\s*\]", self.text, re.MULTILINE)
            if header is None:
                return None
            start = header.end()
            if key is None:
                return self._number(header.start())
        if key is None:
            return None
        if (following := _HEADER.search(self.text, start)) is not None:
            end = following.start()
        found = re.compile(rf"^[ \t]*{_dotted((key,))}\s*[=.]", re.MULTILINE).search(self.text, start, end)
        found = found or re.search(rf"^[ \t]*\[\s*{_dotted((*table, key))}\s*[\].]", self.text, re.MULTILINE)
        return None if found is None else self._number(found.start())

    def _number(self, position: int) -> int:
        return self.text.count("\n", 0, position) + 1


_HEADER: Final = re.compile(r"^[ \t]*\[", re.MULTILINE)


def _dotted(labels: tuple[str, ...]) -> str:
    return r"\s*\.\s*".join(rf"[\"']?{re.escape(label)}[\"']?" for label in labels)


class TomlTable:
    """One table. where: the names that lead to it, none for the file's own."""

    def __init__(self, source: TomlText, where: tuple[str, ...], values: Mapping[str, Any]) -> None:
        self._source = source
        self._where = where
        self._left = dict(values)
        self.name: Final = where[-1] if where else ""

    @classmethod
    def of(cls, source: TomlText) -> Self:
        """The file's own table; Malformed when it is no TOML."""
        return cls(source, (), source.tree())

    @property
    def place(self) -> str:
        """File, line and name of the table, as errors found later begin."""
        line = self._source.line_of(self._where, None)
        at = f"{self._source.path}, line {line}" if line else f"{self._source.path}"
        return f"{at}: [{'.'.join(self._where)}]" if self._where else at

    def wrong(self, what: str, key: str | None = None) -> Malformed:
        """The error about a key, or about the table as a whole."""
        line = self._source.line_of(self._where, key) or self._source.line_of(self._where, None)
        at = f"{self._source.path}, line {line}" if line else f"{self._source.path}"
        told = what if key is None else f"{key}: {what}"
        return Malformed(f"{at}: [{'.'.join(self._where)}]: {told}" if self._where else f"{at}: {told}")

    def __contains__(self, key: str) -> bool:
        return key in self._left

    # --- values

    def text(self, key: str, default: str | None = None) -> str:
        """default: None where the key must be there."""
        if key not in self._left and default is not None:
            return default
        value = self._left.pop(key, None)
        if not isinstance(value, str) or not value:
            raise self.wrong("is missing" if value is None else "is not a text", key)
        return value

    def texts(self, key: str, default: tuple[str, ...] = ()) -> tuple[str, ...]:
        """A list of texts, or one text alone. An empty text may be among them."""
        if key not in self._left:
            return default
        value = self._left.pop(key)
        value = [value] if isinstance(value, str) else value
        if not isinstance(value, list) or not value or not all(isinstance(entry, str) for entry in value):
            raise self.wrong("is neither a text nor a list of texts", key)
        return tuple(value)

    def number(self, key: str, limit: Limit) -> int:
        """A whole number in the limit's range; its default where the key is not there."""
        value = self._left.pop(key, None)
        if value is not None and (not isinstance(value, int) or isinstance(value, bool)):
            raise self.wrong("is not a whole number", key)
        try:
            return limit.checked(value)
        except Misuse as error:
            raise self.wrong(str(error), key) from None

    def flag(self, key: str, *, default: bool = False) -> bool:
        value = self._left.pop(key, default)
        if not isinstance(value, bool):
            raise self.wrong("is neither true nor false", key)
        return value

    def path(self, key: str) -> Path:
        """Relative to the file."""
        return self.beside(self.text(key))

    def beside(self, text: str) -> Path:
        """A path relative to the file's directory."""
        return self._source.path.parent / Path(text).expanduser()

    def chosen(self, key: str, choices: Mapping[str, _T], default: _T) -> _T:
        """One of some words."""
        return self._choice(key, choices, self.text(key)) if key in self._left else default

    def choices(self, key: str, choices: Mapping[str, _T], default: tuple[_T, ...]) -> tuple[_T, ...]:
        """Several of them, each once, in the order given."""
        words = self.texts(key)
        if len(set(words)) < len(words):
            raise self.wrong("names one twice", key)
        return tuple(self._choice(key, choices, word) for word in words) or default

    def _choice(self, key: str, choices: Mapping[str, _T], word: str) -> _T:
        if word not in choices:
            raise self.wrong(f"is {' or '.join(choices)}, not {word!r}", key)
        return choices[word]

    # --- tables below

    def table(self, key: str) -> "TomlTable":
        """An empty one where the key is not there."""
        return self._below(key, self._left.pop(key, {}))

    def each(self) -> Iterator["TomlTable"]:
        """The tables in this one, in the order of the file."""
        for name, value in self._left.items():
            yield self._below(name, value)

    def _below(self, key: str, value: object) -> "TomlTable":
        where = (*self._where, key)
        if not isinstance(value, dict):
            raise self.wrong("is not a table", key)
        return TomlTable(self._source, where, cast("dict[str, Any]", value))

    def done(self) -> None:
        """Malformed when a key is left that nobody asked for."""
        for key in self._left:
            raise self.wrong("is no key here", key)
