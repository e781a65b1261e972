"""Our server, as the benchmark runs it: DANE client authentication on asyncio or uvloop, the same answer as the peers.

python -m bench.our_server PORT SERVER.pem RESOLVER ANCHORS NAME asyncio|uvloop
"""

import asyncio
import gc
import sys
from pathlib import Path
from typing import TYPE_CHECKING, cast

import dnsbound
from bench.peers import answer

if TYPE_CHECKING:
    from dnsbound.edge.loop import LoopKind


def door(credential: Path, resolver: str, anchors: Path, name: str) -> dnsbound.Context:
    authenticator = dnsbound.Authenticator(
        dnsbound.AccessList.allowing("api", [name]),
        dnsbound.Resolver([dnsbound.Upstream.parse(resolver)], dnsbound.TrustAnchors.from_text(anchors.read_text())),
        door="api",
    )
    context = dnsbound.Context.server(dnsbound.load_credential(credential), authenticator=authenticator)
    context.set_ecdh_curve("X25519")
    return context


async def serve(port: int, context: dnsbound.Context) -> None:
    server = await dnsbound.start_server(answer, "127.0.0.1", port, context=context, backlog=1024)
    gc.freeze()
    await server.serve_forever()


if __name__ == "__main__":
    _, port, credential, resolver, anchors, name, kind = sys.argv
    context = door(Path(credential), resolver, Path(anchors), name)
    with asyncio.Runner(loop_factory=lambda: dnsbound.loop_factory(cast("LoopKind", kind))) as runner:
        runner.run(serve(int(port), context))
