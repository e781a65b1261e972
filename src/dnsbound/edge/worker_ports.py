"""One address for all workers of a service: sockets that share a port, bound by one process before it serves.

Workers share their ports (SO_REUSEPORT), and the system spreads clients over them. A worker that takes a dead one's
place goes on with the sockets that one had. A second server must not share them as well, so a port is shared only after
it was had alone.
"""

import contextlib
import socket
from typing import Protocol

from dnsbound.edge.listening_endpoint import Endpoint, why_not_bound
from dnsbound.errors import Misuse


class Bind(Protocol):
    """Makes a bound socket: OSError."""

    def __call__(self, endpoint: Endpoint, *, reuse_port: bool) -> socket.socket: ...


def bound_for_workers(endpoint: Endpoint, bind: Bind, workers: int, undo: contextlib.ExitStack) -> list[socket.socket]:
    """One socket for each worker, closed by `undo`. Misuse, in one line, where the address cannot be had."""
    shared = workers > 1
    made: list[socket.socket] = []
    try:
        if shared and endpoint.port:
            bind(endpoint, reuse_port=False).close()
        for _ in range(workers):
            one = bind(endpoint, reuse_port=shared)
            undo.callback(one.close)
            made.append(one)
            # Port 0 is any free one, and the same for all.
            endpoint = endpoint_of(one)
    except OSError as error:
        raise Misuse(f"cannot listen at {endpoint}: {why_not_bound(error)}") from error
    return made


def endpoint_of(bound: socket.socket) -> Endpoint:
    """Where a socket is bound."""
    host, port = bound.getsockname()[:2]
    return Endpoint(host=host, port=port)
