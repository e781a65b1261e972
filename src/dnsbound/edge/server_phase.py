"""Where an accepted connection stands between its first octet and its last, and where it may go from there."""

from collections.abc import Mapping
from enum import StrEnum
from typing import Final


class Phase(StrEnum):
    """Where a connection stands."""

    HANDSHAKE = "handshake"
    """TLS is being shaken hands on."""
    VERDICT = "verdict"
    """TLS is complete, possession is proved, and the authenticator was asked."""
    OPEN = "open"
    """Admitted; the application speaks."""
    LINGER = "linger"
    """Our last octet is on its way; what still comes in is thrown away."""
    CLOSED = "closed"


TRANSITIONS: Final[Mapping[Phase, frozenset[Phase]]] = {
    Phase.HANDSHAKE: frozenset({Phase.VERDICT, Phase.OPEN, Phase.LINGER, Phase.CLOSED}),
    Phase.VERDICT: frozenset({Phase.OPEN, Phase.LINGER, Phase.CLOSED}),
    Phase.OPEN: frozenset({Phase.LINGER, Phase.CLOSED}),
    Phase.LINGER: frozenset({Phase.CLOSED}),
    Phase.CLOSED: frozenset(),
}
"""HANDSHAKE leads to OPEN only without a claim, at a door whose policy is `optional`; the shim decides that."""
