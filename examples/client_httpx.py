"""A client with httpx, blocking and asynchronous."""

import asyncio

import httpx
import stage

import dnsbound


def fetch(context: dnsbound.Context, url: str) -> str:
    with httpx.Client(verify=context) as client:
        return client.get(url).text


async def fetch_async(context: dnsbound.Context, url: str) -> str:
    async with httpx.AsyncClient(verify=context) as client:
        return (await client.get(url)).text


if __name__ == "__main__":
    with stage.stage() as at, stage.greeting_api(at) as url:
        print(fetch(stage.client(at.files), url))  # hello car54._device.cars.example
        print(asyncio.run(fetch_async(stage.client(at.files), url)))  # hello car54._device.cars.example
