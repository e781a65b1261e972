"""A gate in two worker processes: who is in is told by their boards, and a revoked name is put out at once."""

import asyncio
from pathlib import Path

import pytest

from dnsbound.cli.closing_doors import close_doors
from dnsbound.edge.board_asking import boards, who
from dnsbound.edge.board_lines import Board, Inside
from dnsbound.testing import World
from interop.gate_processes import WAIT, gate_process, in_thread
from machines.doors import car
from machines.gates import LABEL, back_end, gate_toml, write_files


def test_a_name_is_put_out_of_every_worker_long_before_its_ttl(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    runtime = tmp_path / "runtime"  # where the gate has it
    monkeypatch.setenv("DNSBOUND_RUNTIME", str(runtime))

    async def main(world: World) -> None:
        loop = asyncio.get_running_loop()
        device, other = car(world, ttl=3600), car(world, "car55", ttl=3600)
        async with back_end(tmp_path / "back") as (_, target):
            path = write_files(world, tmp_path, toml=gate_toml(target, server="workers = 2"))
            async with (
                in_thread(gate_process(tmp_path, world, "--config", path)) as gate,
                gate.client(device, LABEL) as (reader, writer),
                gate.client(other, LABEL) as (staying, sender),
                asyncio.timeout(WAIT),
            ):
                for each, stream in ((writer, reader), (sender, staying)):
                    each.write(b"hello\n")
                    assert await stream.readline() == b"hello\n"
                sockets = await asyncio.to_thread(boards, runtime)
                told = [line for place in sockets for line in await asyncio.to_thread(list, who(place))]
                assert [line.kind for line in told if isinstance(line, Board)] == ["gate", "gate"]
                inside = [line for line in told if isinstance(line, Inside)]
                assert {line.name for line in inside} == {device.name, other.name}

                assert device.revoke()
                changed_at = loop.time()
                closing = await asyncio.to_thread(close_doors, [device.name], changed_at=changed_at, wait=WAIT)
                assert closing.is_complete
                assert sum(door.cut for door in closing.doors) == 1
                assert await reader.read() == b""
                sender.write(b"still here\n")
                assert await staying.readline() == b"still here\n"

    with World() as world:
        asyncio.run(main(world))
