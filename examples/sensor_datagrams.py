"""Sensors that send readings over DTLS, each in one datagram; the first is shut out, the second is cut when its record
goes."""

import asyncio
from pathlib import Path

import stage

import dnsbound
from dnsbound.edge.association_table import DatagramLimits
from dnsbound.edge.datagram_client import ClientConnection
from dnsbound.edge.datagram_server import ServedConnection


def door(files: Path, resolver: dnsbound.Resolver) -> dnsbound.Context:
    access = dnsbound.AccessFile(files / "access.toml")
    authenticator = dnsbound.Authenticator(access, resolver, door="api")
    server = dnsbound.load_credential(files / "server.pem")
    return dnsbound.Context.server(server, authenticator=authenticator, datagram=True)


def client(files: Path, car: str) -> dnsbound.Context:
    # DTLS 1.2 shows the name and the certificate in clear: it has to be said to whom.
    context = dnsbound.Context.client(
        dnsbound.load_credential(files / f"{car}.pem"), datagram=True, clear_name_to=["localhost"]
    )
    context.load_verify_locations(files / "web-root.pem")
    return context


async def collect(connection: ServedConnection) -> None:
    peer = dnsbound.verified_peer()
    assert peer is not None
    try:
        async for reading in connection:
            print(f"{peer.name}: {reading.decode()}")
            connection.send(b"noted")
    except dnsbound.Refused as refusal:  # its name is no longer good
        print(f"cut: {refusal.reason}")


async def report(context: dnsbound.Context, port: int) -> ClientConnection:
    connection = await dnsbound.open_datagram_connection("localhost", port, context=context)
    for reading in ("21.5 degrees", "21.7 degrees"):
        connection.send(reading.encode())  # may get lost: what must arrive is sent until it is noted
        await connection.receive()
    return connection


async def main(at: stage.Stage) -> None:
    bounds = DatagramLimits(idle_seconds=300, associations=10_000)
    context = door(at.files, at.world.resolver())
    async with await dnsbound.start_datagram_server(collect, "localhost", context=context, bounds=bounds) as server:
        port = server.address[1]
        try:
            await report(client(at.files, "car55"), port)
        except dnsbound.PeerError as refused:
            print(f"car55 is shut out: {refused}")
        connection = await report(client(at.files, "car54"), port)
        at.world.organisation("cars.example").remove("car54._device.cars.example")
        while await connection.receive():  # until the server says goodbye
            pass


if __name__ == "__main__":
    with stage.stage() as at:
        asyncio.run(main(at))
