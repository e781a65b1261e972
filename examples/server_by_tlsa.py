"""The other direction: a client that knows its server by TLSA, without any CA."""

import asyncio

import stage

import dnsbound

HOST = "api.cars.example"


async def call(credential: dnsbound.Credential, resolver: dnsbound.Resolver, port: int) -> bytes:
    context = dnsbound.Context.client(credential, resolver=resolver, server_tlsa="require")
    evidence = await context.prepare(HOST, port)  # before the handshake, which never waits for the DNS
    print(f"{evidence.base_domain}: {evidence.records[0].parameters}")
    reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context, server_hostname=HOST)
    try:
        return await reader.read()
    finally:
        writer.close()


async def greet(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    peer = dnsbound.verified_peer()
    assert peer is not None
    writer.write(f"hello {peer.name}".encode())
    writer.close()


async def main(at: stage.Stage) -> None:
    resolver, cars = at.world.resolver(), at.world.organisation("cars.example")
    server = await dnsbound.start_server(greet, "127.0.0.1", 0, context=stage.door(at.files, resolver))
    port = server.sockets[0].getsockname()[1]

    cars.address(HOST, "127.0.0.1")
    cars.publish(f"_{port}._tcp.{HOST}", dnsbound.load_credential(at.files / "server.pem").tlsa())
    credential = dnsbound.load_credential(at.files / "car54.pem")
    print((await call(credential, resolver, port)).decode())  # hello car54._device.cars.example

    cars.replace(f"_{port}._tcp.{HOST}", credential.tlsa())  # another key
    await asyncio.sleep(2)
    try:
        await call(credential, resolver, port)
    except dnsbound.DnsboundError as error:
        print(f"that is not the server: {error}")
    server.close()


if __name__ == "__main__":
    with stage.stage() as at:
        asyncio.run(main(at))
