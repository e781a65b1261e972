"""The sockets of a RADIUS server, bound before anything is served: by one process, for each of its workers.

A worker that takes a dead one's place goes on with what waits in its sockets.
"""

import contextlib
import socket
from dataclasses import dataclass
from typing import Final

from dnsbound.edge.listening_endpoint import Endpoint
from dnsbound.edge.radius_configuration import RadiusConfiguration
from dnsbound.edge.radius_udp import bind_udp
from dnsbound.edge.worker_ports import Bind, bound_for_workers, endpoint_of

_BACKLOG: Final = 128


@dataclass(frozen=True, slots=True, kw_only=True)
class Bound:
    """The sockets of one worker, in the order of the file. radsec: listening TCP; all others UDP."""

    authentication: tuple[socket.socket, ...] = ()
    accounting: tuple[socket.socket, ...] = ()
    radsec: tuple[socket.socket, ...] = ()
    radsec_dtls: tuple[socket.socket, ...] = ()

    def close(self) -> None:
        for each in (*self.authentication, *self.accounting, *self.radsec, *self.radsec_dtls):
            each.close()

    def endpoints(self) -> dict[str, list[str]]:
        """Where each is, by the names of the keys that were told of it, as text; none of what is not there."""
        kinds = {
            "listen": self.authentication,
            "accounting": self.accounting,
            "radsec": self.radsec,
            "radsec_dtls": self.radsec_dtls,
        }
        return {key: [str(endpoint_of(each)) for each in sockets] for key, sockets in kinds.items() if sockets}


def bind_all(configuration: RadiusConfiguration, *, workers: int = 1) -> tuple[Bound, ...]:
    """The sockets of each worker. Misuse, in one line, for an address that cannot be had; nothing is bound then."""
    server = configuration.server
    with contextlib.ExitStack() as undo:

        def all_at(endpoints: tuple[Endpoint, ...], bind: Bind) -> list[list[socket.socket]]:
            return [bound_for_workers(endpoint, bind, workers, undo) for endpoint in endpoints]

        authentication = all_at(server.listen, bind_udp)
        accounting = all_at(server.accounting, bind_udp)
        radsec = all_at(server.radsec, bind_tcp)
        radsec_dtls = all_at(server.radsec_dtls, bind_udp)
        undo.pop_all()
    return tuple(
        Bound(
            authentication=tuple(each[worker] for each in authentication),
            accounting=tuple(each[worker] for each in accounting),
            radsec=tuple(each[worker] for each in radsec),
            radsec_dtls=tuple(each[worker] for each in radsec_dtls),
        )
        for worker in range(workers)
    )


def bind_tcp(endpoint: Endpoint, *, reuse_port: bool = False) -> socket.socket:
    """A listening socket of RadSec. OSError."""
    family = socket.AF_INET6 if ":" in endpoint.host else socket.AF_INET
    made = socket.create_server(
        (endpoint.host, endpoint.port), family=family, backlog=_BACKLOG, reuse_port=reuse_port, dualstack_ipv6=False
    )
    made.settimeout(0)
    return made
