"""TLS that starts in the middle: what a client sends together with its Finished must not be answered in clear."""

import asyncio
import socket
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from adversary.hostile_client import Entry, HostileClient, client_name, extension
from dnsbound.iana import DANE_CLIENTID
from dnsbound.testing import Device, World
from machines.doors import LOOPS, SERVER, Door, car, door, ending, run


class Upgrading(asyncio.Protocol):
    """Answers on whatever transport it has by then, as a protocol does that is not built on streams."""

    def __init__(self, at: Door) -> None:
        self._at = at

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport: Any = transport

    def data_received(self, data: bytes) -> None:
        if data == b"STARTTLS\n":
            self.transport.write(b"GO\n")
            self._task = asyncio.get_running_loop().create_task(self._upgrade())
        else:
            self.transport.write(b"the answer to " + data)
            self.transport.close()

    async def _upgrade(self) -> None:
        loop = asyncio.get_running_loop()
        self.transport = await loop.start_tls(self.transport, self, self._at.context, server_side=True)


def talk(port: int, device: Device) -> HostileClient:
    client = HostileClient(server_name=SERVER)
    with socket.create_connection(("127.0.0.1", port), timeout=10) as plain:
        plain.sendall(b"STARTTLS\n")
        assert plain.recv(3) == b"GO\n"
        plain.sendall(client.client_hello())
        while not client.complete:
            client.receive(plain.recv(65_536))
        key = device.credential.private_key
        assert isinstance(key, ec.EllipticCurvePrivateKey)
        claim = extension(DANE_CLIENTID, client_name(str(device.name).encode()))
        flight = client.certificate([Entry(device.credential.chain[0], claim)])
        flight += client.certificate_verify(key) + client.finished() + client.data(b"a secret")
        plain.sendall(flight)
        while octets := plain.recv(65_536):
            client.receive(octets)
            if client.closed:
                break
    return client


@pytest.mark.parametrize("kind", LOOPS)
def test_early_data_is_answered_under_tls(kind: str, world: World) -> None:
    device, at = car(world), door(world)
    at.resolver.lookup_blocking(str(device.name), "TLSA")  # so that the verdict is there at once

    async def main() -> HostileClient:
        server = await asyncio.get_running_loop().create_server(lambda: Upgrading(at), "127.0.0.1", 0)
        async with ending(server):
            client = await asyncio.to_thread(talk, server.sockets[0].getsockname()[1], device)
        await at.resolver.aclose()
        return client

    assert run(kind, main).application_data == b"the answer to a secret"
