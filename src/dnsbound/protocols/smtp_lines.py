"""SMTP as octets: command lines, replies, and the content of a message, cut where RFC 5321 cuts them and nowhere else.

Two programs that disagree where a line or a message ends let one client speak in the name of another (SMTP smuggling,
CVE-2023-51764 and its likes). So there is one line ending here, CRLF; a bare CR or LF from a client is an error
wherever it stands (RFC 5321 section 2.3.8), and a message ends with CRLF.CRLF alone (section 4.1.1.4). Content is
looked through and passed on, not kept. What commands mean is not here.
"""

import re
from dataclasses import dataclass
from typing import Final, Self

from dnsbound.door_limits import SMTP_COMMAND_OCTETS, SMTP_REPLY_OCTETS
from dnsbound.errors import LimitExceeded, Malformed

_CRLF: Final = b"\r\n"
_BARE_LF: Final = re.compile(rb"(?<!\r)\n")
_BARE_CR: Final = re.compile(rb"\r[^\n]")
_CONTROL: Final = re.compile(rb"[\x00-\x1f\x7f]")
_COMMAND: Final = re.compile(rb"([A-Za-z0-9]{1,32})(?: (.*))?")
_REPLY_LINE: Final = re.compile(rb"([2-5][0-9]{2})([ -]?)(.*)")
_END: Final = b"\r\n.\r\n"


@dataclass(frozen=True, slots=True)
class Command:
    """verb: in capitals. argument: what stands behind the first space, as it came, without spaces around it."""

    verb: str
    argument: bytes

    @classmethod
    def parse(cls, line: bytes) -> Self:
        """line: without its CRLF. Malformed for controls and for what begins with no verb."""
        if (control := _CONTROL.search(line)) is not None:
            raise Malformed("an SMTP command with a control character", control.start())
        found = _COMMAND.fullmatch(line)
        if found is None:
            raise Malformed("an SMTP command without a verb", 0)
        return cls(found[1].decode("ascii").upper(), (found[2] or b"").strip(b" "))


def cut_line(kept: bytearray) -> bytes | None:
    """Take one line, without its CRLF; None until it is complete. Malformed for a line ended or broken otherwise,
    LimitExceeded for a line that is too long."""
    end = kept.find(b"\n", 0, SMTP_COMMAND_OCTETS.default)
    if end < 0:
        if len(kept) >= SMTP_COMMAND_OCTETS.default:
            raise LimitExceeded(SMTP_COMMAND_OCTETS.name, "a line of a client")
        if _BARE_CR.search(kept):
            raise Malformed("a bare CR in an SMTP line")
        return None
    if end == 0 or kept[end - 1] != _CRLF[0]:
        raise Malformed("an SMTP line that ends in a bare LF", end)
    line = bytes(kept[: end - 1])
    if b"\r" in line:
        raise Malformed("a bare CR in an SMTP line", line.index(b"\r"))
    del kept[: end + 1]
    return line


@dataclass(frozen=True, slots=True)
class Reply:
    """One reply of a server (RFC 5321 section 4.2). lines: the texts, one or more, without code and CRLF."""

    code: int
    lines: tuple[bytes, ...]

    def to_wire(self) -> bytes:
        code = b"%d" % self.code
        *before, last = self.lines
        return b"".join(code + b"-" + line + _CRLF for line in before) + code + b" " + last + _CRLF


class Replies:
    """Cuts what a server says into replies."""

    __slots__ = ("_code", "_kept", "_lines", "_octets")

    def __init__(self) -> None:
        self._kept = bytearray()
        self._lines: list[bytes] = []
        self._code = b""
        self._octets = 0

    def receive(self, octets: bytes) -> None:
        """Keep what was said for `next`."""
        self._kept += octets

    def next(self) -> Reply | None:
        """The next complete reply; Malformed for what is none, LimitExceeded for one that is too long."""
        while (end := self._kept.find(_CRLF)) >= 0:
            line = bytes(self._kept[:end])
            del self._kept[: end + 2]
            self._count(end + 2)
            if (reply := self._line(line)) is not None:
                self._lines, self._code, self._octets = [], b"", 0
                return reply
        if self._octets + len(self._kept) > SMTP_REPLY_OCTETS.default:
            raise LimitExceeded(SMTP_REPLY_OCTETS.name, "a reply of a server")
        return None

    def _count(self, octets: int) -> None:
        self._octets += octets
        if self._octets > SMTP_REPLY_OCTETS.default:
            raise LimitExceeded(SMTP_REPLY_OCTETS.name, "a reply of a server")

    def _line(self, line: bytes) -> Reply | None:
        found = _REPLY_LINE.fullmatch(line)
        if found is None or b"\r" in line or b"\n" in line or self._code not in (b"", found[1]):
            raise Malformed("a line of a server that is no SMTP reply")
        self._code = found[1]
        self._lines.append(found[3])
        return None if found[2] == b"-" else Reply(int(self._code), tuple(self._lines))


class Content:
    """Looks through the content of one message, from behind `354` to the line with a single dot."""

    __slots__ = ("_last",)

    def __init__(self) -> None:
        self._last = _CRLF
        """What was passed last, as far as it can belong to the end; content begins on a new line."""

    def take(self, octets: bytes) -> int | None:
        """How many of the octets belong to the message, its end included; None for all of them and more to come.

        Malformed for a bare CR or LF. The octets before it are part of a message that must then never be finished.
        """
        seen = self._last + octets
        end = seen.find(_END)
        ours = seen if end < 0 else seen[: end + len(_END)]
        if _BARE_LF.search(ours, len(self._last)) or _BARE_CR.search(ours, len(self._last) - 1):
            raise Malformed("a bare CR or LF in a message")
        if end < 0:
            self._last = seen[-(len(_END) - 1) :]
            return None
        return len(ours) - len(self._last)
