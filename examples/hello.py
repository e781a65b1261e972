"""A server that knows its clients by DNS name, a client, and a signed miniature Internet to try them in."""

import asyncio

import dnsbound
from dnsbound.testing import World


async def greet(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    peer = dnsbound.verified_peer()
    assert peer is not None
    writer.write(f"hello {peer.name}".encode())
    writer.close()


async def call(world: World, port: int, credential: dnsbound.Credential) -> str:
    context = dnsbound.Context.client(credential)
    context.load_verify_locations(cadata=world.web_root_pem.decode())
    reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context, server_hostname="api.cars.example")
    try:
        return (await reader.read()).decode()
    finally:
        writer.close()


async def main() -> None:
    with World() as world:
        car = world.organisation("cars.example").device("car54")  # car54._device.cars.example, TLSA 3 1 1

        access = dnsbound.AccessList.allowing("api", ["*._device.cars.example"])
        door = dnsbound.Authenticator(access, world.resolver(), door="api")
        context = dnsbound.Context.server(world.web_credential("api.cars.example"), authenticator=door)
        server = await dnsbound.start_server(greet, "127.0.0.1", 0, context=context)
        port = server.sockets[0].getsockname()[1]

        print(await call(world, port, car.credential))  # hello car54._device.cars.example

        car.revoke()
        await asyncio.sleep(2)  # the record's TTL
        try:
            await call(world, port, car.credential)
        except dnsbound.PeerError as error:
            print(f"shut out: {error}")
        server.close()


asyncio.run(main())
