"""Every way for a client to be known at the gate: by extension, certificate, ticket, carried chain; and TLS slowly."""

import asyncio
import ssl
from pathlib import Path

import pytest

from dnsbound.edge.chain_source import FixedChain
from dnsbound.protocols.proxy_protocol import ProxyHeader
from dnsbound.testing import Fault, World
from machines.bio_client import BioClient
from machines.doors import car
from machines.gates import Gated, back_end, gated

HELLO = b"hello"
OLD_TLS = 'tls = ["1.2", "1.3"]'


async def admitted(at: Gated, context: ssl.SSLContext) -> bool:
    """Whether a client comes through to the back end and back."""
    try:
        reader, writer = await at.connect(None, context)
    except OSError:
        return False
    try:
        writer.write(HELLO)
        return await reader.read(len(HELLO)) == HELLO
    except OSError:
        return False
    finally:
        writer.close()


def test_gw_31_a_client_nobody_can_change_is_known_by_its_certificate(tmp_path: Path) -> None:
    async def main(world: World, stock: ssl.SSLContext) -> None:
        async with back_end() as (_, target), gated(world, tmp_path, target) as at:
            assert await admitted(at, stock)
        async with back_end() as (_, target), gated(world, tmp_path, target, 'claim_from = ["extension"]') as at:
            assert not await admitted(at, stock)

    with World() as world:
        pem = tmp_path / "car.pem"
        pem.write_bytes(car(world).credential.to_pem())
        stock = ssl.create_default_context(cadata=world.web_root_pem.decode())
        stock.load_cert_chain(pem)
        asyncio.run(main(world, stock))


@pytest.mark.parametrize("options", ["", OLD_TLS])
def test_gw_31_tls_1_2_is_opt_in(tmp_path: Path, options: str) -> None:
    async def main(world: World, stock: ssl.SSLContext) -> None:
        async with back_end() as (_, target), gated(world, tmp_path, target, options) as at:
            assert await admitted(at, stock) is bool(options)

    with World() as world:
        pem = tmp_path / "car.pem"
        pem.write_bytes(car(world).credential.to_pem())
        stock = ssl.create_default_context(cadata=world.web_root_pem.decode())
        stock.load_cert_chain(pem)
        stock.maximum_version = ssl.TLSVersion.TLSv1_2
        asyncio.run(main(world, stock))


def test_gw_31_a_resumed_session_is_judged_again(tmp_path: Path) -> None:
    async def main(world: World) -> None:
        device = car(world)
        async with back_end() as (_, target), gated(world, tmp_path, target, "ticket_seconds = 600") as at:
            context = at.client(device)
            first = await BioClient.connect(context, at.port)
            await first.write(HELLO)
            assert await first.read() == HELLO
            session = first.tls.session
            await first.close()
            again = await BioClient.connect(context, at.port, session=session)
            await again.write(HELLO)
            assert await again.read() == HELLO
            assert again.tls.session_reused
            await again.close()
            (at.directory / "access.toml").write_text("[door.api]\nallow = []\n")
            at.server.reload()
            assert await BioClient.is_turned_away(context, at.port, session=session)

    with World() as world:
        asyncio.run(main(world))


@pytest.mark.parametrize("taken", [True, False])
def test_gw_31_a_carried_chain_counts_where_it_may_and_the_dns_is_silent(tmp_path: Path, taken: bool) -> None:
    async def main(world: World) -> None:
        device = car(world)
        octets = world.chain(device.name.text).octets
        options = 'carried_from = ["*._device.cars.example"]' if taken else ""
        async with back_end() as (_, target), gated(world, tmp_path, target, options) as at:
            context = at.client(device, carry_chain=FixedChain(octets))
            world.fault(device.name.text, Fault.SERVFAIL)
            assert await admitted(at, context) is taken

    with World() as world:
        asyncio.run(main(world))


def test_gw_32_a_balancers_client_is_the_one_the_back_end_is_told_of(tmp_path: Path) -> None:
    heard: list[bytes] = []

    async def hear(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
        heard.append(await reader.read())

    async def main(world: World) -> None:
        options = 'accept_proxy_from = ["127.0.0.1"]\nproxy_protocol = "tls"'
        before = ProxyHeader(source=("198.51.100.7", 5), destination=("198.51.100.1", 8883), tlvs=((0xE0, b"forged"),))
        async with back_end(serve=hear) as (_, target), gated(world, tmp_path, target, options) as at:
            client = await BioClient.connect(at.client(car(world)), at.port, before.to_wire())
            await client.half_close()
            await at.until(lambda: bool(heard))
            await client.close()

    with World() as world:
        asyncio.run(main(world))
    found = ProxyHeader.from_wire(heard[0])
    assert found is not None
    assert found[0].source == ("198.51.100.7", 5)
    assert [value for kind, value in found[0].tlvs if kind == 0xE0] == [b"car54._device.cars.example"]


def test_gw_23_what_is_left_after_the_time_to_drain_is_cut(tmp_path: Path) -> None:
    async def main(world: World) -> None:
        async with back_end() as (behind, target), gated(world, tmp_path, target) as at:
            client = await BioClient.connect(at.client(car(world)), at.port)
            await client.write(HELLO)
            assert await client.read() == HELLO
            await at.server.drain(0)
            with pytest.raises(ssl.SSLEOFError):
                await client.read()
            await at.until(lambda: bool(behind.problems))
            assert at.gate.counters.ended == {"drained": 1}
            await client.close()

    with World() as world:
        asyncio.run(main(world))


def test_gw_17_a_slow_handshake_ends_and_gives_its_slot_back(tmp_path: Path) -> None:
    """One octet now and then keeps nobody in."""

    async def main(world: World) -> None:
        async with back_end() as (behind, target), gated(world, tmp_path, target, "handshake_seconds = 1") as at:
            reader, writer = await asyncio.open_connection("127.0.0.1", at.port)
            dripping = asyncio.ensure_future(drip(writer))
            assert await asyncio.wait_for(gone(reader), 20)
            dripping.cancel()
            writer.close()
            assert at.gate.counted().handshakes["timed-out"] == 1
            assert at.gate.context.handshake_slots.unfinished == 0
            assert behind.connections == 0

    with World() as world:
        asyncio.run(main(world))


async def drip(writer: asyncio.StreamWriter) -> None:
    for octet in b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(500):
        writer.write(bytes([octet]))
        await asyncio.sleep(0.05)


async def gone(reader: asyncio.StreamReader) -> bool:
    try:
        return not await reader.read()
    except OSError:
        return True
