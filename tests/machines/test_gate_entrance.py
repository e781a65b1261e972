"""What comes before TLS at a gate: load balancers' headers, greetings in clear; and who may begin at all."""

import asyncio
import ssl
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType

import pytest

from dnsbound.edge import gate_protocols
from dnsbound.edge.gate_protocols import GATED, Gated
from dnsbound.edge.toml_tables import TomlTable
from dnsbound.errors import PeerError
from dnsbound.protocols.gated import ClearGreeting, GateClient, GateIdentity, GateStranger, PassedThrough, Step
from dnsbound.protocols.proxy_protocol import Command, ProxyHeader
from dnsbound.testing import World
from machines.bio_client import BioClient
from machines.doors import LOOPS, car, run
from machines.gates import PATIENCE, back_end, gated
from machines.gates import Gated as Running

pytestmark = pytest.mark.parametrize("kind", LOOPS)

BALANCED = 'accept_proxy_from = ["127.0.0.0/8"]'
CLIENT = ("198.51.100.7", 50_000)
HEADER = ProxyHeader(source=CLIENT, destination=("198.51.100.1", 8883))


def of(at: Running) -> GateClient:
    (connection,) = at.gate.connections
    return connection.identity


@pytest.mark.parametrize(
    "wire",
    [HEADER.to_wire(), HEADER.to_wire(checksum=True), b"PROXY TCP4 198.51.100.7 198.51.100.1 50000 8883\r\n"],
    ids=["v2", "v2-checksum", "v1"],
)
def test_gw_12_a_client_behind_a_load_balancer_is_where_the_header_says(kind: str, tmp_path: Path, wire: bytes) -> None:
    async def main(world: World) -> None:
        async with back_end() as (_, target), gated(world, tmp_path, target, BALANCED) as at:
            client = await BioClient.connect(at.client(car(world)), at.port, before=wire)
            await client.write(b"hello")
            assert await client.read() == b"hello"
            assert (of(at).client, of(at).server) == (CLIENT, ("198.51.100.1", 8883))
            await client.close()

    with World() as world:
        run(kind, lambda: main(world))


def test_gw_12_a_header_may_come_octet_by_octet_and_with_the_handshake(kind: str, tmp_path: Path) -> None:
    async def main(world: World) -> None:
        async with back_end() as (_, target), gated(world, tmp_path, target, BALANCED) as at:
            reader, writer = await asyncio.open_connection("127.0.0.1", at.port)
            for octet in HEADER.to_wire():
                writer.write(bytes([octet]))
                await asyncio.sleep(0)
            client = BioClient(at.client(car(world)), reader, writer)
            await client.shake_hands()
            await client.write(b"hello")
            assert await client.read() == b"hello"
            assert of(at).client == CLIENT
            await client.close()

    with World() as world:
        run(kind, lambda: main(world))


def test_gw_12_a_health_check_of_the_balancer_keeps_its_own_address(kind: str, tmp_path: Path) -> None:
    async def main(world: World) -> None:
        async with back_end() as (_, target), gated(world, tmp_path, target, BALANCED) as at:
            wire = ProxyHeader(command=Command.LOCAL).to_wire()
            client = await BioClient.connect(at.client(car(world)), at.port, before=wire)
            await client.write(b"hello")
            assert await client.read() == b"hello"
            assert of(at).client[0] == "127.0.0.1"
            await client.close()

    with World() as world:
        run(kind, lambda: main(world))


@pytest.mark.parametrize(
    "said", [b"", b"\x16\x03\x01\x00\x05hello", b"PROXY nonsense\r\n"], ids=["tls", "hello", "none"]
)
def test_gw_13_a_balancer_that_sends_no_header_gets_nowhere(kind: str, tmp_path: Path, said: bytes) -> None:
    async def main(world: World) -> None:
        async with back_end() as (behind, target), gated(world, tmp_path, target, BALANCED) as at:
            assert await BioClient.is_turned_away(at.client(car(world)), at.port, said)
            await at.until(lambda: at.gate.counters.clear_failed == 1)
            assert behind.connections == 0

    with World() as world:
        run(kind, lambda: main(world))


def test_gw_13_nobody_else_may_say_where_he_is(kind: str, tmp_path: Path) -> None:
    """A header of one who is no load balancer is no beginning of TLS."""

    async def main(world: World) -> None:
        options = 'accept_proxy_from = ["192.0.2.0/28"]'
        async with back_end() as (behind, target), gated(world, tmp_path, target, options) as at:
            device = at.client(car(world))
            assert await BioClient.is_turned_away(device, at.port, HEADER.to_wire())
            client = await BioClient.connect(device, at.port)
            await client.write(b"hello")
            assert await client.read() == b"hello"
            assert behind.connections == 1
            await client.close()

    with World() as world:
        run(kind, lambda: main(world))


# --- greetings in clear

READY = b"ready?\n"


class Starting:
    """A protocol with a STARTTLS of a word."""

    def begin(self) -> Step:
        return Step(to_client=READY)

    def client_said(self, octets: bytes) -> Step:
        if octets == b"tls\n":
            return Step(to_client=b"go\n", upgrade=True)
        if octets == b"clear\n":
            return Step(to_backend=b"in clear\n", in_clear=True)
        return Step(end=PeerError("neither"))


class Named(PassedThrough):
    """Tells the back end who comes."""

    def __init__(self, client: GateClient) -> None:
        self._client = client

    def begin(self) -> Step:
        name = str(self._client.name) if isinstance(self._client, GateIdentity) else "a stranger"
        return Step(to_backend=name.encode() + b"\n")


@pytest.fixture
def starting(monkeypatch: pytest.MonkeyPatch) -> Callable[[bool], None]:
    """Makes `protocol = "starting"` one of the table; whether it lets strangers in."""

    def add(strangers: bool) -> None:
        def greeting() -> ClearGreeting:
            return Starting()

        made = Gated(protocol=Named, greeting=greeting, strangers=strangers)

        def read(_options: TomlTable) -> Gated:
            return replace(made)

        table = MappingProxyType({**GATED, "starting": read})
        monkeypatch.setattr(gate_protocols, "GATED", table)
        monkeypatch.setattr("dnsbound.edge.gate_configuration.GATED", table)

    return add


OPTIONS = 'protocol = "starting"'


async def greeted(at: Running) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    reader, writer = await asyncio.open_connection("127.0.0.1", at.port)
    assert await reader.readline() == READY
    return reader, writer


def test_gw_14_tls_begins_when_it_was_asked_for_in_clear(
    kind: str, tmp_path: Path, starting: Callable[[bool], None]
) -> None:
    starting(False)

    async def main(world: World) -> None:
        async with back_end() as (_, target), gated(world, tmp_path, target, OPTIONS) as at:
            reader, writer = await greeted(at)
            assert not at.gate.connections
            writer.write(b"tls\n")
            assert await reader.readline() == b"go\n"
            client = BioClient(at.client(car(world)), reader, writer)
            await client.shake_hands()
            assert await client.read() == b"car54._device.cars.example\n"
            await client.close()

    with World() as world:
        run(kind, lambda: main(world))


def test_gw_15_what_is_said_in_clear_after_that_is_no_part_of_the_protected_connection(
    kind: str, tmp_path: Path, starting: Callable[[bool], None]
) -> None:
    """CVE-2011-0411."""
    starting(False)

    async def main(world: World) -> None:
        async with back_end() as (behind, target), gated(world, tmp_path, target, OPTIONS) as at:
            reader, writer = await greeted(at)
            writer.write(b"tls\n")
            assert await reader.readline() == b"go\n"
            writer.write(b"injected\n")
            client = BioClient(at.client(car(world)), reader, writer)
            with pytest.raises((OSError, ssl.SSLError)):
                await client.shake_hands()
            assert behind.connections == 0
            await client.close()

    with World() as world:
        run(kind, lambda: main(world))


@pytest.mark.parametrize("strangers", [True, False])
def test_gw_16_a_stranger_goes_on_in_clear_only_where_strangers_may(
    kind: str, tmp_path: Path, starting: Callable[[bool], None], strangers: bool
) -> None:
    starting(strangers)

    async def main(world: World) -> None:
        async with back_end() as (behind, target), gated(world, tmp_path, target, OPTIONS) as at:
            reader, writer = await greeted(at)
            writer.write(b"clear\n")
            said = await asyncio.wait_for(reader.readline(), PATIENCE)
            if strangers:
                assert (said, await reader.readline()) == (b"a stranger\n", b"in clear\n")
                assert isinstance(of(at), GateStranger)
                writer.write_eof()
                assert await reader.read() == b""
            else:
                assert (said, behind.connections) == (b"", 0)
            writer.close()
            await at.until(lambda: not at.gate.connections)

    with World() as world:
        run(kind, lambda: main(world))


@pytest.mark.parametrize("strangers", [True, False])
def test_gw_16_a_stranger_in_tls_has_no_name_and_comes_in_only_where_strangers_may(
    kind: str, tmp_path: Path, starting: Callable[[bool], None], strangers: bool
) -> None:
    starting(strangers)

    async def main(world: World) -> None:
        async with back_end() as (behind, target), gated(world, tmp_path, target, OPTIONS) as at:
            reader, writer = await greeted(at)
            writer.write(b"tls\n")
            assert await reader.readline() == b"go\n"
            client = BioClient(at.client(None), reader, writer)
            try:
                await client.shake_hands()
                said = await client.read()
            except OSError:
                said = b""
            if strangers:
                assert said == b"a stranger\n"
                assert (of(at).tls_version, at.gate.counters.verdicts) == ("TLSv1.3", {})
            else:
                assert (said, behind.connections) == (b"", 0)
            await client.close()

    with World() as world:
        run(kind, lambda: main(world))


def test_gw_17_whoever_says_nothing_is_gone_when_a_handshake_would_be(
    kind: str, tmp_path: Path, starting: Callable[[bool], None]
) -> None:
    starting(False)

    async def main(world: World) -> None:
        options = f"{OPTIONS}\nhandshake_seconds = 1\nhandshakes = 1"
        async with back_end() as (_, target), gated(world, tmp_path, target, options) as at:
            reader, writer = await greeted(at)
            another = await asyncio.open_connection("127.0.0.1", at.port)
            assert await another[0].read() == b""
            another[1].close()
            assert await asyncio.wait_for(reader.read(), PATIENCE) == b""
            assert at.gate.context.handshake_slots.unfinished == 0
            writer.close()
            again = await greeted(at)
            again[1].close()

    with World() as world:
        run(kind, lambda: main(world))


# --- limits


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ("connections = 1", "connections"),
        ("connections_per_name = 1", "name-connections"),
        ("rate_per_name = 1", "name-rate"),
    ],
)
def test_gw_18_a_connection_beyond_a_limit_is_closed_and_counted(
    kind: str, tmp_path: Path, options: str, why: str
) -> None:
    async def main(world: World) -> None:
        async with back_end() as (behind, target), gated(world, tmp_path, target, options) as at:
            device = at.client(car(world))
            client = await BioClient.connect(device, at.port)
            await client.write(b"hello")
            assert await client.read() == b"hello"
            assert await BioClient.is_turned_away(device, at.port)
            assert at.gate.counters.turned_away == {why: 1}
            assert behind.connections == 1
            await client.close()

    with World() as world:
        run(kind, lambda: main(world))


def test_gw_18_a_limit_of_one_name_is_not_anothers(kind: str, tmp_path: Path) -> None:
    async def main(world: World) -> None:
        options = "connections_per_name = 1\nrate_per_name = 1"
        async with back_end() as (_, target), gated(world, tmp_path, target, options) as at:
            for label in ("car1", "car2", "car3"):
                client = await BioClient.connect(at.client(car(world, label)), at.port)
                await client.write(b"hello")
                assert await client.read() == b"hello"
                client.vanish()
            assert at.gate.counters.turned_away == {}
            await at.until(lambda: not at.gate.connections)

    with World() as world:
        run(kind, lambda: main(world))
