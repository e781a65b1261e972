"""What one gate counts. A worker's, added up over all of them where somebody asks; never a client's name among it."""

from collections import Counter
from dataclasses import dataclass, field
from enum import StrEnum

from dnsbound.edge.worker_totals import Counts


class TurnedAway(StrEnum):
    """Why a connection was closed that nothing was wrong with."""

    CONNECTIONS = "connections"
    """The gate has as many as it may have."""
    NAME_CONNECTIONS = "name-connections"
    """The client's name has."""
    NAME_RATE = "name-rate"
    """The client's name came too often within a minute."""
    USER = "user"
    """The user of this machine may not use a client-side gate."""


class Ended(StrEnum):
    """How a connection ended that had come through to the filter."""

    ORDERLY = "orderly"
    """Both sides had said all they had to say."""
    CLIENT_GONE = "client-gone"
    """Without its close_notify: what it was saying may be cut off."""
    BACKEND_GONE = "backend-gone"
    """Reset by the back end."""
    UNREACHABLE = "unreachable"
    """The back end was not there, or too slow to accept."""
    CLIENT_FAULT = "client-fault"
    """The client broke the protocol, or a limit of it."""
    BACKEND_FAULT = "backend-fault"
    CUT = "cut"
    """The name is no longer good, or nobody could say that it is."""
    IDLE = "idle"
    HALF_CLOSED = "half-closed"
    """One side had ended, and the other said nothing more for too long."""
    LIFETIME = "lifetime"
    DRAINED = "drained"
    """The gate ends, and its time to wait is over."""


@dataclass(slots=True, kw_only=True)
class GateCounters(Counts):
    """accepted: sockets. clear_failed: connections that ended before TLS began (a PROXY header or greeting that went
    wrong, or took too long). handshakes: by outcome. verdicts: by `yes` or the reason. turned_away, ended: see above.
    from_clients, to_clients: octets the back ends took and gave. open: connections now. backend_failures: tries."""

    accepted: int = 0
    clear_failed: int = 0
    handshakes: Counter[str] = field(default_factory=Counter)
    verdicts: Counter[str] = field(default_factory=Counter)
    turned_away: Counter[str] = field(default_factory=Counter)
    ended: Counter[str] = field(default_factory=Counter)
    from_clients: int = 0
    to_clients: int = 0
    backend_failures: int = 0
    open: int = 0
