"""A permission to enrol under one exact name, as a value: by a one-time token, by a known key, or as a maker's device.

A token is told once, when it is made; the inventory keeps its SHA-256. It has 192 bits of entropy, so that a plain
digest is enough: nothing that could be guessed is hashed, and a look-up by digest takes no time that says anything.
"""

import hashlib
import re
import secrets
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from dnsbound.errors import Malformed
from dnsbound.names import ClientName
from dnsbound.times import Moment

TOKEN_PREFIX: Final = "dnsbound-enrol-"  # noqa: S105 (what is said before a secret, so that it is known for one)
_TOKEN_OCTETS: Final = 24
_TOKEN: Final = re.compile(rf"{TOKEN_PREFIX}[A-Za-z0-9_-]{{32}}")
_DIGEST: Final = re.compile(r"[0-9a-fA-F]{64}")


class PermissionState(StrEnum):
    """What a permission is good for."""

    OPEN = "open"
    USED = "used"
    """A device was enrolled with it. The same device may ask again with the same key; nobody else ever."""
    EXPIRED = "expired"


@dataclass(frozen=True, slots=True, kw_only=True)
class Permission:
    """Who may be enrolled under a name, until when, and who was."""

    number: int
    name: ClientName
    by_token: bool
    key_sha256: bytes | None
    """SHA-256 of a DER SubjectPublicKeyInfo that must be proved; None for any key, with a token."""
    maker: ClientName | None
    """The name, authenticated by DANE, under which the device comes from its maker."""
    created_at: Moment
    expires_at: Moment
    used_at: Moment | None
    used_by: str | None
    """Hexadecimal SHA-256 of the key that was registered."""

    def state(self, now: Moment) -> PermissionState:
        if self.used_at is not None:
            return PermissionState.USED
        return PermissionState.EXPIRED if now >= self.expires_at else PermissionState.OPEN


def new_token() -> str:
    """A secret that is told once."""
    return TOKEN_PREFIX + secrets.token_urlsafe(_TOKEN_OCTETS)


def token_digest(token: str) -> bytes | None:
    """What the inventory keeps of it; None for what cannot be a token."""
    return hashlib.sha256(token.encode("ascii")).digest() if _TOKEN.fullmatch(token) else None


def key_digest(spki: bytes) -> bytes:
    """What a permission names a key by: SHA-256 of the DER SubjectPublicKeyInfo."""
    return hashlib.sha256(spki).digest()


def key_digest_of_text(text: str) -> bytes:
    """A key's SHA-256 in hexadecimal, colons and spaces passed over; Malformed."""
    digits = re.sub(r"[:\s]", "", text).removeprefix("sha256/")
    if _DIGEST.fullmatch(digits) is None:
        raise Malformed(f"{text[:80]!r} is not the SHA-256 of a public key, in hexadecimal")
    return bytes.fromhex(digits)
