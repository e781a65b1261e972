"""Errors that end a connection: what is kept of them, and what an application's `connection_lost` gets.

Each of the classes is the error of the TLS face and a `ConnectionError` as well: servers written for asyncio expect
connections to be reset or aborted at any time and say nothing of it, while any other exception makes them log a
traceback for every client that just goes away (seen with hypercorn 0.18).
"""

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
