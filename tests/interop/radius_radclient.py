"""radclient: single RADIUS packets of FreeRADIUS' making, right and wrong, and what answers them."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from interop.daemon import program, run

Command = Literal["auth", "acct", "status", "disconnect", "coa", "auto"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """code: such as Access-Accept; None for silence. attributes: name and printed value, in order."""

    code: str | None
    attributes: tuple[tuple[str, str], ...]
    output: str

    def of(self, name: str) -> tuple[str, ...]:
        return tuple(value for known, value in self.attributes if known == name)


def radclient(
    command: Command,
    attributes: Sequence[str],
    *,
    port: int,
    secret: str,
    address: str = "127.0.0.1",
    retries: int = 1,
    seconds: float = 20.0,
) -> Answer:
    """Send one packet with these attributes (`User-Name = "car54"`), up to `retries` times of `seconds` each. A
    Message-Authenticator must be among them, as `0x00`, for the packet to have one."""
    words = [program("radclient"), "-x", "-r", str(retries), "-t", str(seconds), f"{address}:{port}", command, secret]
    done = run(words, text="\n".join(attributes) + "\n", seconds=retries * seconds + 20)
    output = done.stdout + done.stderr
    found = re.findall(r"^Received (\S+) Id \d+ from .*\n((?:\t.*\n)*)", output, re.MULTILINE)
    if not found:
        return Answer(code=None, attributes=(), output=output)
    code, lines = found[-1]
    pairs = re.findall(r"^\t(\S+) = (.*)$", lines, re.MULTILINE)
    return Answer(code=code, attributes=tuple((name, value.strip('"')) for name, value in pairs), output=output)
