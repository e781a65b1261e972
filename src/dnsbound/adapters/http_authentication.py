"""Exported authenticators (RFC 9261) as an HTTP authentication scheme (RFC 9110 section 11): the fields, nothing else.

    WWW-Authenticate: Exported-Authenticator request="..."       server, with 401: prove who you are on this connection
    Authorization: Exported-Authenticator authenticator="..."    client: the answer
    Authorization: Exported-Authenticator context="..."          client, later: the name I proved by that answer

Values are base64url without padding (RFC 4648 section 5). The scheme is this project's own, and its use is told in
docs/howto/late-authentication.md. Any text gives a value or Malformed.
"""

import binascii
import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from dnsbound.errors import LimitExceeded, Malformed
from dnsbound.limits import AUTHENTICATOR_OCTETS

SCHEME: Final = "Exported-Authenticator"

_CHALLENGE: Final = re.compile(
    rf'(?:^|,)[ \t]*{SCHEME}[ \t]+request=(?:"([A-Za-z0-9_-]+)"|([A-Za-z0-9_-]+))[ \t]*(?=,|$)', re.IGNORECASE
)
_CREDENTIALS: Final = re.compile(
    rf'{SCHEME}[ \t]+(authenticator|context)[ \t]*=[ \t]*(?:"([A-Za-z0-9_-]+)"|([A-Za-z0-9_-]+))[ \t]*', re.IGNORECASE
)


@dataclass(frozen=True, slots=True)
class Answer:
    """An authenticator, to be verified."""

    authenticator: bytes

    def to_text(self) -> str:
        return f'{SCHEME} authenticator="{_encoded(self.authenticator)}"'


@dataclass(frozen=True, slots=True)
class Reference:
    """The context of an authenticator that was verified on this connection."""

    context: bytes

    def to_text(self) -> str:
        return f'{SCHEME} context="{_encoded(self.context)}"'


def challenge_text(request: bytes) -> str:
    """The value of WWW-Authenticate. request: octets of the request for an authenticator."""
    return f'{SCHEME} request="{_encoded(request)}"'


def challenge_in(values: Iterable[str]) -> bytes | None:
    """The first request among the values of WWW-Authenticate; None without this scheme. Malformed, LimitExceeded."""
    for value in values:
        found = _CHALLENGE.search(value)
        if found is not None:
            return _decoded(found[1] or found[2])
    return None


def credentials_in(values: Iterable[str]) -> Answer | Reference | None:
    """What Authorization says; None for another scheme or no such field. Malformed, LimitExceeded."""
    listed = list(values)
    if not any(value[: len(SCHEME)].lower() == SCHEME.lower() for value in listed):
        return None
    if len(listed) > 1:
        raise Malformed("several Authorization fields")
    found = _CREDENTIALS.fullmatch(listed[0])
    if found is None:
        raise Malformed(f"{SCHEME} credentials without an authenticator or a context")
    octets = _decoded(found[2] or found[3])
    return Answer(octets) if found[1].lower() == "authenticator" else Reference(octets)


def _encoded(octets: bytes) -> str:
    return urlsafe_b64encode(octets).rstrip(b"=").decode("ascii")


def _decoded(text: str) -> bytes:
    if len(text) * 3 // 4 > AUTHENTICATOR_OCTETS.default:
        raise LimitExceeded(AUTHENTICATOR_OCTETS.name, f"{len(text)} characters")
    try:
        octets = urlsafe_b64decode(text + "=" * (-len(text) % 4))
    except (binascii.Error, ValueError) as error:
        raise Malformed("not base64url") from error
    if _encoded(octets) != text:
        raise Malformed("not base64url in its one form")
    return octets
