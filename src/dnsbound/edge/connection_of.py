"""From what a program holds of a connection to the TLS connection of ours behind it, and how to cut it.

A program has a StreamWriter, an asyncio transport, an SSLObject, an SSLSocket, or what its HTTP library hands out.
"""

import asyncio
import contextlib
import socket
import weakref
from collections.abc import Callable
from typing import TypeAlias

from dnsbound.edge.context_objects import TLSSocket
from dnsbound.edge.server_transport import ServerTransport
from dnsbound.errors import Refused, Undecided
from dnsbound.tls.errors import TLSMisuse
from dnsbound.tls.server_shim import ServerShim
from dnsbound.tls.shim import Shim

Cut: TypeAlias = Callable[[Refused | Undecided], None]
"""Ends a connection because a name is no longer good. From any thread."""


def live_connection(connection: object) -> object:
    """The transport of streams, and everything else as it is."""
    return connection.transport if isinstance(connection, asyncio.StreamWriter) else connection


def shim_of(connection: object) -> Shim:
    """The TLS connection; TLSMisuse where it is none of a dnsbound Context's."""
    found = live_connection(connection)
    if isinstance(found, asyncio.BaseTransport) or not hasattr(found, "shim"):
        ask = getattr(found, "get_extra_info", None)
        found = found if ask is None else ask("ssl_object")
    shim = found if isinstance(found, Shim) else getattr(found, "shim", None)
    if not isinstance(shim, Shim):
        raise TLSMisuse(f"{type(connection).__name__} is no connection of a dnsbound Context")
    return shim


def cutter(connection: object, shim: ServerShim) -> Cut:
    """How to cut this connection, without keeping it in memory. Whatever else it is, the TLS connection gives out and
    takes nothing more."""
    if isinstance(connection, ServerTransport):
        return _cut_served(weakref.ref(connection))
    end = _ending(connection)
    known = weakref.ref(shim)

    def cut(reason: Refused | Undecided) -> None:
        if (shim := known()) is not None:
            shim.cut(reason)
        end()

    return cut


def _cut_served(known: "weakref.ref[ServerTransport]") -> Cut:
    def cut(reason: Refused | Undecided) -> None:
        if (transport := known()) is not None:
            transport.cut(reason)

    return cut


def _ending(connection: object) -> Callable[[], None]:
    """Ends the transport underneath, where it can be reached."""
    try:
        known = weakref.ref(connection)
    except TypeError:  # uvloop's own transports
        return lambda: None
    loop = asyncio.get_running_loop() if isinstance(connection, asyncio.Transport) else None

    def end() -> None:
        found = known()
        if isinstance(found, TLSSocket):
            with contextlib.suppress(OSError):
                socket.socket.shutdown(found, socket.SHUT_RDWR)
        elif isinstance(found, asyncio.Transport) and loop is not None and not loop.is_closed():
            loop.call_soon_threadsafe(found.abort)

    return end
