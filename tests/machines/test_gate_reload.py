"""Reading a gate's files again while clients come and go: nobody is refused for it, and nobody who is in is cut."""

import asyncio
from pathlib import Path

import pytest

from dnsbound.testing import World
from machines.bio_client import BioClient
from machines.doors import LOOPS, car, run
from machines.gates import Gated, back_end, gate_toml, gated

pytestmark = pytest.mark.parametrize("kind", LOOPS)

CLIENTS = 4
ROUNDS = 6


def test_gw_25_a_new_certificate_under_load_refuses_nobody(kind: str, tmp_path: Path) -> None:
    async def main(world: World) -> None:
        async with back_end() as (behind, target), gated(world, tmp_path, target) as at:
            stays = await BioClient.connect(at.client(car(world, "stays")), at.port)
            await stays.write(b"first")
            assert await stays.read() == b"first"
            contexts = [at.client(car(world, f"car{number}")) for number in range(CLIENTS)]
            seen: set[bytes] = set()

            async def come_and_go(number: int) -> None:
                for _ in range(ROUNDS):
                    client = await BioClient.connect(contexts[number], at.port)
                    seen.add(client.tls.getpeercert(binary_form=True) or b"")
                    await client.write(b"hello")
                    assert await client.read() == b"hello"
                    await client.close()
                    renew(at)

            await asyncio.gather(*map(come_and_go, range(CLIENTS)))
            await stays.write(b"last")
            assert await stays.read() == b"last"
            await stays.close()
            assert len(seen) > 2
            assert behind.connections == 1 + CLIENTS * ROUNDS
            assert at.gate.counted().handshakes["admitted"] == 1 + CLIENTS * ROUNDS

    with World() as world:
        run(kind, lambda: main(world))


def renew(at: Gated) -> None:
    (at.directory / "server.pem").write_bytes(at.world.web_credential("localhost").to_pem())
    at.server.reload()


@pytest.mark.parametrize("broken", ["server.pem", "access.toml", "gate.toml"])
def test_gw_22_a_broken_file_leaves_all_as_it_was(kind: str, tmp_path: Path, broken: str) -> None:
    async def main(world: World) -> None:
        device = car(world)
        async with back_end() as (_, target), gated(world, tmp_path, target) as at:
            (at.directory / broken).write_text("nonsense")
            before = at.gate.context
            at.server.reload()
            assert at.gate.context is before
            client = await BioClient.connect(at.client(device), at.port)
            await client.write(b"hello")
            assert await client.read() == b"hello"
            await client.close()

    with World() as world:
        run(kind, lambda: main(world))


def test_gw_26_another_target_and_door_are_for_those_who_come_then(kind: str, tmp_path: Path) -> None:
    async def main(world: World) -> None:
        old, new = car(world, "old"), car(world, "new")
        async with back_end() as (first, target), gated(world, tmp_path, target) as at, back_end() as (second, other):
            client = await BioClient.connect(at.client(old), at.port)
            await client.write(b"hello")
            assert await client.read() == b"hello"
            (at.directory / "access.toml").write_text(
                '[door.api]\nallow = ["*._device.cars.example"]\n[door.b]\nallow = ["new._device.cars.example"]\n'
            )
            (at.directory / "gate.toml").write_text(gate_toml(other, door="b"))
            at.server.reload()
            late = await BioClient.connect(at.client(new), at.port)
            await late.write(b"hello")
            assert await late.read() == b"hello"
            assert await BioClient.is_turned_away(at.client(old), at.port)
            await client.write(b"still")
            assert await client.read() == b"still"
            assert (first.connections, second.connections) == (1, 1)
            assert [each.door for each in at.server.authenticators] == ["api", "b"]
            await client.close()
            await late.close()

    with World() as world:
        run(kind, lambda: main(world))
