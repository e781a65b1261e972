"""A line server on asyncio streams, on any event loop.

python examples/servers/streams.py server.pem access.toml
"""

import asyncio
import sys
from contextlib import suppress

from dnsbound import AccessFile, Authenticator, Context, Resolver, load_credential, start_server, verified_peer


async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    peer = verified_peer()
    writer.write(f"hello {peer.name if peer else 'nobody'}\n".encode())
    with suppress(ConnectionError):  # a client that goes away without a goodbye
        while line := await reader.readline():
            writer.write(line)
            await writer.drain()
    writer.close()


async def main(credential_file: str, access_file: str) -> None:
    authenticator = Authenticator(AccessFile(access_file), Resolver.from_system(), door="api")
    context = Context.server(load_credential(credential_file), authenticator=authenticator)
    server = await start_server(serve, "localhost", 8443, context=context)
    async with server:
        await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
