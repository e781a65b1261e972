"""A client that comes back with a ticket: good at every worker that shares the key file, while the record stands."""

import base64
import os
import socket
import ssl

import stage

import dnsbound
from dnsbound.edge.blocking_server import blocking_server


def greet(tls: ssl.SSLSocket) -> None:
    peer = dnsbound.verified_peer()
    assert peer is not None
    how = "its key" if peer.possession.is_fresh else "its ticket"
    tls.sendall(f"hello {peer.name}, known by {how}".encode())


def worker(at: stage.Stage) -> dnsbound.Context:
    access = dnsbound.AccessFile(at.files / "access.toml")
    authenticator = dnsbound.Authenticator(access, at.world.resolver(), door="api")
    return dnsbound.Context.server(
        dnsbound.load_credential(at.files / "server.pem"),
        authenticator=authenticator,
        ticket_lifetime=3600,  # seconds, and never longer than the record may be kept
        ticket_keys=at.files / "tickets.keys",
    )


def visit(at: stage.Stage, mine: dnsbound.Context, session: object = None) -> object:
    with (
        blocking_server(greet, "127.0.0.1", 0, context=worker(at)) as server,
        stage.on_a_thread(server.serve_forever, server.shutdown),
        socket.create_connection(server.server_address) as plain,
        mine.wrap_socket(plain, server_hostname="localhost", session=session) as tls,
    ):
        print(tls.recv(100).decode())
        return tls.session


def main(at: stage.Stage) -> None:
    keys = at.files / "tickets.keys"
    keys.touch(mode=0o600)
    keys.write_bytes(base64.b64encode(os.urandom(48)))

    truck = at.world.organisation("cars.example").device("truck1", ttl=60)
    mine = dnsbound.Context.client(truck.credential)
    mine.load_verify_locations(at.files / "web-root.pem")
    session = visit(at, mine)
    newer = visit(at, mine, session)
    truck.revoke()
    try:
        visit(at, mine, newer)
    except OSError as error:
        print(f"shut out: {error}")


if __name__ == "__main__":
    with stage.stage() as at:
        main(at)
