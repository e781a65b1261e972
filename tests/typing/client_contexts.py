"""What a client's program sees of the types: a Context is an SSLContext wherever one is taken. Read by mypy alone."""

import asyncio
import socket
import ssl
import time
import urllib.request
from typing import assert_type

import httpx

import dnsbound
from dnsbound.edge.chain_source import ResolvedChain
from dnsbound.edge.context_chain import ChainRequest
from dnsbound.edge.pins import FilePins
from dnsbound.tls.flags import RequestSignal


def a_context_is_an_ssl_context(credential: dnsbound.Credential) -> ssl.SSLContext:
    context = dnsbound.Context.client(credential)
    assert_type(context, dnsbound.Context)
    assert_type(context.is_door, bool)
    return context


def raw_keys_and_other_names(credential: dnsbound.Credential) -> None:
    assert_type(dnsbound.Context.client(credential, name="car54._device.cars.example"), dnsbound.Context)
    assert_type(
        dnsbound.Context.client(credential.as_raw_key(), raw_public_key=True, clientid=0xFF42), dnsbound.Context
    )
    assert_type(dnsbound.Context.client(), dnsbound.Context)
    dnsbound.Context.client(credential, profiles=("ca13", "cid07"), clear_name_to=["*.plant.example"])


async def streams(context: dnsbound.Context) -> bytes:
    reader, writer = await asyncio.open_connection("api.cars.example", 443, ssl=context)
    writer.write(b"hello")
    return await reader.read()


async def http(context: dnsbound.Context) -> None:
    async with httpx.AsyncClient(verify=context, http2=True) as client:
        assert_type(await client.get("https://api.cars.example/"), httpx.Response)


def blocking_http(context: dnsbound.Context) -> None:
    with httpx.Client(verify=context) as blocking:
        assert_type(blocking.get("https://api.cars.example/"), httpx.Response)
    urllib.request.urlopen("https://api.cars.example/", context=context)


def sockets(context: dnsbound.Context, plain: socket.socket) -> None:
    wrapped = context.wrap_socket(plain, server_hostname="api.cars.example")
    assert_type(wrapped.recv(1), bytes)
    over_memory = context.wrap_bio(ssl.MemoryBIO(), ssl.MemoryBIO(), server_hostname="api.cars.example")
    assert_type(over_memory.read(), bytes)


async def a_server_known_by_its_record(resolver: dnsbound.Resolver) -> None:
    context = dnsbound.Context.client(server_tlsa="require", resolver=resolver)
    evidence = await context.prepare("api.cars.example", 443, deadline=2.0)
    assert_type(evidence.records, tuple[dnsbound.TLSA, ...])
    assert_type(evidence.valid_until, float)
    assert_type(context.prepare_blocking("api.cars.example", 443).base_domain, str)


def credentials() -> None:
    credential = dnsbound.Credential.generate("car54._device.cars.example", now=time.time(), kind="raw")
    assert_type(credential, dnsbound.Credential)
    assert_type(credential.name, dnsbound.ClientName | None)
    assert_type(credential.chain, tuple[bytes, ...])
    assert_type(credential.tlsa(), dnsbound.TLSA)
    assert_type(
        credential.tlsa(dnsbound.Usage.DANE_EE, dnsbound.Selector.SPKI, dnsbound.MatchingType.FULL), dnsbound.TLSA
    )
    dnsbound.save_credential(credential, "car54.pem")
    assert_type(dnsbound.load_credential("car54.pem"), dnsbound.Credential)


def wrong_uses(context: dnsbound.Context, credential: dnsbound.Credential) -> None:
    """Each ignored line is an error that the type checker finds; mypy complains where it stops finding one."""
    dnsbound.Context.client("car54.pem")  # type: ignore[arg-type]
    dnsbound.Context.client(credential, server_tlsa="maybe")  # type: ignore[arg-type]
    dnsbound.Credential.generate("car54._device.cars.example")  # type: ignore[call-arg]
    dnsbound.Credential.generate("car54._device.cars.example", now=0.0, kind="pgp")  # type: ignore[arg-type]
    credential.name.canonical  # type: ignore[union-attr]  # noqa: B018 (a credential may go by no name)
    credential.name = None  # type: ignore[misc]
    context.prepare_blocking("api.cars.example")  # type: ignore[call-arg]
    dnsbound.Contexts  # type: ignore[attr-defined]  # noqa: B018 (a name that is not there)


def by_chain(credential: dnsbound.Credential, resolver: dnsbound.Resolver) -> None:
    request = ChainRequest(port=8443, pins=FilePins("pins.json"), longest_pin=3600)
    dnsbound.Context.client(credential, server_tlsa="require", dnssec_chain=request)
    dnsbound.Context.client(credential, carry_chain=ResolvedChain(resolver, "car54._device.cars.example"))
    dnsbound.Context.client(credential, request_signal=None)
    dnsbound.Context.client(credential, request_signal=RequestSignal(flag=81))
    ChainRequest(pins="pins.json")  # type: ignore[arg-type]
    dnsbound.Context.client(credential, carry_chain=b"octets")  # type: ignore[arg-type]
