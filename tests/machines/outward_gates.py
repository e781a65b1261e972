"""Client-side gates on World, and servers for them to reach: all on free loopback ports."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

from dnsbound.credential.association import tlsa_for_certificate
from dnsbound.edge.credential_files import load_credential
from dnsbound.edge.gate_configuration import GateConfiguration
from dnsbound.edge.gate_server import GateServer
from dnsbound.edge.gate_sockets import bind_clients
from dnsbound.edge.outward_gate import OutwardGate
from dnsbound.iana import MatchingType, Selector, Usage
from dnsbound.records.tlsa import TLSA
from dnsbound.testing import Device, World
from machines.gates import PATIENCE, Gated

HOST = "gate.cars.example"
"""Whom the server has to be; it is dialled at 127.0.0.1."""
LABEL = "out"


@dataclass
class GoingOut:
    """A running client-side gate, labelled `out`. where: a path or a port."""

    server: GateServer
    where: Path | int
    credential: Path

    @property
    def gate(self) -> OutwardGate:
        return self.server.clients[LABEL]

    async def connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """A program in clear."""
        if isinstance(self.where, Path):
            return await asyncio.open_unix_connection(self.where)
        return await asyncio.open_connection("127.0.0.1", self.where)

    async def ask(self, said: bytes) -> bytes:
        """What comes back of it until the end, our side having ended; OSError where it was reset."""
        reader, writer = await self.connect()
        try:
            # A gate that has no way through may have closed already.
            with contextlib.suppress(ConnectionError):
                writer.write(said)
                writer.write_eof()
            async with asyncio.timeout(PATIENCE):
                return await reader.read()
        finally:
            writer.close()


def publish(at: Gated, *records: TLSA) -> None:
    """The TLSA records of the server, by the credential that it has."""
    at.world.organisation("cars.example").replace(f"_{at.port}._tcp.{HOST}", *records, ttl=60)


def own_record(at: Gated) -> TLSA:
    """Of the key that the server has."""
    leaf = load_credential(at.directory / "server.pem").chain[0]
    return tlsa_for_certificate(leaf, Usage.DANE_EE, Selector.SPKI, MatchingType.SHA2_256)


@contextlib.asynccontextmanager
async def going_out(
    world: World, directory: Path, device: Device, port: int, options: str = "", *, listen: str = ""
) -> AsyncIterator[GoingOut]:
    """A client-side gate to a port of this machine. options: more lines of `[client.out]`. listen: a Unix socket in
    the directory by default."""
    place = directory / "out.sock"
    credential = directory / "device.pem"
    credential.write_bytes(device.credential.to_pem())
    credential.chmod(0o600)
    text = (
        f'[client.{LABEL}]\nlisten = "{listen or f"unix:{place}"}"\ntarget = "127.0.0.1:{port}"\n'
        f'server_name = "{HOST}"\ncredential = "device.pem"\n{options}\n'
    )
    path = directory / "client.toml"
    path.write_text(text)
    configuration = GateConfiguration.load(path)
    (sockets,) = bind_clients(configuration.clients)
    where: Path | int = place if not listen else sockets[LABEL][0].getsockname()[1]
    with world.resolver() as resolver:
        server = GateServer(
            configuration, resolver, sockets, reread=lambda: GateConfiguration.load(path), clock=world.now
        )
        async with server:
            yield GoingOut(server, where, credential)
