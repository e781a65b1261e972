"""A server of streams that asks who its client is when it matters, with TLS 1.3's own post-handshake authentication.

The client is any that offers it; here Python's own ssl, whose certificate shows the name.
"""

import asyncio
import ssl
from pathlib import Path

import stage

import dnsbound


async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while line := await reader.readline():
            if line == b"open the door\n":
                await dnsbound.current_connection().authenticate_client(required=True)
            peer = dnsbound.verified_peer()
            writer.write(f"{peer.name if peer else 'somebody'} says {line.decode()}".encode())
    except (OSError, dnsbound.Refused, dnsbound.Undecided) as error:
        print(f"cut: {error}")
    finally:
        writer.close()


def door(files: Path, resolver: dnsbound.Resolver) -> dnsbound.Context:
    access = dnsbound.AccessFile(files / "access.toml")
    return dnsbound.Context.server(
        dnsbound.load_credential(files / "server.pem"),
        authenticator=dnsbound.Authenticator(access, resolver, door="api"),
        policy="optional",  # who claims nothing may come in, for now
        post_handshake=True,
    )


async def visit(files: Path, car: str, port: int) -> None:
    context = ssl.create_default_context(cafile=files / "web-root.pem")
    context.load_cert_chain(files / f"{car}.pem")
    context.post_handshake_auth = True
    reader, writer = await asyncio.open_connection("localhost", port, ssl=context)
    try:
        for line in (b"hello\n", b"open the door\n"):
            writer.write(line)
            print((await reader.readline()).decode(), end="")
    except ssl.SSLError as error:
        print(f"{car} is shut out: {error.reason}")
    finally:
        writer.close()


async def main(at: stage.Stage) -> None:
    async with await dnsbound.start_server(
        serve, "localhost", 0, context=door(at.files, at.world.resolver())
    ) as server:
        port = server.sockets[0].getsockname()[1]
        await visit(at.files, "car54", port)  # somebody says hello / car54._device.cars.example says open the door
        await visit(at.files, "car55", port)  # somebody says hello / car55 is shut out


if __name__ == "__main__":
    with stage.stage() as at:
        asyncio.run(main(at))
