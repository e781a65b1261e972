"""The Network Access Identifier that a peer states in clear before anything is proved: a hint for routes (RFC 7542).

It is never a name to believe: who the peer is, the certificate or raw key and the DNS say. RFC 9190 section 2.1.8 has
peers leave the user away, `@cars.example`; many send what they like.

Sections: RFC 7542 2.2 to 2.6; RFC 9190 2.1.4, 2.1.8.
"""

import re
import unicodedata
from dataclasses import dataclass
from typing import Final, Self

from dnsbound.errors import Malformed
from dnsbound.limits import EAP_IDENTITY_OCTETS
from dnsbound.names import ClientName

_BEYOND_ASCII: Final = "\u0080-\U0010ffff"
_USER: Final = re.compile(
    rf"[A-Za-z0-9!#$%&'*+\-/=?^_`{{|}}~{_BEYOND_ASCII}]+(?:\.[A-Za-z0-9!#$%&'*+\-/=?^_`{{|}}~{_BEYOND_ASCII}]+)*"
)
_LABEL: Final = rf"[A-Za-z0-9{_BEYOND_ASCII}](?:[A-Za-z0-9\-{_BEYOND_ASCII}]*[A-Za-z0-9{_BEYOND_ASCII}])?"
_REALM: Final = re.compile(rf"(?:{_LABEL}\.)+{_LABEL}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Nai:
    """user: empty where it is left away. realm: empty where there is none. One of the two is there. As they came."""

    user: str
    realm: str

    @classmethod
    def parse(cls, octets: bytes) -> Self:
        """By the grammar of RFC 7542 section 2.2; Malformed for anything else, longer than fits RADIUS included."""
        if len(octets) > EAP_IDENTITY_OCTETS.default:
            raise Malformed(f"a NAI of {len(octets)} octets", EAP_IDENTITY_OCTETS.default)
        try:
            text = octets.decode()
        except UnicodeDecodeError as error:
            raise Malformed("a NAI that is not UTF-8", error.start) from None
        user, at, realm = text.partition("@")
        if at and not _REALM.fullmatch(realm):
            raise Malformed("the realm of a NAI", len(user.encode()) + 1)
        if not at and not user:
            raise Malformed("an empty NAI", 0)
        if user and not _USER.fullmatch(user):
            raise Malformed("the user of a NAI", 0)
        return cls(user=user, realm=realm)

    def to_wire(self) -> bytes:
        return (f"{self.user}@{self.realm}" if self.realm else self.user).encode()

    @property
    def routing_realm(self) -> str:
        """The realm as routes are compared by: normalised (NFC), in lower case. Never to be sent on (section 2.6)."""
        return unicodedata.normalize("NFC", self.realm).lower()


def anonymous_identity(name: ClientName) -> bytes:
    """The identity a client of this name states: the realm its records are under, and nothing of itself.

    The realm begins behind the last label with an underscore (`car54._device.cars.example` is `@cars.example`), or
    else behind the first label. A realm has two labels; where less is left, the identity is empty (RFC 3748 section
    5.1).
    """
    labels = name.canonical.split(".")
    marked = [place for place, label in enumerate(labels) if label.startswith("_")]
    realm = ".".join(labels[(marked[-1] if marked else 0) + 1 :])
    return f"@{realm}".encode() if _REALM.fullmatch(realm) else b""
