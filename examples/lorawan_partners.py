"""A LoRaWAN network server asks another organisation's join server: each knows the other by its name."""

import asyncio

import stage
import uvicorn

import dnsbound
from dnsbound.adapters.lorawan_client import BackendClient
from dnsbound.adapters.lorawan_server import BackendServer
from dnsbound.protocols.lorawan_backend import SUCCESS, BackendMessage, MessageType

ACCESS = """
[door.join]
allow = [{ names = ["ns._service.network.example"], grants = { lorawan = ["000013"] } }]
"""


async def join(message: BackendMessage, peer: dnsbound.VerifiedPeer) -> BackendMessage:
    print(f"{peer.name} asks for {message.objects['DevEUI']}")
    return message.answered(SUCCESS, {"PHYPayload": "20b1", "Lifetime": 3600})


def join_server(credential: dnsbound.Credential, resolver: dnsbound.Resolver) -> uvicorn.Server:
    authenticator = dnsbound.Authenticator(dnsbound.AccessList.from_toml(ACCESS), resolver, door="join")
    context = dnsbound.Context.server(credential, authenticator=authenticator)
    config = uvicorn.Config(
        BackendServer(["70b3d57ed0000000"], join),
        loop="dnsbound:loop_factory",
        ssl_context_factory=lambda _config, _default: context,
        lifespan="off",
        log_level="warning",
    )
    return uvicorn.Server(config)


async def ask(credential: dnsbound.Credential, resolver: dnsbound.Resolver, port: int, own: str) -> None:
    context = dnsbound.Context.client(credential, resolver=resolver, server_tlsa="require")
    url = f"https://js.joins.example:{port}/"
    partner = "70b3d57ed0000000"
    async with BackendClient(context, own=own, partner=partner, url=url, address="127.0.0.1") as join_server:
        answer = await join_server.ask(MessageType.JOIN_REQ, {"PHYPayload": "00ff", "DevEUI": "70b3d57ed0000001"})
    print(answer.result.code if answer.result else "", answer.objects.get("Lifetime", ""))


if __name__ == "__main__":
    with stage.stage() as at, stage.listening() as (listener, port):
        network, joins = at.world.organisation("network.example"), at.world.organisation("joins.example")
        ns, js = network.identity("ns._service"), joins.identity("js._service")
        joins.address("js", "127.0.0.1")
        joins.publish(f"_{port}._tcp.js", js.credential.tlsa())
        server = join_server(js.credential, at.world.resolver())

        def stop() -> None:
            server.should_exit = True

        with stage.on_a_thread(lambda: server.run(sockets=[listener]), stop):
            asyncio.run(ask(ns.credential, at.world.resolver(), port, "000013"))
            asyncio.run(ask(ns.credential, at.world.resolver(), port, "000014"))  # another's NetID
