"""Forgetting a name at a running server: long before a cache would have run out, its connections end; others stay."""

import asyncio
from pathlib import Path

import pytest

from dnsbound.dns.answer import Outcome
from dnsbound.edge.board_asking import ForgottenAt, forget_everywhere, who
from dnsbound.edge.board_lines import Inside
from dnsbound.edge.door_board import DoorBoard
from dnsbound.testing import World
from machines.doors import LOOPS, car, dial, door, hang_up, run, serving, until


class Quiet(asyncio.Protocol):
    """Says nothing."""


@pytest.mark.parametrize("kind", LOOPS)
def test_bd_03_a_removed_record_cuts_at_once_though_it_was_good_for_an_hour(
    kind: str, world: World, tmp_path: Path
) -> None:
    at = door(world)
    device, other = car(world, "car61", ttl=3600), car(world, "car62", ttl=3600)

    async def main() -> None:
        loop = asyncio.get_running_loop()
        with DoorBoard.open("test", directory=tmp_path) as board:
            board.watch(at.authenticator)
            async with serving(Quiet, at) as port:
                reader, writer = await dial(port, at.client(device))
                _, staying = await dial(port, at.client(other))
                await until(lambda: len(at.authenticator.sessions) == 2)
                rows = [
                    row for row in await loop.run_in_executor(None, list, who(board.path)) if isinstance(row, Inside)
                ]
                assert {row.name for row in rows} == {device.name, other.name}
                assert all("127.0.0.1" in row.source and row.is_live for row in rows)

                def forget() -> ForgottenAt:
                    [found] = forget_everywhere(device.name, directory=tmp_path)
                    assert isinstance(found, ForgottenAt)
                    return found

                before = (await loop.run_in_executor(None, forget)).doors[0]
                assert (before.cut, before.renewed, before.records) == (0, 1, (device.record.to_text(),))
                assert device.revoke()
                after = (await loop.run_in_executor(None, forget)).doors[0]
                assert (after.cut, after.renewed, after.records) == (1, 0, ())
                assert await reader.read() == b""
                assert not staying.transport.is_closing()
                await hang_up(writer)
                await hang_up(staying)

    run(kind, main)
    assert "no-tlsa" in at.reasons


def test_a_resolver_forgets_a_name_and_asks_again(world: World) -> None:
    device = car(world, "car63", ttl=3600)
    with world.resolver() as resolver:
        assert resolver.lookup_blocking(str(device.name), "TLSA").outcome is Outcome.RECORDS
        assert device.revoke()
        assert resolver.lookup_blocking(str(device.name), "TLSA").outcome is Outcome.RECORDS
        assert resolver.forget(str(device.name)) == 1
        assert resolver.cached(str(device.name), "TLSA") is None
        assert resolver.lookup_blocking(str(device.name), "TLSA").outcome is not Outcome.RECORDS
        assert resolver.forget("nobody.cars.example") == 0
