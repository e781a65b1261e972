"""A bounded load of full DTLS 1.2 handshakes with client authentication, one after the other, the same for every peer.

Each from a port of its own: cookies where the server asks for them, the client's certificate, dane_clientid where the
server knows it, close_notify. Run in its own process so that only the server's CPU is counted.

    python -m bench.datagram_load PORT CREDENTIAL.pem HANDSHAKES
"""

import socket
import sys
import time
from pathlib import Path

from dnsbound import _native
from dnsbound.credential.credential import Credential
from dnsbound.iana import DANE_CLIENTID, CertificateType

PATIENCE = 20.0


def client_config(credential: Credential) -> _native.Config:
    config = _native.Config(server_side=False, datagram=True)
    config.set_groups("X25519:P-256")
    config.set_cipher_list("ECDHE-ECDSA-AES128-GCM-SHA256")
    config.set_peer_verification("accept")
    config.set_credential(credential.chain, credential.private_key_der())
    if not credential.chain:
        config.set_certificate_types(own=[CertificateType.RAW_PUBLIC_KEY], peer=[CertificateType.X509])
    config.set_clientid(DANE_CLIENTID, profiles=["cid07"])
    return config


def one_handshake(config: _native.Config, port: int, name: bytes) -> None:
    connection = _native.Connection(config, server_hostname="api.cars.example", client_name=name, clear_name=True)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as transport:
        transport.connect(("127.0.0.1", port))
        ends = time.monotonic() + PATIENCE
        while not connection.do_handshake():
            _send(connection, transport)
            transport.settimeout(min(connection.timeout() or 0.001, max(ends - time.monotonic(), 0.001)))
            try:
                connection.feed_datagram(transport.recv(65_535))
            except (TimeoutError, ConnectionRefusedError):  # lost, or the server is not there yet
                if time.monotonic() > ends:
                    raise
                connection.handle_timeout()
        connection.shutdown()
        _send(connection, transport)


def _send(connection: _native.Connection, transport: socket.socket) -> None:
    for datagram in connection.take_datagrams():
        try:
            transport.send(datagram)
        except ConnectionRefusedError:
            continue


def run(port: int, credential: Credential, handshakes: int) -> int:
    """Completed handshakes."""
    assert credential.name is not None
    config = client_config(credential)
    for _ in range(handshakes):
        one_handshake(config, port, credential.name.to_wire())
    return handshakes


if __name__ == "__main__":
    print(run(int(sys.argv[1]), Credential.from_pem(Path(sys.argv[2]).read_bytes()), int(sys.argv[3])))
