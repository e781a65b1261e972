"""Many clients that log in and then keep still, for `bench.idle_memory`. Run in a process of its own.

    python -m bench.idle_clients PORT CREDENTIAL.pem CONNECTIONS

Prints a line when all are in, and holds them until its standard input ends. The TLS state of this side is dropped
after the handshake: only the socket is kept.
"""

import socket
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from bench.load import client_config
from dnsbound import _native
from dnsbound.credential.credential import Credential

THREADS = 4


def log_in(config: _native.Config, port: int, name: bytes) -> socket.socket:
    connection = _native.Connection(config, server_hostname="api.cars.example", client_name=name)
    transport = socket.create_connection(("127.0.0.1", port), timeout=60)
    while not connection.do_handshake():
        transport.sendall(connection.drain())
        data = transport.recv(65536)
        if not data:
            raise RuntimeError("the server hung up")
        connection.feed(data)
    transport.sendall(connection.drain())
    return transport


def main(arguments: Sequence[str]) -> None:
    port, file, connections = int(arguments[0]), Path(arguments[1]), int(arguments[2])
    credential = Credential.from_pem(file.read_bytes())
    assert credential.name is not None
    config, name = client_config(credential), credential.name.to_wire()
    with ThreadPoolExecutor(THREADS) as pool:
        held = list(pool.map(lambda _: log_in(config, port, name), range(connections)))
    print(len(held), flush=True)
    sys.stdin.read()


if __name__ == "__main__":
    main(sys.argv[1:])
