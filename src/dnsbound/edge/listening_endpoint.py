"""Where a server listens, or a peer is reached: `192.0.2.1:1812`, `[2001:db8::1]:1812` or `192.0.2.1`."""

import ipaddress
import re
from dataclasses import dataclass
from typing import Final, Self

from dnsbound.errors import Malformed

_BRACKETS: Final = re.compile(r"\[([^\]]*)\](?::([0-9]{1,5}))?")
_PLAIN: Final = re.compile(r"([^:\[\]]+)(?::([0-9]{1,5}))?")


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """host: an IP address in text form, without brackets. port: 0 takes any that is free."""

    host: str
    port: int

    @classmethod
    def parse(cls, text: str, *, port: int) -> Self:
        """port: where the text names none. Malformed."""
        bare = text.count(":") > 1 and not text.startswith("[")
        found = _BRACKETS.fullmatch(text) or _PLAIN.fullmatch(text)
        host, said = (text, None) if bare else found.groups() if found else ("", None)
        try:
            ipaddress.ip_address(host)
        except ValueError:
            raise Malformed(f"{text!r} is neither ADDRESS, ADDRESS:PORT nor [ADDRESS]:PORT") from None
        number = port if said is None else int(said)
        if number > 65535:
            raise Malformed(f"{text!r}: the port is not from 0 to 65535")
        return cls(host=host, port=number)

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def why_not_bound(error: OSError) -> str:
    """Why a socket cannot be bound, in small letters, without what socket.create_server says again of the address."""
    return (error.strerror or str(error)).partition(" (while ")[0].lower()
