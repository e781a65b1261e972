"""Where a DNS server is: `192.0.2.1`, `192.0.2.1:5300`, `[2001:db8::53]:5300` or `ns1.cars.example:5300`."""

import ipaddress
import re
from dataclasses import dataclass
from typing import Final, Self

from dnsbound.errors import Malformed

DNS_PORT: Final = 53
_HOST: Final = re.compile(r"(?=.{1,253}\Z)(?:[A-Za-z0-9_-]{1,63}\.)*[A-Za-z0-9_-]{1,63}")
_BRACKETS: Final = re.compile(r"\[([^\]]*)\](?::([0-9]{1,5}))?")
_PLAIN: Final = re.compile(r"([^:\[\]]+)(?::([0-9]{1,5}))?")


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """host: an IP address without brackets, or a host name that the system resolves."""

    host: str
    port: int = DNS_PORT

    @classmethod
    def parse(cls, text: str, *, port: int = DNS_PORT) -> Self:
        """port: where the text names none. Malformed."""
        found = _BRACKETS.fullmatch(text) or _PLAIN.fullmatch(text)
        bare = text.count(":") > 1 and not text.startswith("[")
        host, said = (text, None) if bare else found.groups() if found else ("", None)
        if not _is_host(host):
            raise Malformed(f"server {text!r} is neither ADDRESS, ADDRESS:PORT, [ADDRESS]:PORT nor NAME:PORT")
        number = port if said is None else int(said)
        if not 0 < number < 65536:
            raise Malformed(f"server {text!r}: the port is not from 1 to 65535")
        return cls(host=host, port=number)

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == DNS_PORT else f"{host}:{self.port}"


def _is_host(text: str) -> bool:
    try:
        ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return _HOST.fullmatch(text) is not None
    return True
