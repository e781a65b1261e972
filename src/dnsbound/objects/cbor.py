"""CBOR as COSE needs it: one item from somebody who is not trusted, and deterministic encoding (RFC 8949).

Reading is our own, because a general decoder does what must not happen here: it makes objects of a stranger's tags
(regular expressions, mail messages, shared references), lets the last of two equal keys win, and leaves what stands
behind the item unread. Here a tag is a number beside a value, every map's keys are different integers or texts, lengths
are definite, and depth and number of items are limited. Writing is `cbor2`'s, with keys in the order of RFC 8949
section 4.2.1; floating point is not written.

Values: int, bytes, str, list, dict with keys of int or str, bool, None, float, and `cbor2.CBORTag`.
"""

import struct
from typing import Any, Final

import cbor2
from cbor2 import CBORTag

from dnsbound.errors import LimitExceeded, Malformed, Misuse
from dnsbound.limits import Budget
from dnsbound.object_limits import CBOR_DEPTH, CBOR_ITEMS

__all__ = ["CBORTag", "byte_string", "from_cbor", "to_cbor"]

_ARGUMENT_OCTETS: Final = {24: 1, 25: 2, 26: 4, 27: 8}
_FLOATS: Final = {25: ">e", 26: ">f", 27: ">d"}
_SIMPLE: Final[dict[int, bool | None]] = {20: False, 21: True, 22: None}
_UINT, _NEGINT, _BYTES, _TEXT, _ARRAY, _MAP, _OTHER = 0, 1, 2, 3, 4, 5, 7


def from_cbor(octets: bytes, what: str) -> Any:  # noqa: ANN401 (whatever the item is)
    """The one item that the octets are. what: the thing being read, for errors. Malformed, also for octets too many;
    LimitExceeded for an item too deep or of too many parts."""
    reader = _ItemReader(octets, what)
    value = reader.item(0)
    reader.finish()
    return value


def to_cbor(value: Any) -> bytes:  # noqa: ANN401 (see above)
    """Deterministic encoding. Misuse for what this package does not write."""
    return cbor2.dumps(_in_order(value))


def byte_string(octets: bytes) -> bytes:
    """The same for one byte string, which needs no general encoder."""
    length = len(octets)
    if length < 24:
        return bytes((0x40 | length,)) + octets
    size = next(size for size in (1, 2, 4, 8) if length < 1 << (8 * size))
    return bytes((0x58 + size.bit_length() - 1,)) + length.to_bytes(size, "big") + octets


def _in_order(value: Any) -> Any:  # noqa: ANN401 (see above)
    match value:
        case dict():
            if any(isinstance(key, bool) or not isinstance(key, int | str) for key in value):
                raise Misuse("keys of a map are integers or texts")
            pairs = sorted((cbor2.dumps(key), key) for key in value)
            return {key: _in_order(value[key]) for _, key in pairs}
        case list() | tuple():
            return [_in_order(entry) for entry in value]
        case CBORTag():
            return CBORTag(value.tag, _in_order(value.value))
        case int() | bytes() | str() | None:  # bool is an int
            return value
        case _:
            raise Misuse(f"a {type(value).__name__} is not written as CBOR here")


class _ItemReader:
    """A cursor over the octets of one item."""

    __slots__ = ("_budget", "_octets", "_offset", "_what")

    def __init__(self, octets: bytes, what: str) -> None:
        self._octets = octets
        self._what = what
        self._offset = 0
        self._budget = Budget(CBOR_ITEMS)

    def item(self, depth: int) -> Any:  # noqa: ANN401 (whatever the item is)
        if depth > CBOR_DEPTH.default:
            raise LimitExceeded(CBOR_DEPTH.name, f"{self._what} is nested too deeply")
        self._budget.spend()
        start = self._offset
        initial = self._take(1)[0]
        major, information = initial >> 5, initial & 31
        if major == _OTHER:
            return self._simple(information, start)
        argument = self._argument(information, start)
        if major <= _NEGINT:
            return argument if major == _UINT else -1 - argument
        return (
            self._octets_of(major, argument, start) if major <= _TEXT else self._nested(major, argument, depth, start)
        )

    def _octets_of(self, major: int, length: int, start: int) -> bytes | str:
        return self._take(length) if major == _BYTES else self._text(length, start)

    def _nested(self, major: int, argument: int, depth: int, start: int) -> Any:  # noqa: ANN401 (see above)
        if major == _ARRAY:
            return [self.item(depth + 1) for _ in range(self._count(argument, 1, start))]
        return self._map(argument, depth, start) if major == _MAP else CBORTag(argument, self.item(depth + 1))

    def finish(self) -> None:
        if self._offset != len(self._octets):
            raise Malformed(f"{self._what} has {len(self._octets) - self._offset} octets too many", self._offset)

    def _take(self, count: int) -> bytes:
        end = self._offset + count
        if end > len(self._octets):
            raise Malformed(f"{self._what} is cut short", self._offset)
        taken = self._octets[self._offset : end]
        self._offset = end
        return taken

    def _argument(self, information: int, start: int) -> int:
        if information < 24:
            return information
        size = _ARGUMENT_OCTETS.get(information)
        if size is None:
            why = "has an item of indefinite length" if information == 31 else "is not CBOR"
            raise Malformed(f"{self._what} {why}", start)
        return int.from_bytes(self._take(size), "big")

    def _count(self, count: int, octets_each: int, start: int) -> int:
        """How many entries follow; each takes an octet at least, so that a length alone reserves nothing."""
        if count * octets_each > len(self._octets) - self._offset:
            raise Malformed(f"{self._what} is cut short", start)
        return count

    def _text(self, length: int, start: int) -> str:
        try:
            return self._take(length).decode("utf-8")
        except UnicodeDecodeError:
            raise Malformed(f"{self._what} has a text that is not UTF-8", start) from None

    def _map(self, length: int, depth: int, start: int) -> dict[int | str, Any]:
        found: dict[int | str, Any] = {}
        for _ in range(self._count(length, 2, start)):
            offset = self._offset
            key = self.item(depth + 1)
            if isinstance(key, bool) or not isinstance(key, int | str):
                raise Malformed(f"{self._what} has a map key that is neither integer nor text", offset)
            if key in found:
                raise Malformed(f"{self._what} has the map key {str(key)[:40]!r} twice", offset)
            found[key] = self.item(depth + 1)
        return found

    def _simple(self, information: int, start: int) -> float | bool | None:
        if information in _SIMPLE:
            return _SIMPLE[information]
        form = _FLOATS.get(information)
        if form is None:
            raise Malformed(f"{self._what} has a simple value that is not used here", start)
        value: float = struct.unpack(form, self._take(_ARGUMENT_OCTETS[information]))[0]
        return value
