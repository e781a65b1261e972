"""A meter that reports over QUIC, each reading on a stream of its own; another is shut out, and the first is cut when
its record goes."""

import asyncio
from pathlib import Path

import stage

import dnsbound
from dnsbound.edge.quic_client import QuicClient, open_quic_connection
from dnsbound.edge.quic_connection import QuicLimits
from dnsbound.edge.quic_served import ServedQuic
from dnsbound.edge.quic_server import start_quic_server


def door(files: Path, resolver: dnsbound.Resolver) -> dnsbound.Context:
    access = dnsbound.AccessFile(files / "access.toml")
    authenticator = dnsbound.Authenticator(access, resolver, door="api")
    server = dnsbound.load_credential(files / "server.pem")
    context = dnsbound.Context.server(server, authenticator=authenticator, quic=True)
    context.set_alpn_protocols(["meter/1"])
    return context


def client(files: Path, car: str) -> dnsbound.Context:
    context = dnsbound.Context.client(dnsbound.load_credential(files / f"{car}.pem"), quic=True)
    context.set_alpn_protocols(["meter/1"])
    context.load_verify_locations(files / "web-root.pem")
    return context


async def collect(connection: ServedQuic) -> None:
    peer = dnsbound.verified_peer()
    assert peer is not None
    try:
        async for reader, writer in connection:
            print(f"{peer.name}: {(await reader.read()).decode()}")
            writer.write(b"noted")
            writer.close()
    except dnsbound.Refused as refusal:  # its name is no longer good
        print(f"cut: {refusal.reason}")


async def report(connection: QuicClient, reading: str) -> bytes:
    reader, writer = await connection.open_stream()
    writer.write(reading.encode())
    writer.write_eof()
    answer = await reader.read()
    writer.close()
    return answer


async def main(at: stage.Stage) -> None:
    context = door(at.files, at.world.resolver())
    bounds = QuicLimits(streams=4, idle_seconds=30)
    async with await start_quic_server(collect, "localhost", context=context, bounds=bounds) as server:
        port = server.address[1]
        async with await open_quic_connection("localhost", port, context=client(at.files, "car55")) as other:
            try:
                await report(other, "21.5 degrees")
            except dnsbound.PeerError as refused:
                print(f"car55 is shut out: {refused}")
        async with await open_quic_connection("localhost", port, context=client(at.files, "car54")) as meter:
            for reading in ("21.5 degrees", "21.7 degrees"):
                await report(meter, reading)
            at.world.organisation("cars.example").remove("car54._device.cars.example")
            try:
                await meter.accept_stream()  # this server opens none: until the end
            except dnsbound.PeerError as cut:
                print(f"the meter: {cut}")


if __name__ == "__main__":
    with stage.stage() as at:
        asyncio.run(main(at))
