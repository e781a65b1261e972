"""The listening sockets of gates, bound before anything is served: by one process, for each of its workers."""

import contextlib
import socket
from collections.abc import Iterable, Mapping
from typing import Final, TypeAlias

from dnsbound.edge.authz_sockets import Place, TcpPlace, bind_front
from dnsbound.edge.gate_configuration import GateRule
from dnsbound.edge.listening_endpoint import Endpoint
from dnsbound.edge.outward_configuration import OutwardRule
from dnsbound.edge.worker_ports import bound_for_workers, endpoint_of

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


def bind_clients(clients: Iterable[OutwardRule], *, workers: int = 1) -> tuple[Bound, ...]:
    """The same of client-side gates. Workers share one Unix socket."""
    with contextlib.ExitStack() as undo:
        found = {client.label: [_bound_place(each, workers, undo) for each in client.listen] for client in clients}
        undo.pop_all()
    return tuple(
        {label: tuple(each[worker] for each in sockets) for label, sockets in found.items()}
        for worker in range(workers)
    )


def _bound_place(place: Place, workers: int, undo: contextlib.ExitStack) -> list[socket.socket]:
    if isinstance(place, TcpPlace):
        return bound_for_workers(place.endpoint, listen_at, workers, undo)
    made = [bind_front(place)]
    undo.callback(made[0].close)
    for _ in range(1, workers):
        made.append(made[0].dup())
        undo.callback(made[-1].close)
    for one in made:
        one.settimeout(0)
    return made


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


def place_bound(listening: socket.socket) -> str:
    """Where it is, TCP or not, as `listen` would say it."""
    if listening.family == socket.AF_UNIX:
        return f"unix:{listening.getsockname()}"
    return str(endpoint_of(listening))
