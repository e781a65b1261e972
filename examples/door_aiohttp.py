"""A door under an unmodified aiohttp server."""

import asyncio

import aiohttp
import stage
from aiohttp import web

import dnsbound


async def greet(_request: web.Request) -> web.Response:
    peer = dnsbound.verified_peer()
    assert peer is not None
    return web.Response(text=f"hello {peer.name}")


async def serve(context: dnsbound.Context, port: int) -> web.AppRunner:
    app = web.Application()
    app.router.add_get("/", greet)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port, ssl_context=context).start()
    return runner


async def main(at: stage.Stage) -> None:
    runner = await serve(stage.door(at.files, at.world.resolver()), 0)
    url = f"https://localhost:{runner.addresses[0][1]}/"
    connector = aiohttp.TCPConnector(ssl=stage.client(at.files))
    async with aiohttp.ClientSession(connector=connector) as session, session.get(url) as response:
        print(await response.text())  # hello car54._device.cars.example
    await runner.cleanup()


if __name__ == "__main__":
    with stage.stage() as at, asyncio.Runner(loop_factory=dnsbound.loop_factory) as runner:
        runner.run(main(at))
