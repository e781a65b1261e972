"""A client that is in asks for new keys without end and never reads: each request obliges the server to an answer,
and the answers must not pile up (RFC 9846 section 4.7.3)."""

import asyncio
import contextlib
import socket
import threading
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from adversary.hostile_client import HANDSHAKE, Entry, HostileClient, client_name, extension, message
from adversary.key_schedule import HASH_OCTETS, Protection, expand_label
from dnsbound.iana import DANE_CLIENTID
from dnsbound.testing import Device, World
from machines.doors import LOOPS, SERVER, car, door, run, serving, until

KEY_UPDATE, UPDATE_REQUESTED = 24, b"\1"
FLOOD = 60_000
"""Requests, some one and a half megabytes of answers."""
SMALL_BUFFER = 4096


class Silent(asyncio.Protocol):
    """Never writes, so that whatever waits to be sent is TLS's own."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport: Any = transport
        self.received = b""
        made.append(self)

    def data_received(self, data: bytes) -> None:
        self.received += data


made: list[Silent] = []


@pytest.fixture(autouse=True)
def _forget() -> None:
    made.clear()


class Client(HostileClient):
    """The hostile client, with the KeyUpdate of both directions."""

    def key_update(self) -> bytes:
        assert self._send is not None
        record = self._send.seal(HANDSHAKE, message(KEY_UPDATE, UPDATE_REQUESTED))
        self._send = Protection(expand_label(self._send.secret, "traffic upd", b"", HASH_OCTETS))
        return record


def log_in(port: int, device: Device) -> tuple[socket.socket, Client]:
    client, plain = Client(server_name=SERVER), socket.socket()
    plain.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, SMALL_BUFFER)
    plain.settimeout(10)
    plain.connect(("127.0.0.1", port))
    plain.sendall(client.client_hello())
    while not client.complete:
        client.receive(plain.recv(65_536))
    key = device.credential.private_key
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    claim = extension(DANE_CLIENTID, client_name(str(device.name).encode()))
    entry = Entry(device.credential.chain[0], claim)
    plain.sendall(client.certificate([entry]) + client.certificate_verify(key) + client.finished())
    return plain, client


@pytest.mark.parametrize("kind", LOOPS)
def test_answers_that_nobody_reads_do_not_pile_up(kind: str, world: World) -> None:
    device, at = car(world), door(world)

    def flood(port: int) -> None:
        plain, client = log_in(port, device)
        with plain:
            until_made = threading.Event()
            while not made:
                until_made.wait(0.01)
            made[0].transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SMALL_BUFFER)
            records = memoryview(b"".join(client.key_update() + client.data(b"x") for _ in range(FLOOD)))
            plain.settimeout(0.5)
            with contextlib.suppress(TimeoutError):
                while records:
                    records = records[plain.send(records[:65_536]) :]
            unread.append((settled(), made[0].transport.get_write_buffer_size()))
            plain.settimeout(10)
            plain.setblocking(True)
            reader = threading.Thread(target=drain, args=(plain, client))
            reader.start()
            plain.sendall(records)
            plain.sendall(client.data(b"."))
            reader.join(10)

    def drain(plain: socket.socket, client: Client) -> None:
        """Reads at last: everything goes on as if nothing had been."""
        with contextlib.suppress(OSError):
            while not made[0].received.endswith(b".") and plain.recv(65_536):
                pass

    def settled() -> int:
        """Octets received once there come no more."""
        pause, before = threading.Event(), -1
        while before != len(made[0].received):
            before = len(made[0].received)
            pause.wait(0.5)
        return before

    unread: list[tuple[int, int]] = []

    async def main() -> None:
        async with serving(Silent, at) as port:
            await asyncio.to_thread(flood, port)
            assert made[0].received == b"x" * FLOOD + b"."
            made[0].transport.abort()
            await until(lambda: len(at.authenticator.sessions) == 0)

    run(kind, main)
    [(received, waiting)] = unread
    assert waiting < 500_000
    assert received < FLOOD, "it had to wait"
