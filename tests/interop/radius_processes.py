"""`dnsbound serve radius` as operators run it, a program of several processes beside a test, on a World.

with radius_processes(tmp_path, world, workers=2) as running:
    eapol_test(tmp_path, running.supplicant(device), port=running.port, secret=SECRET)
"""

import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from prometheus_client.parser import text_string_to_metric_families

from dnsbound.testing.organisation import Device
from dnsbound.testing.world import World
from interop.daemon import Daemon, started
from interop.radius_eapol import Supplicant
from interop.radius_examples import SERVER_NAME, Pem
from interop.radius_server import radius_files

WAIT: Final = 60.0
SERVE: Final = (sys.executable, "-m", "dnsbound", "serve", "radius")


@dataclass(kw_only=True)
class RadiusProcesses:
    """The program. told: its first line. metrics_file: kept up to date by it, where asked for."""

    daemon: Daemon
    world: World
    directory: Path
    told: dict[str, Any]

    @property
    def port(self) -> int:
        return int(self.told["listen"][0].rpartition(":")[2])

    @property
    def accounting_port(self) -> int:
        return int(self.told["accounting"][0].rpartition(":")[2])

    def supplicant(self, device: Device, **options: Any) -> Supplicant:
        pem = Pem.write(self.directory, f"client{len(list(self.directory.glob('client*.crt')))}", device.credential)
        root = str(self.world.directory / "web-root.pem")
        return Supplicant(client=pem, authority=root, **{"server": SERVER_NAME, **options})

    def workers(self) -> list[int]:
        """Process ids of the workers, the oldest first; the program's own when it is alone."""
        found = []
        for stat in Path("/proc").glob("[0-9]*/stat"):
            with suppress(OSError, ValueError):
                number, _, rest = stat.read_text().partition(" (")
                state, parent = rest.rpartition(")")[2].split()[:2]
                if int(parent) == self.daemon.process.pid and state != "Z":
                    found.append(int(number))
        return sorted(found) or [self.daemon.process.pid]

    def events(self) -> list[dict[str, Any]]:
        """The audit line of each authentication so far."""
        lines = self.daemon.log.read_text().splitlines()
        return [json.loads(line[line.index("{") :]) for line in lines if " dnsbound.radius INFO {" in line]

    def wait_for(self, holds: Any, what: str) -> None:
        self.daemon.wait_for(holds, what, seconds=WAIT)


def samples(text: str) -> dict[tuple[str, ...], float]:
    """Prometheus' text by name and values of labels, in the order of their names."""
    return {
        (sample.name, *(value for _, value in sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


@contextmanager
def radius_processes(
    directory: Path,
    world: World,
    *options: str,
    workers: int = 2,
    settings: str = "",
    environment: dict[str, str] | None = None,
    **files: Any,
) -> Iterator[RadiusProcesses]:
    """options: of the command. settings: further lines of [server]. files: of `radius_files`."""
    configuration = radius_files(directory, world, settings=f"workers = {workers}\n{settings}", **files)
    command = [*SERVE, str(configuration.path), "--json", *options]
    env = {**os.environ, **world.trust_env(), **(environment or {})}
    log, output = directory / "serve.log", directory / "serve.out"
    with started(command, log, output=output, env=env) as daemon:
        daemon.wait_for(lambda: b"\n" in output.read_bytes(), "its first line", seconds=WAIT)
        told = json.loads(daemon.wait_for_line())
        yield RadiusProcesses(daemon=daemon, world=world, directory=directory, told=told)
