"""A device of one organisation at the doors of another: under its maker's name, and under a leased name for a time."""

import asyncio
from dataclasses import replace

import dnsbound
from dnsbound.testing import World

MAKERS = dnsbound.ClientName.parse("car54._device.cars.example")
LEASED = dnsbound.ClientName.parse("van1._device.hire.example")


async def greet(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    peer = dnsbound.verified_peer()
    assert peer is not None
    writer.write(f"hello {peer.name}".encode())
    writer.close()


async def call(world: World, port: int, credential: dnsbound.Credential) -> str:
    context = dnsbound.Context.client(credential)
    context.load_verify_locations(cadata=world.web_root_pem.decode())
    reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context, server_hostname="door.hire.example")
    try:
        return (await reader.read()).decode()
    except dnsbound.PeerError as error:
        return f"{credential.name} is shut out: {error}"
    finally:
        writer.close()


async def main() -> None:
    with World() as world:
        car = world.organisation("cars.example").device("car54").credential
        hire = world.organisation("hire.example")

        # The maker's name on the list of anybody's door is enough: nothing is transferred, and nobody asks the maker.
        access = dnsbound.AccessList.allowing("api", ["car54._device.cars.example", "*._device.hire.example"])
        door = dnsbound.Authenticator(access, world.resolver(), door="api")
        context = dnsbound.Context.server(world.web_credential("door.hire.example"), authenticator=door)
        server = await dnsbound.start_server(greet, "127.0.0.1", 0, context=context)
        port = server.sockets[0].getsockname()[1]
        print(await call(world, port, car))  # hello car54._device.cars.example

        # A lease: what `dnsbound lease grant` and its end publish and remove. The same key says another name.
        leased = replace(car, name=LEASED)
        hire.cname(LEASED.text, MAKERS.text)
        print(await call(world, port, leased))  # hello van1._device.hire.example
        hire.remove(LEASED.text)
        await asyncio.sleep(2)  # the alias's TTL
        print(await call(world, port, leased))  # shut out
        print(await call(world, port, car))  # hello car54._device.cars.example
        server.close()


asyncio.run(main())
