"""Libraries that take an `ssl.SSLContext` take a Context, and servers take ours, without a cast. Read by mypy alone."""

import asyncio
import http.server
import socketserver
from typing import Any, assert_type

import aiohttp
import aiohttp.web
import paho.mqtt.client
import paho.mqtt.enums
import urllib3
import websockets
from aiosmtpd.controller import Controller

import dnsbound
from dnsbound.adapters.aiosmtpd import SMTP
from dnsbound.edge.blocking_server import VerifiedPeerMixIn


async def clients(context: dnsbound.Context) -> None:
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=context)) as session:
        assert_type(await session.get("https://api.cars.example/"), aiohttp.ClientResponse)
    async with websockets.connect("wss://api.cars.example/", ssl=context) as connection:
        await connection.send("hello")
    urllib3.PoolManager(ssl_context=context)
    mqtt = paho.mqtt.client.Client(paho.mqtt.enums.CallbackAPIVersion.VERSION2)
    mqtt.tls_set_context(context)


async def servers(context: dnsbound.Context, runner: aiohttp.web.AppRunner) -> None:
    await aiohttp.web.TCPSite(runner, ssl_context=context).start()
    async with websockets.serve(greet, "127.0.0.1", 0, ssl=context):
        pass
    loop = asyncio.get_running_loop()
    assert_type(await loop.create_server(asyncio.Protocol, "127.0.0.1", 0, ssl=context), asyncio.Server)


async def greet(connection: websockets.ServerConnection) -> None:
    peer = dnsbound.verified_peer()
    await connection.send("hello stranger" if peer is None else str(peer.name))


class Mail(Controller):
    """A controller whose STARTTLS waits for the verdict."""

    context: dnsbound.Context

    def factory(self) -> SMTP:
        return SMTP(self.handler, tls_context=self.context, require_starttls=True)


class Web(VerifiedPeerMixIn, http.server.HTTPServer):
    """A server of threads."""


class Lines(VerifiedPeerMixIn, socketserver.TCPServer):
    """Another one."""


def threads(context: dnsbound.Context, handler: Any) -> None:
    web = Web(("127.0.0.1", 0), handler)
    web.context = context
    assert_type(Lines.context, dnsbound.Context)


def wrong_uses(handler: Any) -> None:
    """Each ignored line is an error that the type checker finds; mypy complains where it stops finding one."""
    Web(("127.0.0.1", 0), handler).context = "car54.pem"  # type: ignore[assignment]
