"""A client with aiohttp."""

import asyncio

import aiohttp
import stage

import dnsbound


async def fetch(context: dnsbound.Context, url: str) -> str:
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=context)) as session:
        async with session.get(url) as response:
            return await response.text()


if __name__ == "__main__":
    with stage.stage() as at, stage.greeting_api(at) as url:
        print(asyncio.run(fetch(stage.client(at.files), url)))  # hello car54._device.cars.example
