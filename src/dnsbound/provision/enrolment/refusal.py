"""Why a device was not enrolled, as words that programs and tests compare. Not a verdict on a claim at a door
(`dnsbound.errors.Reason`): here the name is being given out."""

from enum import StrEnum
from typing import Final

from dnsbound.errors import DnsboundError


class Because(StrEnum):
    """Why not. The value is what the log shows."""

    # The requester is nobody here, or not who may have this name.
    NOT_AUTHORISED = "not-authorised"
    """Neither a token of this name nor a key that is expected under it."""
    EXPIRED = "expired"
    """Its token or permission has ended."""
    USED = "used"
    """Its token or permission was used already, with another key."""
    ANOTHER_KEY = "another-key"
    """The token is bound to a key that was proved neither by the request nor by the connection."""
    # The requester may have the name; the request is not one that can be granted.
    OTHER_NAME = "other-name"
    """The request asks for another name than the one that was permitted, or for further names beside it."""
    WEAK_KEY = "weak-key"
    WANTS_AUTHORITY = "wants-authority"
    """The request is for a certificate that signs others."""
    NOT_LINKED = "not-linked"
    """The request's challengePassword is of another connection (RFC 7030 section 3.5)."""
    # The name cannot be given out now.
    REGISTERED = "registered"
    """The name is somebody's already."""
    REVOKED = "revoked"
    """The name was revoked after the permission had been given."""
    BLOCKED = "blocked"
    """A blocking record stands at the name."""
    IN_CHANGE = "in-change"
    """The name's key is being changed to another one already, or may not be changed now."""
    NO_ROOM = "no-room"
    """Something stands at the name, or above it, beside which its record cannot: an alias, a delegation."""
    NO_ZONE = "no-zone"
    """No zone here, and none that is published to, holds the name."""


STRANGERS: Final = frozenset({Because.NOT_AUTHORISED, Because.EXPIRED, Because.USED, Because.ANOTHER_KEY})
"""Reasons of requesters who are told nothing at all: what they learn could be about names that are not theirs."""


class EnrolmentRefused(DnsboundError):
    """Decided: this device is not enrolled. Nothing was changed."""

    def __init__(self, because: Because, detail: str = "") -> None:
        super().__init__(f"{because.value}: {detail}" if detail else because.value)
        self.because = because
        self.detail = detail
