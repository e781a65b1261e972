"""A server that proves its own TLSA record in the handshake (RFC 9102): its client needs neither DNS nor any CA."""

import asyncio

import stage

import dnsbound
from dnsbound.edge.chain_source import ResolvedChain
from dnsbound.edge.context_chain import ChainRequest, ServedChain
from dnsbound.edge.pins import FilePins

HOST = "api.cars.example"


async def greet(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    peer = dnsbound.verified_peer()
    assert peer is not None
    writer.write(f"hello {peer.name}".encode())
    writer.close()


def door(at: stage.Stage, port: int, source: ResolvedChain | None) -> dnsbound.Context:
    access = dnsbound.AccessFile(at.files / "access.toml")
    authenticator = dnsbound.Authenticator(access, at.world.resolver(), door="api")
    own = dnsbound.load_credential(at.files / "server.pem")
    chain = None if source is None else ServedChain(host=HOST, port=port, source=source, lifetime=24)
    return dnsbound.Context.server(own, authenticator=authenticator, dnssec_chain=chain)


async def call(context: dnsbound.Context, port: int) -> str:
    reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context, server_hostname=HOST)
    try:
        return (await reader.read()).decode()
    finally:
        writer.close()


async def main(at: stage.Stage) -> None:
    with stage.listening() as (listener, port):
        own = dnsbound.load_credential(at.files / "server.pem")
        at.world.organisation("cars.example").publish(f"_{port}._tcp.{HOST}", own.tlsa())

        request = ChainRequest(port=port, anchors=at.world.anchors, pins=FilePins(at.files / "pins.json"))
        car = dnsbound.load_credential(at.files / "car54.pem")
        context = dnsbound.Context.client(car, server_tlsa="require", dnssec_chain=request)

        with await asyncio.to_thread(ResolvedChain.of_server(at.world.resolver(), HOST, port).start) as source:
            async with await asyncio.start_server(greet, sock=listener.dup(), ssl=door(at, port, source)):
                print(await call(context, port))  # hello car54._device.cars.example
        async with await asyncio.start_server(greet, sock=listener.dup(), ssl=door(at, port, None)):
            try:
                await call(context, port)
            except dnsbound.Undecided as error:
                print(error)


if __name__ == "__main__":
    with stage.stage() as at, asyncio.Runner(loop_factory=dnsbound.loop_factory) as runner:
        runner.run(main(at))
