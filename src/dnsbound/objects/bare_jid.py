"""Bare XMPP addresses: `local@domain`, without a resource (RFC 7622 section 3).

In ASCII and lower case alone. What is beyond needs tables of Unicode to compare (RFC 8265), and two addresses that look
alike must never be taken for one: such an address is no address here, rather than a guess.
"""

import re
from dataclasses import dataclass
from typing import Final, Self

from dnsbound.errors import Malformed

LOCAL_PART: Final = re.compile(r"[a-z0-9._~!$()*+,;=%#?^{|}`\\-]{1,255}")
_LABEL: Final = r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"
_DOMAIN: Final = re.compile(rf"{_LABEL}(?:\.{_LABEL})*")
_DOMAIN_OCTETS: Final = 253


@dataclass(frozen=True, slots=True)
class BareJid:
    """An address in the one form that is compared."""

    local: str
    domain: str

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read an address that is in lower case already, as servers hand them on. Malformed for anything else, a
        resource included."""
        local, at, domain = text.partition("@")
        if not at:
            raise Malformed("XMPP address without a local part")
        if LOCAL_PART.fullmatch(local) is None:
            raise Malformed("XMPP address with a local part that is not plain ASCII in lower case", 0)
        if len(domain) > _DOMAIN_OCTETS or _DOMAIN.fullmatch(domain) is None:
            raise Malformed("XMPP address whose domain is none in lower case, or that has a resource", len(local) + 1)
        return cls(local, domain)

    def to_text(self) -> str:
        return f"{self.local}@{self.domain}"

    def __str__(self) -> str:
        return self.to_text()
