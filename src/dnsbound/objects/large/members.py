"""Members of the JSON objects of manifests and segment records: each of exactly its type, and none that is unknown, for
what it was to say would be lost."""

import re
from typing import Any, Final, Self

from dnsbound.budget import Limit
from dnsbound.errors import LimitExceeded, Malformed
from dnsbound.objects.jose.strict_json import read_object
from dnsbound.times import Moment, iso, moment_of_text

_DIGEST: Final = re.compile(r"[0-9a-f]{64}")
_MEDIA_TYPE: Final = re.compile(r"[a-z0-9][a-z0-9!#$&^_.+-]{0,126}/[a-z0-9][a-z0-9!#$&^_.+-]{0,126}")
"""RFC 6838 section 4.2, in lower case and without parameters."""
_LARGEST: Final = 2**63 - 1
_ABSENT: Final = object()


class Members:
    """The members of one object while they are read. what: the thing being read, for errors."""

    __slots__ = ("_left", "_what")

    def __init__(self, value: object, what: str) -> None:
        if not isinstance(value, dict):
            raise Malformed(f"{what}: not a JSON object")
        self._left = dict(value)
        self._what = what

    @classmethod
    def from_wire(cls, octets: bytes, what: str, limit: Limit) -> Self:
        """Of the octets of one object; LimitExceeded for more than the limit ever allows."""
        if len(octets) > limit.maximum:
            raise LimitExceeded(limit.name, f"{what} of {len(octets)} octets")
        return cls(read_object(octets, what), what)

    def __contains__(self, member: str) -> bool:
        return member in self._left

    def number(self, member: str, *, least: int = 0) -> int:
        value = self._taken(member)
        if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= _LARGEST:
            raise self._wrong(member, "a number in range")
        return value

    def text(self, member: str) -> str:
        value = self._taken(member)
        if not isinstance(value, str):
            raise self._wrong(member, "a text")
        return value

    def digest(self, member: str) -> bytes:
        return self._digest(self._taken(member), member)

    def digests(self, member: str, *, most: int) -> tuple[bytes, ...]:
        return tuple(self._digest(value, member) for value in self.entries(member, most=most))

    def media_type(self, member: str) -> str | None:
        """None where it is not there."""
        if member not in self._left:
            return None
        return checked_media_type(self.text(member))

    def moment(self, member: str) -> Moment:
        return moment_of_text(self.text(member))

    def moment_or_none(self, member: str) -> Moment | None:
        return self.moment(member) if member in self._left else None

    def true(self, member: str) -> bool:
        """Whether it is there; where it is, it is true."""
        if member not in self._left:
            return False
        if self._taken(member) is not True:
            raise self._wrong(member, "true")
        return True

    def entries(self, member: str, *, most: int) -> list[Any]:
        value = self._taken(member)
        if not isinstance(value, list):
            raise self._wrong(member, "a list")
        if len(value) > most:
            raise self._wrong(member, f"a list of {most} at most")
        return value

    def done(self) -> None:
        for member in self._left:
            raise Malformed(f"{self._what}: {member[:40]!r} is no member here")

    def _digest(self, value: object, member: str) -> bytes:
        if not isinstance(value, str) or _DIGEST.fullmatch(value) is None:
            raise self._wrong(member, "a SHA-256 in 64 lower-case hexadecimal digits")
        return bytes.fromhex(value)

    def _taken(self, member: str) -> object:
        value = self._left.pop(member, _ABSENT)
        if value is _ABSENT:
            raise Malformed(f"{self._what}: {member} is missing")
        return value

    def _wrong(self, member: str, wanted: str) -> Malformed:
        return Malformed(f"{self._what}: {member} is not {wanted}")


def checked_media_type(text: str) -> str:
    """A media type in lower case, without parameters; Malformed otherwise."""
    if _MEDIA_TYPE.fullmatch(text) is None:
        raise Malformed(f"{text[:40]!r} is no media type such as video/mp4")
    return text


def moments(**named: Moment | None) -> dict[str, str]:
    """As members, those that are there."""
    return {member: iso(moment) for member, moment in named.items() if moment is not None}
