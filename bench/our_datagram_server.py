"""Our datagram server, as the benchmark runs it: DANE client authentication on asyncio.

python -m bench.our_datagram_server PORT SERVER.pem RESOLVER ANCHORS NAME
"""

import asyncio
import gc
import sys
from pathlib import Path

import dnsbound
from dnsbound.edge.datagram_server import ServedConnection


def door(credential: Path, resolver: str, anchors: Path, name: str) -> dnsbound.Context:
    authenticator = dnsbound.Authenticator(
        dnsbound.AccessList.allowing("api", [name]),
        dnsbound.Resolver([dnsbound.Upstream.parse(resolver)], dnsbound.TrustAnchors.from_text(anchors.read_text())),
        door="api",
    )
    return dnsbound.Context.server(dnsbound.load_credential(credential), authenticator=authenticator, datagram=True)


async def wait(connection: ServedConnection) -> None:
    while await connection.receive():
        pass


async def serve(port: int, context: dnsbound.Context) -> None:
    async with await dnsbound.start_datagram_server(wait, "127.0.0.1", port, context=context) as server:
        gc.freeze()
        await server.wait_closed()


if __name__ == "__main__":
    _, port, credential, resolver, anchors, name = sys.argv
    asyncio.run(serve(int(port), door(Path(credential), resolver, Path(anchors), name)))
