"""The whole of it with real programs: a device on a wired port of hostapd, let in by `dnsbound serve radius`, is off
the port when its record is gone; and what was reported of it is kept."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from dnsbound.testing.organisation import Device
from dnsbound.testing.world import World
from interop.daemon import free_port
from interop.radius_processes import RadiusProcesses, radius_processes
from interop.radius_server import SECRET
from interop.radius_wired import Authenticator, WiredSupplicant, authenticator, port_and_device, wired_supplicant
from machines.radius_live_pairs import clients_text

pytestmark = [
    pytest.mark.peer("hostapd", "hostapd_cli", "wpa_supplicant", "ip"),
    pytest.mark.timeout(180),
]

SECONDS = 60.0


@dataclass(kw_only=True)
class Port:
    """A device at a switch, and the server that let it in."""

    car: Device
    server: RadiusProcesses
    switch: Authenticator
    supplicant: WiredSupplicant
    directory: Path

    def sessions(self, *options: str) -> list[dict[str, Any]]:
        ran = self.command("sessions", "--json", *options)
        assert ran.returncode == 0, ran.stderr
        return [json.loads(line) for line in ran.stdout.splitlines()]

    def command(self, *words: str) -> "subprocess.CompletedProcess[str]":
        words = (words[0], *words[1:], "--config", str(self.directory / "radius.toml"))
        return subprocess.run(
            [sys.executable, "-m", "dnsbound", "radius", *words],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    def until(self, holds: Callable[[], bool], what: str) -> None:
        self.switch.daemon.wait_for(holds, what, seconds=SECONDS)


@contextmanager
def opened_port(tmp_path: Path, world: World, car: Device, *, workers: int = 1) -> Iterator[Port]:
    directory, switch_files = tmp_path / "server", tmp_path / "switch"
    for made in (directory, switch_files):
        made.mkdir()
    disconnect_port = free_port()
    with ExitStack() as held:
        server = held.enter_context(
            radius_processes(
                directory,
                world,
                workers=workers,
                settings='accounting_database = "radius.db"\n',
                clients=clients_text(disconnect_port),
            )
        )
        port, plug = held.enter_context(port_and_device())
        switch = held.enter_context(
            authenticator(
                switch_files,
                port,
                port=server.port,
                secret=SECRET,
                accounting=server.accounting_port,
                disconnect_port=disconnect_port,
            )
        )
        supplicant = held.enter_context(wired_supplicant(switch_files, plug, server.supplicant(car)))
        supplicant.wait_for_event("CONNECTED")
        at = Port(car=car, server=server, switch=switch, supplicant=supplicant, directory=directory)
        at.until(switch.authorised, "the port is open")
        yield at


@pytest.fixture
def world() -> Iterator[World]:
    with World() as made:
        yield made


@pytest.fixture
def car(world: World) -> Device:
    return world.organisation("cars.example").device("car54")


def closed(port: Port) -> Callable[[], bool]:
    return lambda: "AP-STA-DISCONNECTED" in port.switch.daemon.log_tail()


@pytest.mark.parametrize("workers", [1, 2])
def test_a_removed_record_shuts_the_port(tmp_path: Path, world: World, car: Device, workers: int) -> None:
    with opened_port(tmp_path, world, car, workers=workers) as port:
        port.until(lambda: any("session" in row for row in port.sessions("--live")), "hostapd has reported the session")
        [row] = port.sessions()
        assert (row["name"], row["state"], row["nas"]) == (car.name.canonical, "live", "switch1.isp.example")
        assert car.revoke()
        port.until(closed(port), "the port is shut")
        port.until(lambda: not port.sessions("--live"), "nobody is in")
        [ended] = [row for row in port.sessions() if row["why"] == "no-tlsa" or row["state"] == "stopped"]
        assert ended["state"] in ("disconnected", "stopped")
        assert not port.switch.authorised()


def test_a_restarted_server_ends_what_it_let_in_before(tmp_path: Path, world: World, car: Device) -> None:
    """Killed, not ended: what it knew is in its database alone."""
    with opened_port(tmp_path, world, car) as port:
        port.until(lambda: bool(port.sessions("--live")), "the admission is kept")
        os.kill(port.server.daemon.process.pid, signal.SIGKILL)
        port.server.daemon.process.wait()
        assert car.revoke()
        command = [sys.executable, "-m", "dnsbound", "serve", "radius", str(port.directory / "radius.toml"), "--json"]
        env = {**os.environ, **world.trust_env()}
        with subprocess.Popen(command, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as again:
            try:
                port.until(closed(port), "the port is shut")
                port.until(lambda: not port.sessions("--live"), "nobody is in")
            finally:
                again.terminate()


def test_a_session_is_ended_by_hand(tmp_path: Path, world: World, car: Device) -> None:
    with opened_port(tmp_path, world, car) as port:
        port.until(lambda: bool(port.sessions("--live")), "the admission is kept")
        ran = port.command("disconnect", car.name.canonical)
        assert ran.returncode == 0, ran.stdout + ran.stderr
        assert "done: acknowledged" in ran.stdout
        port.until(closed(port), "the port was shut")
        assert not port.switch.authorised()
