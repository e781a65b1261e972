"""A site whose identities are rolled: an inventory, servers of its zone, an Unbound that caches, a door behind it, a
runner, and a client that logs in all the time. All are real programs; what was started is stopped, by its own id."""

import contextlib
import json
import os
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from dnsbound.credential.credential import Credential
from dnsbound.testing.peer_configuration import Stub
from interop.daemon import Daemon, eventually, free_port, run, started, unbound
from interop.primaries import knot, nsd_secondary, write_key

ZONE: Final = "cars.example"
CAR: Final = f"car54._device.{ZONE}"
TTL: Final = 2
RUN_SECONDS: Final = 60.0
PATIENCE: Final = 120.0


@dataclass(frozen=True)
class Ran:
    code: int
    out: str
    err: str


class Site:
    """See the module. refusals: what the door refused while `log_in` expected to be let in."""

    def __init__(self, here: Path, running: contextlib.ExitStack) -> None:
        self.here = here
        self.running = running
        self.environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith(("DNSBOUND_", "XDG_"))},
            "HOME": str(here),
            "PYTHONUNBUFFERED": "1",
            "DNSBOUND_INVENTORY": str(here / "inventory.db"),
            "DNSBOUND_TARGETS": str(here / "targets.toml"),
            "DNSBOUND_ACTOR": "operations",
        }
        self.url = ""
        self.asks: tuple[str, ...] = ()

    # Programs

    def dnsbound(self, *arguments: str) -> Ran:
        command = (sys.executable, "-m", "dnsbound", *arguments)
        done = run(command, cwd=self.here, env=self.environment, seconds=RUN_SECONDS)
        return Ran(done.returncode, done.stdout, done.stderr)

    def start(self, name: str, *arguments: str) -> Daemon:
        """A program of ours that goes on; its output in NAME.out, its log in NAME.log."""
        return self.running.enter_context(
            started(
                [sys.executable, "-m", "dnsbound", *arguments, "--json"],
                self.here / f"{name}.log",
                output=self.here / f"{name}.out",
                cwd=self.here,
                env=self.environment,
            )
        )

    def start_runner(self, name: str = "runner") -> Daemon:
        return self.start(name, "run", "--interval", "1", *self.asks)

    # Servers of the zone

    def serve_embedded(self) -> None:
        """Our own authority over the inventory."""
        created = self.dnsbound("zone", "create", ZONE, "--ttl", str(TTL))
        assert created.code == 0, created.err
        address = json.loads(self.start("dns", "serve", "dns", "--port", "0").wait_for_line())["addresses"][0]
        self._say_targets(f'to = "embedded"\nservers = ["{address}"]\n')
        self.start_unbound(address, created.out)

    def serve_by_knot_and_nsd(self) -> None:
        """A Knot that signs and takes updates, and an NSD that copies the zone; Unbound asks the copy."""
        told = free_port()
        directories = [self.here / "knot", self.here / "nsd"]
        for directory in directories:
            directory.mkdir()
        primary = self.running.enter_context(knot(directories[0], notify=[told]))
        self.copy = self.running.enter_context(nsd_secondary(directories[1], primary.port, port=told))
        write_key(self.here)
        self._say_targets(
            f'to = "rfc2136"\nserver = "127.0.0.1:{primary.port}"\nkey_file = "tsig.key"\n'
            f'servers = ["127.0.0.1:{primary.port}", "127.0.0.1:{told}"]\n'
        )
        self.start_unbound(f"127.0.0.1:{told}", primary.ds)

    def _say_targets(self, table: str) -> None:
        (self.here / "targets.toml").write_text(f'[publish."{ZONE}"]\n{table}')

    def start_unbound(self, authority: str, anchors: str) -> None:
        (self.here / "anchors.txt").write_text(anchors)
        host, _, served = authority.rpartition(":")
        _, port = self.running.enter_context(
            unbound(self.here, anchors=anchors, stubs=[Stub(zone=ZONE, host=host, port=int(served))], options=[])
        )
        self.asks = ("--resolver", f"127.0.0.1:{port}", "--anchors", "anchors.txt")

    # The client and its door

    def open_door(self) -> None:
        (self.here / "access.toml").write_text(f'[door.api]\nallow = ["*._device.{ZONE}"]\n')
        door = self.start(
            *("door", "serve", "demo-api", "--access", "access.toml", "--ca-out", "ca.pem", "--port", "0", *self.asks)
        )
        self.url = json.loads(door.wait_for_line())["url"]

    def new_key(self, name: str) -> str:
        """A credential that the client made by itself; the path of its file."""
        path = self.here / name
        path.write_bytes(Credential.generate(CAR, now=time.time()).to_pem())
        path.chmod(0o600)
        return name

    def is_let_in(self, credential: str) -> bool:
        """A real handshake with curl."""
        done = run(
            [
                *("curl", "--silent", "--noproxy", "*", "--max-time", "20", "--output", "/dev/null"),
                *("--cacert", "ca.pem", "--cert", credential, self.url),
            ],
            cwd=self.here,
            env=self.environment,
            seconds=RUN_SECONDS,
        )
        return done.returncode == 0

    def decisions(self) -> list[dict[str, Any]]:
        """What the door logged."""
        lines = (self.here / "door.log").read_text().splitlines()
        return [json.loads(line) for line in lines if line.startswith("{")]

    # The roll

    def status(self, name: str = CAR) -> dict[str, Any]:
        ran = self.dnsbound("id", "status", name, "--json")
        assert ran.code == 0, ran.err
        found: dict[str, Any] = json.loads(ran.out)
        return found

    def log_in_until(self, state: str, credential: str) -> int:
        """Log in again and again until the roll is in a state; how often. Every time it must be let in."""
        logins = 0

        def reached() -> bool:
            nonlocal logins
            assert self.is_let_in(credential), (self.decisions()[-1], self.status())
            logins += 1
            return bool(self.status()["state"] == state)

        eventually(reached, PATIENCE, otherwise=lambda: str(self.status()))
        return logins
