"""A door for datagrams in a thread, and our client at other programs' servers, for the tests with real peers."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from dnsbound import Context, verified_peer
from dnsbound.edge.datagram_blocking import (
    BlockingConnection,
    ServedBlocking,
    blocking_datagram_server,
    open_datagram_connection_blocking,
)
from interop.native_sockets import PATIENCE
from machines.doors import SERVER, Door


def greet_and_echo(connection: ServedBlocking) -> None:
    peer = verified_peer()
    connection.send(f"hello {peer and peer.name}\n".encode())
    while message := connection.receive(PATIENCE):
        connection.send(b"echo " + message)


@contextmanager
def open_to_datagrams(at: Door) -> Iterator[int]:
    """Serves until the block ends; yields the port."""
    server = blocking_datagram_server(greet_and_echo, "127.0.0.1", 0, context=at.context)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
        thread.join(PATIENCE)
        at.resolver.close()


def call_datagrams(context: Context, port: int, **options: Any) -> BlockingConnection:
    return open_datagram_connection_blocking(
        "127.0.0.1", port, context=context, server_hostname=SERVER, seconds=PATIENCE, **options
    )
