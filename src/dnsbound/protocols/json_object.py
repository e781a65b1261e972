"""One JSON object from somebody who is not trusted: bounded, UTF-8, every member once, and nothing that JSON does not
know (RFC 8259 sections 4 and 6; RFC 7493 section 2.3 for the members).

What this is not: a reader of schemas. `JsonMembers` takes members one by one, each of the type it must have.
"""

import json
from typing import Any, Final, NoReturn

from dnsbound.door_limits import FRONT_JSON_OCTETS
from dnsbound.errors import LimitExceeded, Malformed

_FEW: Final = 40
"""Characters of a stranger's text that an error repeats."""


class JsonMembers:
    """The members of one object while they are read. what: the thing being read, for errors."""

    def __init__(self, what: str, members: dict[str, Any]) -> None:
        self._what = what
        self._members = members

    @classmethod
    def from_wire(cls, octets: bytes, what: str) -> "JsonMembers":
        """Malformed when it is no such object, LimitExceeded when it is too long."""
        if len(octets) > FRONT_JSON_OCTETS.default:
            raise LimitExceeded(FRONT_JSON_OCTETS.name, f"{len(octets)} octets")
        try:
            value = json.loads(octets.decode("utf-8"), object_pairs_hook=_once, parse_constant=_no_constant)
        except UnicodeDecodeError as error:
            raise Malformed(f"{what}: not UTF-8", error.start) from None
        except json.JSONDecodeError as error:
            raise Malformed(f"{what}: not JSON: {error.msg}", error.pos) from None
        except (RecursionError, ValueError):  # the latter: a number of thousands of digits
            raise Malformed(f"{what}: nested too deeply, or a number too long") from None
        if not isinstance(value, dict):
            raise Malformed(f"{what}: not a JSON object")
        return cls(what, value)

    def __contains__(self, member: str) -> bool:
        return member in self._members

    def text(self, member: str, default: str = "") -> str:
        """default: also where the member is null."""
        value = self._members.pop(member, None)
        if value is None:
            return default
        if not isinstance(value, str):
            raise Malformed(f"{self._what}: {member} is not a text")
        return value

    def texts(self, member: str) -> tuple[str, ...]:
        """A list of texts; empty where the member is not there."""
        value = self._members.pop(member, None)
        if value is None:
            return ()
        if not isinstance(value, list) or not all(isinstance(entry, str) for entry in value):
            raise Malformed(f"{self._what}: {member} is not a list of texts")
        return tuple(value)

    def number(self, member: str, default: int) -> int:
        value = self._members.pop(member, default)
        if not isinstance(value, int) or isinstance(value, bool):
            raise Malformed(f"{self._what}: {member} is not a whole number")
        return value

    def below(self, member: str) -> "JsonMembers":
        """An object inside; an empty one where the member is not there."""
        value = self._members.pop(member, {})
        if not isinstance(value, dict):
            raise Malformed(f"{self._what}: {member} is not an object")
        return JsonMembers(f"{self._what}: {member}", value)

    def all_texts(self) -> dict[str, str]:
        """Every member that is left, each a text."""
        return {member: self.text(member) for member in list(self._members)}

    def rest(self) -> dict[str, Any]:
        """Every member that is left, whatever it is."""
        return dict(self._members)

    def done(self) -> None:
        """Malformed when a member is left that nobody asked for: what it was to say would be lost."""
        for member in self._members:
            raise Malformed(f"{self._what}: {member[:_FEW]!r} is no member here")


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise Malformed("JSON: an object names a member twice")
    return found


def _no_constant(word: str) -> NoReturn:
    raise Malformed(f"JSON: {word} is no number")
