"""A door without any DNS: its clients carry the chains of their records, and it has a trust anchor and a clock."""

import asyncio
from pathlib import Path

import dnsbound
from dnsbound.edge.chain_source import ResolvedChain
from dnsbound.edge.latest_time import LatestTime
from dnsbound.testing import World
from dnsbound.verify.carried import CarriedChains


def gate(anchors: dnsbound.TrustAnchors, files: Path) -> dnsbound.Authenticator:
    names = ["*._device.cars.example"]
    access = dnsbound.AccessList.allowing("gate", names)
    chains = CarriedChains(names, anchors=anchors, max_age=86_400)
    return dnsbound.Authenticator(
        access, None, door="gate", carried_chains=chains, latest_time=LatestTime(files / "latest-time")
    )


async def greet(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    peer = dnsbound.verified_peer()
    assert peer is not None
    writer.write(f"hello {peer.name}, {peer.provenance.value}".encode())
    writer.close()


async def call(world: World, port: int, context: dnsbound.Context) -> str:
    context.load_verify_locations(cadata=world.web_root_pem.decode())
    reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context, server_hostname="localhost")
    try:
        return (await reader.read()).decode()
    finally:
        writer.close()


async def main() -> None:
    with World() as world:
        car = world.organisation("cars.example").device("car54")
        with ResolvedChain(world.resolver(), car.name.text) as chain:  # while there is a network; then it may go
            carrying = dnsbound.Context.client(car.credential, carry_chain=chain)

        door = gate(world.anchors, world.directory)
        context = dnsbound.Context.server(world.web_credential("localhost"), authenticator=door)
        server = await dnsbound.start_server(greet, "127.0.0.1", 0, context=context)
        port = server.sockets[0].getsockname()[1]

        asked = len(world.queries)
        print(await call(world, port, carrying))  # hello car54._device.cars.example, carried
        print(f"{len(world.queries) - asked} questions to the DNS")
        try:
            await call(world, port, dnsbound.Context.client(car.credential))
        except dnsbound.PeerError as error:
            print(f"without a chain: {error}")
        server.close()


asyncio.run(main())
