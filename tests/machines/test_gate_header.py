"""What a back end is told of a client by the PROXY header, for each kind of client."""

import asyncio
from pathlib import Path

import pytest

from dnsbound.credential.certificate_facts import CertificateFacts
from dnsbound.protocols.proxy_protocol import ProxyHeader, SslClient, SslTlv, TlvType
from dnsbound.testing import World
from machines.bio_client import BioClient
from machines.gates import back_end, gated

HELLO = b"hello"


async def header_of(
    world: World, directory: Path, mode: str, *, zone: str = "cars.example", label: str = "car54", raw: bool = False
) -> ProxyHeader:
    """As the back end reads it, before the client's first octet."""
    heard: list[bytes] = []

    async def hear(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
        heard.append(await reader.read())

    async with (
        back_end(serve=hear) as (_, target),
        gated(world, directory, target, f'proxy_protocol = "{mode}"', allow=(f"*._device.{zone}",)) as at,
    ):
        device = world.organisation(zone).device(label)
        client = await BioClient.connect(at.client(device, raw_public_key=raw or None), at.port)
        await client.write(HELLO)
        await client.half_close()
        assert await client.read_all() == b""
        await at.until(lambda: bool(heard))
        await client.close()
    found = ProxyHeader.from_wire(heard[0])
    assert found is not None
    header, length = found
    assert heard[0][length:] == HELLO
    assert header.source is not None
    assert header.source[0] == "127.0.0.1"
    assert header.destination == ("127.0.0.1", at.port)
    return header


@pytest.mark.parametrize("raw", [False, True], ids=["certificate", "raw-key"])
def test_gw_19_the_verified_name_is_told_wherever_a_back_end_may_look(tmp_path: Path, raw: bool) -> None:
    with World() as world:
        header = asyncio.run(header_of(world, tmp_path, "tls", raw=raw))
    name = b"car54._device.cars.example"
    assert header.first(TlvType.VERIFIED_NAME) == header.first(TlvType.UNIQUE_ID) == name
    assert header.first(TlvType.AUTHORITY) == b"localhost"
    tls = SslTlv.from_wire(header.first(TlvType.SSL) or b"")
    assert (tls.client, tls.verify) == (SslClient(7), 0)
    entries = dict(tls.entries)
    assert (entries[TlvType.SSL_CN], entries[TlvType.SSL_VERSION]) == (name, b"TLSv1.3")
    assert TlvType.SSL_CLIENT_CERT not in entries


def test_gw_19_a_name_too_long_for_a_unique_id_is_told_elsewhere(tmp_path: Path) -> None:
    label, zone = "a" * 60, f"{'b' * 60}.example"
    with World() as world:
        header = asyncio.run(header_of(world, tmp_path, "tls", zone=zone, label=label))
    assert header.first(TlvType.UNIQUE_ID) is None
    assert header.first(TlvType.VERIFIED_NAME) == f"{label}._device.{zone}".encode()


def test_gw_19_the_certificate_goes_along_only_where_it_is_wanted(tmp_path: Path) -> None:
    with World() as world:
        header = asyncio.run(header_of(world, tmp_path, "tls-full"))
    tls = SslTlv.from_wire(header.first(TlvType.SSL) or b"")
    certificate = CertificateFacts.from_der(dict(tls.entries)[TlvType.SSL_CLIENT_CERT])
    assert certificate.san_dns_names == ("car54._device.cars.example",)


def test_gw_19_addresses_alone_tell_no_name(tmp_path: Path) -> None:
    with World() as world:
        assert asyncio.run(header_of(world, tmp_path, "conn")).tlvs == ()
