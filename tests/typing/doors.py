"""What a server's program sees of the types: doors, access lists, verified peers. Read by mypy alone."""

import asyncio
from collections.abc import Mapping
from typing import Any, assert_type

import uvicorn

import dnsbound
from dnsbound.adapters.asgi import Receive, Scope, Send, VerifiedPeerMiddleware
from dnsbound.dns.answer import Provenance
from dnsbound.dns.chain_building import BuiltChain
from dnsbound.dns.chain_judging import ChainLimits
from dnsbound.edge.association_table import DatagramLimits
from dnsbound.edge.chain_from_file import ChainFromFile
from dnsbound.edge.chain_source import ChainSource, FixedChain, ResolvedChain
from dnsbound.edge.context_datagram import Datagrams
from dnsbound.edge.datagram_blocking import open_datagram_connection_blocking
from dnsbound.edge.datagram_server import DatagramServer, ServedConnection
from dnsbound.edge.latest_time import LatestTime
from dnsbound.tls.flags import RequestSignal
from dnsbound.verify.carried import CarriedChains
from dnsbound.verify.claim import Possession
from dnsbound.verify.decision import Decision


async def greet(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    peer = dnsbound.verified_peer()
    assert_type(peer, dnsbound.VerifiedPeer | None)
    writer.write(b"hello stranger" if peer is None else peer.name.to_wire())


async def a_door(credential: dnsbound.Credential, resolver: dnsbound.Resolver) -> None:
    access = dnsbound.AccessList.allowing("api", ["*._device.cars.example"], grants={"vlan": 7})
    door = dnsbound.Authenticator(access, resolver, door="api", grace=60, on_decision=seen)
    context = dnsbound.Context.server(credential, authenticator=door, policy="optional", claim_from=("extension",))
    assert_type(context, dnsbound.Context)
    dnsbound.Context.server(credential, authenticator=door, policy="optional", ask="always", request_signal=None)
    dnsbound.Context.server(credential, authenticator=door, request_signal=[RequestSignal(), RequestSignal(0xFE01)])
    dnsbound.Context.server(credential, authenticator=door, profiles=["ca13", "cid07"])
    dnsbound.Context.server(credential, authenticator=door, ask="sometimes")  # type: ignore[arg-type]
    assert_type(await asyncio.start_server(greet, "127.0.0.1", 0, ssl=context), asyncio.Server)
    assert_type(await dnsbound.start_server(greet, "127.0.0.1", 0, context=context), asyncio.Server)


async def datagrams(credential: dnsbound.Credential, authenticator: dnsbound.Authenticator) -> None:
    context = dnsbound.Context.server(credential, authenticator=authenticator, datagram=True)
    assert_type(context.datagram, bool)

    async def collect(connection: ServedConnection) -> None:
        async for message in connection:
            assert_type(message, bytes)
            connection.send(message)
        assert_type(connection.verified_peer(), dnsbound.VerifiedPeer | None)

    bounds = DatagramLimits(associations=10)
    async with await dnsbound.start_datagram_server(collect, "127.0.0.1", context=context, bounds=bounds) as server:
        assert_type(server, DatagramServer)
    slow = dnsbound.Context.client(credential, datagram=Datagrams(constrained=True), clear_name_to=["api.cars.example"])
    async with await dnsbound.open_datagram_connection("api.cars.example", 5684, context=slow) as connection:
        assert_type(await connection.receive(), bytes)
    with open_datagram_connection_blocking("api.cars.example", 5684, context=slow) as blocking:
        assert_type(blocking.receive(timeout=1.0), bytes)
    dnsbound.Context.client(credential, datagram="yes")  # type: ignore[arg-type]


def a_door_without_dns(credential: dnsbound.Credential, chain: ChainSource, access: dnsbound.AccessList) -> None:
    chains = CarriedChains(["*._device.cars.example"], max_age=3600, spend=ChainLimits(octets=4096))
    door = dnsbound.Authenticator(
        access, None, door="gate", carried_chains=chains, latest_time=LatestTime("/var/lib/gate/time")
    )
    dnsbound.Context.server(credential, authenticator=door)
    dnsbound.Context.client(credential, carry_chain=chain)
    assert_type(chain.current(), bytes | None)
    dnsbound.Authenticator(access, None, door="gate", carried_chains=True)  # type: ignore[arg-type]


async def chains(resolver: dnsbound.Resolver) -> None:
    built = await resolver.chain("car54._device.cars.example")
    assert_type(built.octets, bytes)
    assert_type(built.valid_until, float)
    with ResolvedChain(resolver, "_443._tcp.www.cars.example") as source:
        assert_type(source.built, BuiltChain | None)
    sources: list[ChainSource] = [source, FixedChain(built.octets), ChainFromFile("car54.chain")]
    assert_type(sources[0].current(), bytes | None)


def seen(decision: Decision) -> None:
    assert_type(decision.reason, dnsbound.Reason | None)
    assert_type(decision.to_json(), dict[str, Any])


def lists(resolver: dnsbound.Resolver) -> None:
    from_file = dnsbound.AccessFile("access.toml")
    assert_type(from_file.current(), dnsbound.AccessList)
    assert_type(dnsbound.AccessList.from_toml(""), dnsbound.AccessList)
    dnsbound.Authenticator(from_file, resolver, door="api")


def evidence(peer: dnsbound.VerifiedPeer) -> None:
    assert_type(peer.name, dnsbound.ClientName)
    assert_type(peer.record, dnsbound.TLSA)
    assert_type(peer.provenance, Provenance)
    assert_type(peer.possession, Possession)
    assert_type(peer.grants, Mapping[str, Any])
    assert_type(peer.valid_until, float)
    assert_type(peer.signatures_expire, float | None)


def loops() -> None:
    assert_type(dnsbound.loop_factory(), asyncio.AbstractEventLoop)
    with asyncio.Runner(loop_factory=dnsbound.loop_factory) as runner:
        runner.run(asyncio.sleep(0))
    uvicorn.Config(application, loop="dnsbound:loop_factory")


async def application(scope: Scope, receive: Receive, send: Send) -> None:
    await VerifiedPeerMiddleware(application)(scope, receive, send)


def wrong_uses(
    credential: dnsbound.Credential,
    access: dnsbound.AccessList,
    resolver: dnsbound.Resolver,
    peer: dnsbound.VerifiedPeer,
) -> None:
    """Each ignored line is an error that the type checker finds; mypy complains where it stops finding one."""
    dnsbound.Authenticator(access, resolver)  # type: ignore[call-arg]
    dnsbound.Authenticator("access.toml", resolver, door="api")  # type: ignore[arg-type]
    dnsbound.Context.server(credential)  # type: ignore[call-arg]
    door = dnsbound.Authenticator(access, resolver, door="api")
    dnsbound.Context.server(credential, authenticator=door, policy="whatever")  # type: ignore[arg-type]
    dnsbound.verified_peer().name  # type: ignore[union-attr]  # noqa: B018 (an optional door admits who claims nothing)
    peer.name = dnsbound.ClientName.parse("car55._device.cars.example")  # type: ignore[misc]
    peer.grants["vlan"] = 8  # type: ignore[index]
