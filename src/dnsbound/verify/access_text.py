"""Reading an access list's TOML into entries, with the line number of whatever is not understood.

The TOML reader of the standard library gives no positions for what parses, so the line is searched for: that of the
first such key or text behind the header of its door. What entries mean is `dnsbound.verify.access`.
"""

import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final, TypeAlias

from dnsbound.errors import Malformed

Grants: TypeAlias = Mapping[str, Any]
NO_GRANTS: Final[Grants] = MappingProxyType({})

_DOOR_KEYS: Final = frozenset({"allow", "deny", "danger_short_patterns"})
_ENTRY_KEYS: Final = frozenset({"names", "grants"})


@dataclass(frozen=True, slots=True, kw_only=True)
class DoorText:
    """One door as written: names and patterns are not read yet."""

    name: str
    allow: tuple[tuple[str, Grants], ...]
    deny: tuple[str, ...]
    danger_short_patterns: bool


def read_doors(text: str) -> Iterator[DoorText]:
    """Every door of the list; Malformed with a line number when anything in it is not understood."""
    try:
        tree = tomllib.loads(text)
    except RecursionError:
        raise Malformed("access list: nested too deeply") from None
    except ValueError as error:
        raise Malformed(f"access list: {error}") from error
    for key in tree:
        if key != "door":
            raise fault(text, f"unknown key {key!r}; doors are tables [door.NAME]", key=key)
    doors = tree.get("door", {})
    if not isinstance(doors, dict):
        raise fault(text, "`door` is not a table", key="door")
    for name, table in doors.items():
        if not isinstance(table, dict):
            raise fault(text, f"door {name!r} is not a table", key=name)
        yield _door(text, name, table)


def fault(
    text: str, what: str, *, door: str | None = None, key: str | None = None, word: str | None = None
) -> Malformed:
    """The error about a key, or about a quoted word, of a door."""
    line = _line_of(text, door, key, word)
    where = f"access list, line {line}" if line else "access list"
    return Malformed(f"{where}: " + (what if door is None else f"door {door!r}: {what}"))


def _door(text: str, name: str, table: Mapping[str, Any]) -> DoorText:
    for key in table:
        if key not in _DOOR_KEYS:
            raise fault(text, f"unknown key {key!r}", door=name, key=key)
    short = table.get("danger_short_patterns", False)
    if not isinstance(short, bool):
        raise fault(text, "danger_short_patterns is neither true nor false", door=name, key="danger_short_patterns")
    for key in ("allow", "deny"):
        if not isinstance(table.get(key, []), list):
            raise fault(text, f"{key} is not an array", door=name, key=key)
    deny = table.get("deny", [])
    for word in deny:
        if not isinstance(word, str):
            raise fault(text, "deny holds something else than names", door=name, key="deny")
    allow = tuple(pair for entry in table.get("allow", []) for pair in _entry(text, name, entry))
    return DoorText(name=name, allow=allow, deny=tuple(deny), danger_short_patterns=short)


def _entry(text: str, door: str, entry: object) -> Iterator[tuple[str, Grants]]:
    if isinstance(entry, str):
        yield entry, NO_GRANTS
        return
    if not isinstance(entry, dict):
        raise fault(text, "allow holds something else than names and tables", door=door, key="allow")
    for key in entry:
        if key not in _ENTRY_KEYS:
            raise fault(text, f"unknown key {key!r} in an allow entry", door=door, key=key)
    names = entry.get("names")
    if not isinstance(names, list) or not names or not all(isinstance(name, str) for name in names):
        raise fault(text, "an allow entry needs `names`, an array of names", door=door, key="names")
    grants = entry.get("grants", {})
    if not isinstance(grants, dict):
        raise fault(text, "grants is not a table", door=door, key="grants")
    frozen = frozen_grants(grants)
    for name in names:
        yield name, frozen


def frozen_grants(grants: Mapping[str, Any]) -> Grants:
    """The same values, which nobody can change any more."""
    return MappingProxyType({key: _frozen(value) for key, value in grants.items()}) if grants else NO_GRANTS


def _frozen(value: object) -> object:
    if isinstance(value, Mapping):
        return MappingProxyType({key: _frozen(inner) for key, inner in value.items()})
    if isinstance(value, list | tuple):
        return tuple(_frozen(inner) for inner in value)
    return value


def _line_of(text: str, door: str | None, key: str | None, word: str | None) -> int | None:
    start = 0
    if door is not None:
        header = re.search(rf"^\s*\[+\s*door\s*\.\s*[\"']?{re.escape(door)}[\"']?\s*[\].]", text, re.MULTILINE)
        start = header.start() if header else 0
    if word is not None:
        wanted = rf"[\"']{re.escape(word)}[\"']"
    else:
        quoted = rf"[\"']?{re.escape(key or '')}[\"']?"
        wanted = rf"(?:^|[\s,{{.\[]){quoted}\s*(?:=|\.|\])"
    found = re.compile(wanted, re.MULTILINE).search(text, start)
    if found is None:
        return None
    # The match may begin with the line break before the key.
    lead = len(found[0]) - len(found[0].lstrip())
    return text.count("\n", 0, found.start() + lead) + 1
