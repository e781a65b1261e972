"""A door for `bench.revocation`: lets in `*._device.cars.example`, and answers each line of a client with a word.

    python -m bench.revocation_door PORT SERVER.pem RESOLVER ANCHORS

A connection stays as long as the client wants, and as long as its record stands.
"""

import asyncio
import sys
from pathlib import Path

import dnsbound
from bench.our_server import door

NAMES = "*._device.cars.example"
WORD = b"in\n"


async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while await reader.readline():
            writer.write(WORD)
            await writer.drain()
    except (ConnectionError, OSError):
        return
    finally:
        writer.close()


async def serve(port: int, context: dnsbound.Context) -> None:
    server = await dnsbound.start_server(answer, "127.0.0.1", port, context=context)
    await server.serve_forever()


if __name__ == "__main__":
    _, port, credential, resolver, anchors = sys.argv
    asyncio.run(serve(int(port), door(Path(credential), resolver, Path(anchors), NAMES)))
