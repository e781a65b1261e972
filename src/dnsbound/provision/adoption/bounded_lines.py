"""Lines of a file of any length, one at a time, none of them longer in memory than a limit."""

from collections.abc import Iterator
from typing import Final

from dnsbound.provision.adoption.candidate import Problem, RowFault
from dnsbound.provision.adoption.source import Octets

_UTF8_MARK: Final = b"\xef\xbb\xbf"


def bounded_lines(stream: Octets, limit: int) -> Iterator[tuple[int, bytes | None]]:
    """Number and octets of each line, its end included; None in place of a line of more than `limit` octets. The mark
    that some editors begin UTF-8 with is dropped."""
    number = 0
    while line := stream.readline(limit + 1):
        number += 1
        if number == 1:
            line = line.removeprefix(_UTF8_MARK)
        if len(line) <= limit:
            yield number, line
            continue
        while line and not line.endswith(b"\n"):
            line = stream.readline(limit)
        yield number, None


def whole(line: bytes | None, limit: int) -> bytes:
    """A line that was not too long. RowFault."""
    if line is None:
        raise RowFault(Problem.TOO_LARGE, f"longer than the {limit} octets of a row")
    return line
