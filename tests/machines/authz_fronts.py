"""The verify service on World, in this process, and a small HTTP client that sends what it is told and no more."""

import asyncio
import getpass
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from dnsbound.edge.authz_configuration import AuthzConfiguration
from dnsbound.edge.authz_server import AuthzServer, bind_fronts
from dnsbound.testing import World
from dnsbound.verify.decision import Decision

DOOR = "api.cars.example"
NAME = "car54._device.cars.example"
SECONDS = 20.0

ACCESS = f"""
[door."{DOOR}"]
allow = [
    {{ names = ["{NAME}"], grants = {{ topic = "cars/54", vlan = 12 }} }},
    "*._device.vans.example",
]

[door.other]
allow = []
"""

FRONT = """
[server]
access = "access.toml"

[front.nginx]
protocol = "http"
listen = "unix:{socket}"
users = ["{user}"]
door = "{door}"
{more}
"""


def pem(*chain: bytes) -> bytes:
    return b"".join(x509.load_der_x509_certificate(der).public_bytes(Encoding.PEM) for der in chain)


def escaped(*chain: bytes) -> str:
    return quote(pem(*chain), safe="")


@dataclass
class Reply:
    status: int
    fields: list[tuple[str, str]]
    body: bytes

    def __getitem__(self, name: str) -> str:
        [value] = [value for field_name, value in self.fields if field_name.lower() == name.lower()]
        return value

    def get(self, name: str) -> str | None:
        return next((value for field_name, value in self.fields if field_name.lower() == name.lower()), None)


@dataclass
class Client:
    """One connection."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def send(self, octets: bytes) -> None:
        self.writer.write(octets)
        await self.writer.drain()

    async def reply(self, *, head: bool = False) -> Reply:
        async with asyncio.timeout(SECONDS):
            lines = (await self.reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
            fields = [tuple(part.strip() for part in line.split(":", 1)) for line in lines[1:] if line]
            length = next((int(value) for name, value in fields if name.lower() == "content-length"), 0)
            body = b"" if head else await self.reader.readexactly(length)
        return Reply(int(lines[0].split(" ")[1]), fields, body)

    async def ask(
        self, target: str, fields: Mapping[str, str] | None = None, *, method: str = "GET", body: bytes = b""
    ) -> Reply:
        await self.send(request(target, fields, method=method, body=body))
        return await self.reply(head=method == "HEAD")

    async def ended(self) -> bytes:
        """What comes until the server ends the connection."""
        async with asyncio.timeout(SECONDS):
            try:
                return await self.reader.read()
            except ConnectionError:
                return b""

    async def close(self) -> None:
        self.writer.close()
        with suppress(ConnectionError):
            await self.writer.wait_closed()


def request(target: str, fields: Mapping[str, str] | None = None, *, method: str = "GET", body: bytes = b"") -> bytes:
    lines = [f"{method} {target} HTTP/1.1", "Host: verifier"]
    lines += [f"{name}: {value}" for name, value in (fields or {}).items()]
    if body or method == "POST":
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + body


@dataclass
class Service:
    """A running verify service."""

    server: AuthzServer
    configuration: AuthzConfiguration
    places: dict[str, str]
    world: World
    decisions: list[Decision] = field(default_factory=list)

    @asynccontextmanager
    async def client(self, label: str = "nginx") -> AsyncIterator[Client]:
        place = self.places[label]
        async with asyncio.timeout(SECONDS):
            if place.startswith("unix:"):
                reader, writer = await asyncio.open_unix_connection(place.removeprefix("unix:"))
            else:
                host, _, port = place.rpartition(":")
                reader, writer = await asyncio.open_connection(host.strip("[]"), int(port))
        client = Client(reader, writer)
        try:
            yield client
        finally:
            await client.close()


@asynccontextmanager
async def service(
    world: World, directory: Path, *, more: str = "", text: str | None = None, access: str = ACCESS, **options: Any
) -> AsyncIterator[Service]:
    """text: the whole authz.toml; by default one front at a Unix socket, with `more` in it."""
    (directory / "access.toml").write_text(access)
    path = directory / "authz.toml"
    path.write_text(text or front_text(directory, more=more))
    configuration = AuthzConfiguration.load(path)
    bound = bind_fronts(configuration)
    decisions: list[Decision] = []
    resolver = world.resolver()
    try:
        async with AuthzServer(configuration, resolver, bound, on_decision=decisions.append, **options) as server:
            yield Service(server, configuration, bound.places(), world, decisions)
    finally:
        bound.close()
        resolver.close()


def front_text(directory: Path, *, more: str = "", door: str = DOOR) -> str:
    return FRONT.format(socket=directory / "nginx.sock", user=getpass.getuser(), door=door, more=more)
