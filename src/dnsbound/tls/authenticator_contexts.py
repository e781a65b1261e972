"""The contexts of one connection's authenticators: each request is answered once, and no context comes twice.

An authenticator carries no time and no counter; only its context tells it from a copy (RFC 9261 sections 4 and 7.4). So
each end keeps account, over both kinds of request: of those it sent and whose answer is awaited, and of all it ever
saw. Whatever becomes of an answer, its request is then used up. Not here: entropy and clocks, which choose contexts and
moments.
"""

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import Final

from dnsbound.errors import LimitExceeded, Misuse, PeerError
from dnsbound.limits import AUTHENTICATOR_CONTEXTS, AUTHENTICATOR_SECONDS
from dnsbound.times import Moment
from dnsbound.tls.authenticator_request import AuthenticatorRequest


class ContextState(StrEnum):
    """What became of a context."""

    NEW = "new"
    AWAITED = "awaited"
    """We asked with it."""
    USED = "used"
    """It was answered, or came from the peer, or its time is over."""


class ContextEvent(StrEnum):
    """What happens to a context."""

    ASKED = "asked"
    """We send a request with it."""
    SHOWN = "shown"
    """The peer sends a request with it, or an authenticator nobody asked for."""
    ANSWERED = "answered"
    """The peer answers the request we sent with it."""


TRANSITIONS: Final[Mapping[tuple[ContextState, ContextEvent], ContextState]] = MappingProxyType(
    {
        (ContextState.NEW, ContextEvent.ASKED): ContextState.AWAITED,
        (ContextState.NEW, ContextEvent.SHOWN): ContextState.USED,
        (ContextState.AWAITED, ContextEvent.ANSWERED): ContextState.USED,
    }
)
"""A pair that is absent is an error."""


class ReusedContext(PeerError):
    """A context that was used before on this connection, was never asked with, or whose time is over."""


class AuthenticatorContexts:
    """One connection's. Not thread-safe: the caller serialises. seconds: how long a request waits for its answer."""

    __slots__ = ("_awaited", "_limit", "_seconds", "_used")

    def __init__(self, *, limit: int | None = None, seconds: int | None = None) -> None:
        self._limit = AUTHENTICATOR_CONTEXTS.checked(limit)
        self._seconds = AUTHENTICATOR_SECONDS.checked(seconds)
        self._awaited: dict[bytes, tuple[AuthenticatorRequest, Moment]] = {}
        self._used: set[bytes] = set()

    def state(self, context: bytes) -> ContextState:
        if context in self._awaited:
            return ContextState.AWAITED
        return ContextState.USED if context in self._used else ContextState.NEW

    def sent(self, request: AuthenticatorRequest, *, now: Moment) -> None:
        """We ask with this request. Misuse for a context that is not new, LimitExceeded for too many."""
        self._make_room(request.context, ContextEvent.ASKED, Misuse("a context is used once in a connection"))
        self._awaited[request.context] = request, now

    def received(self, context: bytes) -> None:
        """The peer asks with this context, or shows it unasked. ReusedContext for one that is not new."""
        self._make_room(context, ContextEvent.SHOWN, ReusedContext("a context came twice on one connection"))
        self._used.add(context)

    def answered(self, context: bytes, *, now: Moment) -> AuthenticatorRequest:
        """The request whose answer has come; it is used up. ReusedContext when none is awaited with this context."""
        state = self.state(context)
        if (state, ContextEvent.ANSWERED) not in TRANSITIONS:
            raise ReusedContext(f"no request awaits an answer: its context is {state.value}")
        request, since = self._awaited.pop(context)
        self._used.add(context)
        if not 0 <= now - since <= self._seconds:
            raise ReusedContext(f"the answer came {now - since:.0f} s after its request")
        return request

    @property
    def awaited(self) -> tuple[AuthenticatorRequest, ...]:
        """Our requests without an answer, the oldest first."""
        return tuple(request for request, _ in self._awaited.values())

    def is_fresh(self, request: AuthenticatorRequest, *, now: Moment) -> bool:
        """Whether this request of ours still awaits its answer, for at least half of its time."""
        _, since = self._awaited.get(request.context, (None, None))
        return since is not None and 0 <= now - since <= self._seconds / 2

    def _make_room(self, context: bytes, event: ContextEvent, error: Misuse | ReusedContext) -> None:
        if (self.state(context), event) not in TRANSITIONS:
            raise error
        if len(self._awaited) + len(self._used) >= self._limit:
            raise LimitExceeded(AUTHENTICATOR_CONTEXTS.name, f"{self._limit} contexts on one connection")
