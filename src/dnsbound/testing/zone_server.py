"""A minimal UDP and TCP server for test zones: threads, loopback, a port the system chooses.

For tests that need a static tree at a real address. A server for people is `dnsbound.edge.dns_server`.
"""

import contextlib
import socket
import socketserver
import threading
from collections.abc import Callable, Iterator
from typing import Final

Respond = Callable[[bytes, bool], bytes | None]
"""(query packet, came over UDP) -> response packet, or None for silence."""

IDLE_SECONDS: Final = 5.0


@contextlib.contextmanager
def serve_zones(respond: Respond, address: str = "127.0.0.1") -> Iterator[int]:
    """Serve until the block ends; gives the port, the same for UDP and TCP. `respond` is called from many threads."""
    with _bind(respond, address) as (udp, tcp):
        threads = [threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True) for server in (udp, tcp)]
        for thread in threads:
            thread.start()
        try:
            yield udp.server_address[1]
        finally:
            for server in (udp, tcp):
                server.shutdown()
            for thread in threads:
                thread.join(IDLE_SECONDS)


@contextlib.contextmanager
def _bind(respond: Respond, address: str) -> Iterator[tuple["_UdpServer", "_TcpServer"]]:
    while True:
        udp = _UdpServer((address, 0), _UdpQuery)
        try:
            tcp = _TcpServer((address, udp.server_address[1]), _TcpConnection)
        except OSError:  # somebody has that TCP port: choose another
            udp.server_close()
            continue
        udp.respond = tcp.respond = respond
        with udp, tcp:
            yield udp, tcp
        return


class _UdpServer(socketserver.UDPServer):
    respond: Respond
    max_packet_size = 65_535


class _TcpServer(socketserver.ThreadingTCPServer):
    respond: Respond
    daemon_threads = True
    block_on_close = False
    allow_reuse_address = True


class _UdpQuery(socketserver.BaseRequestHandler):
    server: _UdpServer

    def handle(self) -> None:
        packet, listener = self.request
        answer = self.server.respond(packet, True)  # noqa: FBT003 the face has two positions
        if answer is not None:
            listener.sendto(answer, self.client_address)


class _TcpConnection(socketserver.BaseRequestHandler):
    server: _TcpServer

    def handle(self) -> None:
        connection: socket.socket = self.request
        connection.settimeout(IDLE_SECONDS)
        with contextlib.suppress(OSError):
            while (head := _receive(connection, 2)) and (packet := _receive(connection, int.from_bytes(head))):
                answer = self.server.respond(packet, False)  # noqa: FBT003 the face has two positions
                if answer is not None:
                    connection.sendall(len(answer).to_bytes(2) + answer)


def _receive(connection: socket.socket, count: int) -> bytes:
    """Exactly this many octets, or none when the peer closed."""
    octets = bytearray()
    while len(octets) < count:
        part = connection.recv(count - len(octets))
        if not part:
            return b""
        octets += part
    return bytes(octets)
