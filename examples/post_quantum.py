"""A car and an API that no quantum computer can listen to, nor impersonate: ML-DSA keys, hybrid key exchange."""

import socket
import ssl

import stage

import dnsbound
from dnsbound.credential.keys import KeyAlgorithm
from dnsbound.edge.blocking_server import blocking_server


def greet(tls: ssl.SSLSocket) -> None:
    peer = dnsbound.verified_peer()
    assert peer is not None
    tls.sendall(f"hello {peer.name}".encode())


def door(at: stage.Stage) -> dnsbound.Context:
    access = dnsbound.AccessFile(at.files / "access.toml")
    authenticator = dnsbound.Authenticator(access, at.world.resolver(), door="api")
    own = dnsbound.load_credential(at.files / "server.pem")
    return dnsbound.Context.server(own, authenticator=authenticator, key_exchange="hybrid-only")


def main(at: stage.Stage) -> None:
    car = at.world.organisation("cars.example").device("car56", algorithm=KeyAlgorithm.MLDSA65, kind="raw")
    context = dnsbound.Context.client(car.credential, key_exchange="hybrid-only")
    context.load_verify_locations(at.files / "web-root.pem")
    with (
        blocking_server(greet, "127.0.0.1", 0, context=door(at)) as server,
        stage.on_a_thread(server.serve_forever, server.shutdown),
        socket.create_connection(server.server_address) as plain,
        context.wrap_socket(plain, server_hostname="localhost") as tls,
    ):
        print(tls.recv(100).decode())
        print(tls.group())


if __name__ == "__main__":
    with stage.stage() as at:
        main(at)
