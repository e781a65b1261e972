"""A sensor and its collector over DTLS without an event loop, with the suites of constrained devices."""

import stage

import dnsbound
from dnsbound.edge.context_datagram import Datagrams
from dnsbound.edge.datagram_blocking import (
    ServedBlocking,
    blocking_datagram_server,
    open_datagram_connection_blocking,
)

SLOW_LINK = Datagrams(constrained=True, octets=512, retransmit_first=9000)


def collect(connection: ServedBlocking) -> None:
    peer = dnsbound.verified_peer()
    assert peer is not None
    while reading := connection.receive(timeout=60):
        print(f"{peer.name}: {reading.decode()}", flush=True)
        connection.send(b"noted")


def report(context: dnsbound.Context, port: int) -> None:
    with open_datagram_connection_blocking("localhost", port, context=context) as connection:
        connection.send(b"21.5 degrees")
        print(connection.receive(timeout=10).decode())


if __name__ == "__main__":
    with stage.stage() as at:
        access = dnsbound.AccessFile(at.files / "access.toml")
        authenticator = dnsbound.Authenticator(access, at.world.resolver(), door="api")
        own = dnsbound.load_credential(at.files / "server.pem")
        door = dnsbound.Context.server(own, authenticator=authenticator, datagram=SLOW_LINK)
        server = blocking_datagram_server(collect, "localhost", 0, context=door)

        sensor = dnsbound.load_credential(at.files / "car54.pem")
        client = dnsbound.Context.client(sensor, datagram=SLOW_LINK, clear_name_to=["localhost"], raw_public_key=True)
        client.load_verify_locations(at.files / "web-root.pem")
        with stage.on_a_thread(server.serve_forever, server.shutdown):
            report(client, server.server_address[1])
