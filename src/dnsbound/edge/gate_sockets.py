"""The listening sockets of gates, bound before anything is served: by one process, for each of its workers.

Workers share their ports (SO_REUSEPORT), and the system spreads clients over them. A second server must not share them
as well, so a port is shared only after it was had alone.
"""

import contextlib
import socket
from collections.abc import Iterable, Mapping
from typing import Final, TypeAlias

from dnsbound.edge.gate_configuration import GateRule
from dnsbound.edge.radius_endpoint import Endpoint
from dnsbound.errors import Misuse

BACKLOG: Final = 4096
"""What the system allows may be less (net.core.somaxconn)."""

Bound: TypeAlias = Mapping[str, tuple[socket.socket, ...]]
"""One worker's sockets by the gates' labels, in the order of `listen`."""


def bind_gates(gates: Iterable[GateRule], *, workers: int = 1) -> tuple[Bound, ...]:
    """The sockets of each worker. Misuse, in one line, for an address that cannot be had; nothing is bound then."""
    with contextlib.ExitStack() as undo:
        found = {gate.label: [_bound(endpoint, workers, undo) for endpoint in gate.listen] for gate in gates}
        undo.pop_all()
    return tuple(
        {label: tuple(each[worker] for each in sockets) for label, sockets in found.items()}
        for worker in range(workers)
    )


def listen_at(endpoint: Endpoint, *, reuse_port: bool = False) -> socket.socket:
    """OSError."""
    family = socket.AF_INET6 if ":" in endpoint.host else socket.AF_INET
    made = socket.create_server(
        (endpoint.host, endpoint.port), family=family, backlog=BACKLOG, reuse_port=reuse_port, dualstack_ipv6=False
    )
    made.settimeout(0)
    return made


def bound_at(listening: socket.socket) -> Endpoint:
    """Where it is."""
    host, port = listening.getsockname()[:2]
    return Endpoint(host=host, port=port)


def _bound(endpoint: Endpoint, workers: int, undo: contextlib.ExitStack) -> list[socket.socket]:
    shared = workers > 1
    made: list[socket.socket] = []
    try:
        if shared and endpoint.port:
            listen_at(endpoint).close()
        for _ in range(workers):
            one = listen_at(endpoint, reuse_port=shared)
            undo.callback(one.close)
            made.append(one)
            # Port 0 is any free one, and the same for all.
            endpoint = bound_at(one)
    except OSError as error:
        raise Misuse(f"cannot listen at {endpoint}: {(error.strerror or str(error)).lower()}") from error
    return made
