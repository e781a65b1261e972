"""A connection that stays open is cut when its record goes, or its name leaves the list."""

import asyncio
import time

import stage

import dnsbound


async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while line := await reader.readline():
            writer.write(line)
    except (OSError, dnsbound.DnsboundError) as error:
        print(f"the server sees: {error}")


async def main(at: stage.Stage) -> None:
    access = dnsbound.AccessList.allowing("api", ["*._device.cars.example"])
    door = dnsbound.Authenticator(access, at.world.resolver(), door="api", grace=60)
    context = dnsbound.Context.server(dnsbound.load_credential(at.files / "server.pem"), authenticator=door)
    server = await dnsbound.start_server(serve, "127.0.0.1", 0, context=context)
    port = server.sockets[0].getsockname()[1]

    truck = at.world.organisation("cars.example").device("truck1")
    mine = dnsbound.Context.client(truck.credential)
    mine.load_verify_locations(at.files / "web-root.pem")
    reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=mine, server_hostname="localhost")
    writer.write(b"still here\n")
    print((await reader.readline()).decode().strip(), [session.peer.name.text for session in door.sessions])

    truck.revoke()
    removed = time.monotonic()
    try:
        await asyncio.wait_for(reader.read(), 15)
    except OSError as error:
        print(f"the client sees: {error}")
    print(f"cut after {time.monotonic() - removed:.1f} s, TTL {truck.ttl} s; {len(door.sessions)} sessions are left")
    writer.close()
    server.close()


if __name__ == "__main__":
    with stage.stage() as at:
        asyncio.run(main(at))
