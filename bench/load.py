"""A bounded load of full TLS 1.3 handshakes with client authentication, the same for every server.

Each connection: handshake with the client's certificate and, where the server asks for it, dane_clientid; one small
request; read to the end. Run in its own process so that only the server's CPU is counted.

    python -m bench.load PORT CREDENTIAL.pem CONNECTIONS CONCURRENCY
"""

import socket
import sys
import threading
from pathlib import Path

from dnsbound import _native
from dnsbound.credential.credential import Credential
from dnsbound.iana import DANE_CLIENTID, TLS_1_3, CertificateType

REQUEST = b"GET / HTTP/1.1\r\nHost: api.cars.example\r\nConnection: close\r\n\r\n"


def client_config(credential: Credential) -> _native.Config:
    config = _native.Config(server_side=False)
    config.set_versions(TLS_1_3, TLS_1_3)
    config.set_groups("X25519")
    config.set_peer_verification("accept")
    config.set_credential(credential.chain, credential.private_key_der())
    if not credential.chain:
        config.set_certificate_types(own=[CertificateType.RAW_PUBLIC_KEY], peer=[CertificateType.X509])
    config.set_clientid(DANE_CLIENTID)
    return config


def one_connection(config: _native.Config, port: int, name: bytes) -> bool:
    """True when the server answered."""
    connection = _native.Connection(config, server_hostname="api.cars.example", client_name=name)
    with socket.create_connection(("127.0.0.1", port), timeout=20) as transport:
        while not connection.do_handshake():
            transport.sendall(connection.drain())
            data = transport.recv(65536)
            if not data:
                return False
            connection.feed(data)
        connection.write(REQUEST)
        transport.sendall(connection.drain())
        while (plain := connection.read(65536)) is None:
            data = transport.recv(65536)
            if not data:
                return False
            connection.feed(data)
        return plain.startswith(b"HTTP/1.1 200")


def run(port: int, credential: Credential, connections: int, concurrency: int) -> int:
    """Answered connections out of `connections`."""
    assert credential.name is not None
    name = credential.name.to_wire()
    config = client_config(credential)
    answered = [0] * concurrency
    share = connections // concurrency

    def worker(index: int) -> None:
        for _ in range(share):
            answered[index] += one_connection(config, port, name)

    threads = [threading.Thread(target=worker, args=(index,)) for index in range(concurrency)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sum(answered)


if __name__ == "__main__":
    print(
        run(int(sys.argv[1]), Credential.from_pem(Path(sys.argv[2]).read_bytes()), int(sys.argv[3]), int(sys.argv[4]))
    )
