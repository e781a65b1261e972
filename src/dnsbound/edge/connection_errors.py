"""Errors that end a connection: what is kept of them, and what an application's `connection_lost` gets.

Each of the classes is the error of the TLS face and a `ConnectionError` as well: servers written for asyncio expect
connections to be reset or aborted at any time and say nothing of it, while any other exception makes them log a
traceback for every client that just goes away (seen with hypercorn 0.18).
"""

from typing import TypeVar

from dnsbound.errors import Refused, Undecided
from dnsbound.tls.errors import TLSPeerError, TLSRefused, TLSUndecided, TLSUnexpectedEOF


class ConnectionCutShort(TLSUnexpectedEOF, ConnectionResetError):
    """The connection ended without close_notify: what was received may be less than what was sent."""


class ConnectionBroken(TLSPeerError, ConnectionAbortedError):
    """TLS failed under an open connection: an alert, or a record that is none of the peer's."""


class SessionRefused(TLSRefused, ConnectionAbortedError):
    """The client's name is no longer good. reason: a `Reason`."""


class SessionUndecided(TLSUndecided, ConnectionAbortedError):
    """Nobody could say in time whether the client's name is still good. reason: a `Reason`."""


def broken_connection(error: OSError) -> OSError:
    """The error for `connection_lost`; what is no TLS error already says that the connection is gone."""
    if isinstance(error, TLSUnexpectedEOF):
        return ConnectionCutShort()
    if isinstance(error, TLSPeerError):
        text = str(error.strerror).rpartition("] ")[2]  # without the "[library: reason]" that is put there again
        broken = ConnectionBroken(text, reason=error.reason, library=error.library)
        broken.__cause__ = error
        broken.alert_received, broken.alert_sent = error.alert_received, error.alert_sent
        return broken
    return error


def ended_session(reason: Refused | Undecided) -> SessionRefused | SessionUndecided:
    if isinstance(reason, Refused):
        return SessionRefused(reason.reason, reason.detail)
    return SessionUndecided(reason.reason, reason.detail)


_E = TypeVar("_E", bound=BaseException)


def without_frames(error: _E) -> _E:
    """The error, without its traceback and those of the errors it came from.

    For errors that a connection keeps: a traceback holds the frames, and they hold the connection. In such a ring a
    connection outlives its end, with all of OpenSSL's memory, until the garbage collector comes.
    """
    chain: list[BaseException | None] = [error]
    seen: set[int] = set()
    while chain:
        link = chain.pop()
        if link is not None and id(link) not in seen:
            seen.add(id(link))
            link.__traceback__ = None
            chain += link.__cause__, link.__context__
    return error
