"""aioquic as it is, with its own TLS that knows no dane_clientid: as a client at our door, and as a server."""

import asyncio
from pathlib import Path
from typing import Any

import pytest
from aioquic.asyncio.client import connect
from aioquic.asyncio.protocol import QuicConnectionProtocol
from aioquic.asyncio.server import serve
from aioquic.quic.configuration import QuicConfiguration
from aioquic.quic.events import ConnectionTerminated

from dnsbound.edge.quic_client import open_quic_connection
from dnsbound.errors import Reason
from dnsbound.testing import World
from machines.doors import PATIENCE, SERVER, car, until
from machines.quic_doors import ALPN, ask, client, echo, quic_door, serving


class Watching(QuicConnectionProtocol):
    """Remembers how the connection ended."""

    end: ConnectionTerminated | None = None

    def quic_event_received(self, event: Any) -> None:
        super().quic_event_received(event)
        if isinstance(event, ConnectionTerminated):
            self.end = event


def configuration(world: World, **options: Any) -> QuicConfiguration:
    made = QuicConfiguration(alpn_protocols=[ALPN], server_name=SERVER, **options)
    made.load_verify_locations(cadata=world.web_root_pem)
    return made


def run(main: Any) -> Any:
    return asyncio.run(asyncio.wait_for(main(), PATIENCE))


def test_a_client_without_a_certificate_is_refused(world: World) -> None:
    at = quic_door(world)

    async def main() -> None:
        async with (
            serving(at, echo) as server,
            connect(
                "127.0.0.1",
                server.address[1],
                configuration=configuration(world, is_client=True),
                create_protocol=Watching,
            ) as talking,
        ):
            assert isinstance(talking, Watching)
            await until(lambda: talking.end is not None)
            assert talking.end is not None
            assert talking.end.error_code == 0x100 + 40

    run(main)
    assert at.reasons == [Reason.NO_CREDENTIAL.value]


@pytest.mark.parametrize("known", [True, False])
def test_a_client_is_known_by_the_name_in_its_certificate(world: World, tmp_path: Path, known: bool) -> None:
    """`claim_from` includes `san`: a stock client comes in by its one DNS name."""
    at, device = quic_door(world), car(world)
    if not known:
        device.revoke()
    file = tmp_path / "car.pem"
    file.write_bytes(device.credential.to_pem())
    ours = configuration(world, is_client=True)
    own = device.credential.to_pem()
    key_first = own.index(b"-----BEGIN PRIVATE KEY") < own.index(b"-----BEGIN CERTIFICATE")
    if key_first:
        split = own.index(b"-----BEGIN CERTIFICATE")
        file.write_bytes(own[split:] + own[:split])
    ours.load_cert_chain(file)

    async def main() -> bytes:
        async with (
            serving(at, echo) as server,
            connect("127.0.0.1", server.address[1], configuration=ours, create_protocol=Watching) as talking,
        ):
            assert isinstance(talking, Watching)
            reader, writer = await talking.create_stream()
            writer.write(b"stock")
            writer.write_eof()
            if known:
                return await reader.read()
            await until(lambda: talking.end is not None)
            assert talking.end is not None
            assert talking.end.error_code == 0x100 + 40
            return b""

    assert run(main) == (b"STOCK" if known else b"")
    assert at.reasons[0] == ("admitted" if known else Reason.NO_TLSA.value)


def test_a_server_is_talked_to(world: World, tmp_path: Path) -> None:
    """Ours as a client of a server that asks for nothing."""
    at, device = quic_door(world), car(world)
    credential = world.web_credential(SERVER, "127.0.0.1").to_pem()
    split = credential.index(b"-----BEGIN CERTIFICATE")
    key, chain = tmp_path / "key.pem", tmp_path / "chain.pem"
    end = credential.index(b"-----END PRIVATE KEY-----") + len(b"-----END PRIVATE KEY-----\n")
    begin = credential.index(b"-----BEGIN PRIVATE KEY")
    key.write_bytes(credential[begin:end])
    chain.write_bytes(credential[:begin] + credential[end:] if begin > split else credential[split:])
    theirs = configuration(world, is_client=False)
    theirs.load_cert_chain(chain, key)

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write((await reader.read()).upper())
        writer.write_eof()

    def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        tasks.append(asyncio.ensure_future(answer(reader, writer)))

    tasks: list[Any] = []

    async def main() -> bytes:
        server = await serve("127.0.0.1", 0, configuration=theirs, stream_handler=accept, retry=True)
        port = server._transport.get_extra_info("sockname")[1]
        try:
            async with await open_quic_connection(
                "127.0.0.1", port, context=client(at, device), server_hostname=SERVER
            ) as connection:
                assert connection.shim.version() == "TLSv1.3"
                return await ask(connection, b"stock" * 10_000)
        finally:
            server.close()
            await at.resolver.aclose()

    assert run(main) == b"STOCK" * 10_000
