"""Reading hostile bytes: every index, length and conversion of outside data happens here or in a `parse` function.

`Reader` never yields fewer octets than asked for and never reads past its end; each failure is `Malformed` with the
offset. `prefixed` builds what `Reader.prefixed` reads.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from dnsbound.errors import Malformed, Misuse


class Reader:
    """A cursor over octets. what: the structure being read, for errors."""

    __slots__ = ("_data", "_end", "_offset", "_what")

    def __init__(self, data: bytes, what: str) -> None:
        self._data = data
        self._what = what
        self._offset = 0
        self._end = len(data)

    @property
    def offset(self) -> int:
        return self._offset

    @property
    def remaining(self) -> int:
        return self._end - self._offset

    def octets(self, count: int) -> bytes:
        if count > self.remaining:
            raise Malformed(f"{self._what} is cut short", self._offset)
        start = self._offset
        self._offset += count
        return self._data[start : self._offset]

    def uint(self, size: int) -> int:
        """Unsigned integer of `size` octets in network order."""
        return int.from_bytes(self.octets(size), "big")

    def rest(self) -> bytes:
        return self.octets(self.remaining)

    def prefixed(self, size: int) -> bytes:
        """Octets behind a length of `size` octets."""
        return self.octets(self.uint(size))

    @contextmanager
    def block(self, size: int) -> Iterator[None]:
        """Restrict reading to the octets behind a length of `size` octets; leaving any of them unread is Malformed."""
        length = self.uint(size)
        if length > self.remaining:
            raise Malformed(f"{self._what} is cut short", self._offset)
        outer, self._end = self._end, self._offset + length
        try:
            yield
            self.finish()
        finally:
            self._end = outer

    def finish(self) -> None:
        """Nothing may be left."""
        if self.remaining:
            raise Malformed(f"{self._what} has {self.remaining} octets too many", self._offset)


def prefixed(octets: bytes, size: int) -> bytes:
    """A length of `size` octets in network order, then the octets."""
    try:
        return len(octets).to_bytes(size, "big") + octets
    except OverflowError:
        raise Misuse(f"{len(octets)} octets do not fit a length of {size} octets") from None
