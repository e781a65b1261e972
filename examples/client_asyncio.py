"""A client on asyncio's streams."""

import asyncio
from urllib.parse import urlsplit

import stage

import dnsbound


async def fetch(context: dnsbound.Context, host: str, port: int) -> bytes:
    reader, writer = await asyncio.open_connection(host, port, ssl=context)
    writer.write(f"GET / HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode())
    try:
        return await reader.read()
    except dnsbound.PeerError as error:  # the server refused: in TLS 1.3 the client learns it when it reads
        return f"shut out: {error}".encode()
    finally:
        writer.close()


if __name__ == "__main__":
    with stage.stage() as at, stage.greeting_api(at) as url:
        where = urlsplit(url)
        for car in ("car54", "car55"):
            answer = asyncio.run(fetch(stage.client(at.files, car), str(where.hostname), int(where.port or 443)))
            print(answer.decode().splitlines()[-1])  # hello car54._device.cars.example, then shut out
