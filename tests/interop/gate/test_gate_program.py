"""`dnsbound gate server` as a process: by options and by a file, several workers, signals, status and metrics."""

import asyncio
import contextlib
import json
import os
import signal
import socket
import ssl
from pathlib import Path

from dnsbound.testing import Device, World
from interop.gate_processes import WAIT, GateProcess, fetched, gate_process, in_thread
from interop.radius_processes import samples
from machines.doors import car
from machines.gates import LABEL, BackEnd, back_end, gate_toml, write_files


async def spoken(gate: GateProcess, device: Device | None, label: str = LABEL) -> str:
    """What becomes of a client that says something."""
    try:
        async with asyncio.timeout(WAIT), gate.client(device, label) as (reader, writer):
            writer.write(b"hello\n")
            return (await reader.readline()).decode().strip() or "ended"
    except ssl.SSLError:
        return "refused"


def test_gw_20_one_gate_by_the_options_that_ghostunnel_names(tmp_path: Path) -> None:
    async def main(world: World) -> None:
        device, stranger = car(world), car(world, "car55")
        write_files(world, tmp_path)
        async with back_end(tmp_path / "back") as (behind, target):
            options = ["--listen", "localhost:0", "--target", target, "--allow-dns", device.name.text]
            options += ["--credential", tmp_path / "server.pem", "--connect-timeout", "5s", "--close-timeout", "10s"]
            async with in_thread(gate_process(tmp_path, world, *options)) as gate:
                assert await spoken(gate, device, "gate") == "hello"
                assert await spoken(gate, stranger, "gate") == "refused"
                assert await spoken(gate, None, "gate") == "refused"
                assert behind.connections == 1
                reasons = [one.get("reason") for one in gate.decisions()]
                assert reasons == [None, "not-permitted", "no-credential"]
                assert {one["door"] for one in gate.decisions()} == {"gate"}

    with World() as world:
        asyncio.run(main(world))


def test_gw_21_a_new_certificate_is_shown_after_sighup_and_connections_stay(tmp_path: Path) -> None:
    async def main(world: World) -> None:
        device = car(world)
        async with back_end(tmp_path / "back") as (_, target):
            path = write_files(world, tmp_path, toml=gate_toml(target, server="workers = 2"))
            running = in_thread(gate_process(tmp_path, world, "--config", path))
            async with running as gate, gate.client(device, LABEL) as (reader, writer):
                before = writer.get_extra_info("peercert")["serialNumber"]
                (tmp_path / "server.pem").write_bytes(world.web_credential("localhost").to_pem())
                gate.signal(signal.SIGHUP)
                read = "the configuration was read again"
                await asyncio.to_thread(gate.wait_for, lambda: gate.log.count(read) == 2, read)
                for _ in range(4):
                    async with gate.client(device, LABEL) as (_, after):
                        assert after.get_extra_info("peercert")["serialNumber"] != before
                writer.write(b"still here\n")
                assert await reader.readline() == b"still here\n"

    with World() as world:
        asyncio.run(main(world))


def test_gw_22_a_file_with_an_error_changes_nothing(tmp_path: Path) -> None:
    async def main(world: World) -> None:
        device = car(world)
        async with back_end(tmp_path / "back") as (_, target):
            path = write_files(world, tmp_path, toml=gate_toml(target))
            async with in_thread(gate_process(tmp_path, world, "--config", path)) as gate:
                path.write_text(gate_toml(target, "nonsense = 1"))
                gate.signal(signal.SIGHUP)
                stays = "nonsense: is no key here; the gates stay as they were"
                await asyncio.to_thread(gate.wait_for, lambda: stays in gate.log, stays)
                assert await spoken(gate, device) == "hello"

    with World() as world:
        asyncio.run(main(world))


def test_whoever_takes_a_dead_workers_place_begins_with_what_is_in_force(tmp_path: Path) -> None:
    async def main(world: World) -> None:
        device = car(world)
        async with back_end(tmp_path / "back") as (_, target):
            path = write_files(world, tmp_path, toml=gate_toml(target, server="workers = 2"))
            access = tmp_path / "access.toml"
            (tmp_path / "nobody.toml").write_text(access.read_text().replace("*._device", "car55._device"))
            async with in_thread(gate_process(tmp_path, world, "--config", path)) as gate:
                assert await spoken(gate, device) == "hello"
                path.write_text(path.read_text().replace("access.toml", "nobody.toml"))
                gate.signal(signal.SIGHUP)
                read, again = "the configuration was read again", "serves again"
                await asyncio.to_thread(gate.wait_for, lambda: gate.log.count(read) == 2, read)
                for killed, pid in enumerate(gate.workers(), 1):
                    os.kill(pid, signal.SIGKILL)
                    await asyncio.to_thread(gate.wait_for, lambda due=killed: gate.log.count(again) == due, again)
                for _ in range(4):
                    assert await spoken(gate, device) == "refused"

    with World() as world:
        asyncio.run(main(world))


def test_gw_23_sigterm_takes_nobody_more_and_waits_for_who_is_in(tmp_path: Path) -> None:
    async def main(world: World) -> None:
        device = car(world)
        async with back_end(tmp_path / "back") as (_, target):
            path = write_files(world, tmp_path, toml=gate_toml(target, server="shutdown_seconds = 60"))
            async with in_thread(gate_process(tmp_path, world, "--config", path)) as gate:
                async with gate.client(device, LABEL) as (reader, writer):
                    writer.write(b"first\n")
                    assert await reader.readline() == b"first\n"
                    gate.signal(signal.SIGTERM)
                    await asyncio.to_thread(
                        gate.wait_for, lambda: not accepts(gate.port(LABEL)), "the end of listening"
                    )
                    writer.write(b"last\n")
                    assert await reader.readline() == b"last\n"
                assert await asyncio.to_thread(gate.daemon.process.wait, WAIT) == 0

    with World() as world:
        asyncio.run(main(world))


def accepts(port: int) -> bool:
    with contextlib.suppress(ConnectionRefusedError), socket.create_connection(("127.0.0.1", port), timeout=WAIT):
        return True
    return False


def test_gw_24_status_says_whether_the_back_end_is_there_and_metrics_name_nobody(tmp_path: Path) -> None:
    async def main(world: World) -> None:
        device = car(world)
        status: list[tuple[int, str]] = []
        async with contextlib.AsyncExitStack() as held:
            behind = contextlib.AsyncExitStack()
            back: tuple[BackEnd, str] = await behind.enter_async_context(back_end())
            path = write_files(world, tmp_path, toml=gate_toml(back[1], server='workers = 2\nstatus = "127.0.0.1:0"'))
            gate = await held.enter_async_context(in_thread(gate_process(tmp_path, world, "--config", path)))
            await asyncio.to_thread(gate.wait_for, lambda: "/_status" in gate.log, "where status is")
            url = next(line.split()[-1] for line in gate.log.splitlines() if "Status at" in line)
            assert await spoken(gate, device) == "hello"
            status.append(await asyncio.to_thread(fetched, url))
            metrics = await asyncio.to_thread(counted_through, gate, url.replace("_status", "_metrics"))
            await behind.aclose()
            status.append(await asyncio.to_thread(fetched, url))
            assert (await asyncio.to_thread(fetched, url + "x"))[0] == 404
            gate.signal(signal.SIGINT)
            assert await asyncio.to_thread(gate.daemon.process.wait, WAIT) == 0
            assert "error" not in gate.log.rpartition("dnsbound.decisions")[2]
        assert [code for code, _ in status] == [200, 503]
        told = [json.loads(body)["gates"][LABEL] for _, body in status]
        assert [one["backend_ok"] for one in told] == [True, False]
        assert metrics["dnsbound_gate_verdicts_total", LABEL, "admitted"] == 1
        assert metrics["dnsbound_gate_client_octets_total", LABEL] == len("hello\n")
        assert metrics["dnsbound_gate_worker_starts_total",] == 2
        assert not any(device.name.text in word for key in metrics for word in key)

    with World() as world:
        asyncio.run(main(world))


def counted_through(gate: GateProcess, url: str) -> dict[tuple[str, ...], float]:
    """Metrics, once a worker has left what it counted."""
    found: dict[tuple[str, ...], float] = {}

    def whole() -> bool:
        found.clear()
        found.update(samples(fetched(url)[1]))
        return found.get(("dnsbound_gate_ended_total", LABEL, "orderly"), 0) >= 1

    gate.wait_for(whole, "its counts")
    return found
