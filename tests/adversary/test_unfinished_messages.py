"""A peer that begins a handshake message on an open connection and never ends it: nothing can be written to it then,
and what a program goes on writing must not pile up. An optional door opens to strangers, so this is anybody's to try.
"""

import asyncio

import pytest

import dnsbound
from adversary.hostile_client import HANDSHAKE, HostileClient, Session
from dnsbound import _native
from dnsbound.testing import World
from machines.doors import LOOPS, SERVER, door, ended, run, until
from machines.native_pairs import SERVER as NATIVE_SERVER
from machines.native_pairs import server_config

BEGUN, REST = b"\x18\x00\x00\x01", b"\x00"
"""A KeyUpdate that asks for nothing, in two parts (RFC 9846 section 4.7.3)."""
PIECE = bytes(65_536)
MOST_PARKED = 1024 * 1024
ANSWER = 64
"""Pieces: 4 MiB."""


class Client(HostileClient):
    def part(self, octets: bytes) -> bytes:
        """A record of a handshake message's octets, whole or not."""
        assert self._send is not None
        return self._send.seal(HANDSHAKE, octets)


def established() -> tuple[Client, _native.Connection]:
    client, server = Client(server_name=NATIVE_SERVER), _native.Connection(server_config(verification="none"))
    server.feed(client.client_hello())
    server.do_handshake()
    client.receive(server.drain())
    server.feed(client.finished())
    assert server.do_handshake()
    client.receive(server.drain())
    return client, server


def test_what_is_written_meanwhile_has_an_end() -> None:
    client, server = established()
    server.feed(client.part(BEGUN))
    assert server.read(10) is None
    for count in range(1, MOST_PARKED // len(PIECE) + 1):
        assert server.write(PIECE) == len(PIECE)
        assert server.parked() == count * len(PIECE)
    for _ in range(2):
        with pytest.raises(_native.TlsError):
            server.write(b"x")
    assert server.parked() == 0
    assert server.drain() == b""
    server.feed(client.part(REST))
    with pytest.raises(_native.TlsError):
        server.read(10)


def test_what_is_written_meanwhile_is_sent_once_the_rest_is_here() -> None:
    client, server = established()
    server.feed(client.part(BEGUN))
    assert server.read(10) is None
    server.write(b"meanwhile")
    assert (server.parked(), server.pending_out()) == (9, 0)
    server.feed(client.part(REST))
    assert server.read(10) is None
    assert server.parked() == 0
    client.receive(server.drain())
    assert client.application_data == b"meanwhile"


@pytest.mark.parametrize("kind", LOOPS)
def test_a_program_that_writes_is_told_to_pause_and_goes_on_with_the_rest(kind: str, world: World) -> None:
    """`drain()` waits as for a client that does not read."""
    at = door(world, policy="optional")
    written: list[int] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readexactly(1)
        while sum(written) < ANSWER * len(PIECE):
            writer.write(PIECE)
            written.append(len(PIECE))
            await writer.drain()
        writer.close()

    async def main() -> None:
        server = await dnsbound.start_server(serve, "127.0.0.1", 0, context=at.context)
        address = server.sockets[0].getsockname()
        client = Client(server_name=SERVER)
        session = await asyncio.to_thread(Session, address, client)
        try:
            await asyncio.to_thread(begin, session)
            await until(lambda: bool(written))
            before = -1
            while before != len(written):
                before = len(written)
                await asyncio.sleep(0.3)
            assert sum(written) < MOST_PARKED
            await asyncio.to_thread(end, session)
            assert len(client.application_data) == sum(written) == ANSWER * len(PIECE)
        finally:
            session.socket.close()
            await ended(server)
            await at.resolver.aclose()

    def begin(session: Session) -> None:
        client = session.client
        assert isinstance(client, Client)
        session.handshake()
        session.send(client.finished(), client.data(b"G"), client.part(BEGUN))

    def end(session: Session) -> None:
        client = session.client
        assert isinstance(client, Client)
        session.send(client.part(REST))
        assert session.until_closed() == [(1, 0)]

    run(kind, main)
