"""The listening sockets of gates, bound before anything is served: by one process, for each of its workers."""

import contextlib
import socket
from collections.abc import Iterable, Mapping
from typing import Final, TypeAlias

from dnsbound.edge.gate_configuration import GateRule
from dnsbound.edge.radius_endpoint import Endpoint
from dnsbound.edge.worker_ports import bound_for_workers

BACKLOG: Final = 4096
"""What the system allows may be less (net.core.somaxconn)."""

Bound: TypeAlias = Mapping[str, tuple[socket.socket, ...]]
"""One worker's sockets by the gates' labels, in the order of `listen`."""


def bind_gates(gates: Iterable[GateRule], *, workers: int = 1) -> tuple[Bound, ...]:
    """The sockets of each worker. Misuse, in one line, for an address that cannot be had; nothing is bound then."""
    with contextlib.ExitStack() as undo:
        found = {
            gate.label: [bound_for_workers(endpoint, listen_at, workers, undo) for endpoint in gate.listen]
            for gate in gates
        }
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
    # Accepted sockets have it from here; asyncio sets it only where a socket was made with the number of TCP.
    made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    made.settimeout(0)
    return made
