"""A door under an unmodified websockets server."""

import asyncio

import stage
import websockets
from websockets.asyncio.server import ServerConnection

import dnsbound


async def handle(connection: ServerConnection) -> None:
    async for message in connection:
        peer = dnsbound.verified_peer()
        assert peer is not None
        await connection.send(f"{peer.name} said {message!r}")


async def main(at: stage.Stage) -> None:
    context = stage.door(at.files, at.world.resolver())
    async with websockets.serve(handle, "127.0.0.1", 0, ssl=context) as server:
        port = next(iter(server.sockets)).getsockname()[1]
        async with websockets.connect(f"wss://localhost:{port}", ssl=stage.client(at.files)) as connection:
            await connection.send("hello")
            print(await connection.recv())  # car54._device.cars.example said 'hello'


if __name__ == "__main__":
    with stage.stage() as at, asyncio.Runner(loop_factory=dnsbound.loop_factory) as runner:
        runner.run(main(at))
