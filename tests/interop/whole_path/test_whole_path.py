"""One identity from its key to its end, by command line alone, with real programs on the way.

`dnsbound zone create`, `id new` and `serve dns` publish; a real Unbound, whose only trust anchor is the zone's DS,
resolves; `dnsbound serve demo-api` asks that Unbound and validates for itself; a real curl logs in. Then the list
changes, then the identity is revoked, and each time the door closes, by caches running out and by nothing else.
"""

import contextlib
import json
import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pytest

from dnsbound.testing.peer_configuration import Stub
from interop.daemon import eventually, free_port, run, started, unbound

pytestmark = pytest.mark.peer("unbound", "curl")

CAR: Final = "car54._device.cars.example"
TTL: Final = 2
RUN_SECONDS: Final = 60.0
PATIENCE: Final = 15.0
"""How long anything may take that waits for caches."""
REFUSED_BY_PEER: Final = (35, 55, 56)
"""curl's exit codes for a TLS connection that the server refused: while connecting, sending, receiving."""


@dataclass(frozen=True)
class Ran:
    code: int
    out: str
    err: str


class Site:
    """The programs of one test, in a directory of its own. Everything started is stopped, by its own id."""

    def __init__(self, here: Path, running: contextlib.ExitStack) -> None:
        self.here = here
        self._running = running
        self._environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith(("DNSBOUND_", "XDG_"))},
            "HOME": str(here),
            "PYTHONUNBUFFERED": "1",
        }
        self.asks: tuple[str, ...] = ()

    def dnsbound(self, *arguments: str) -> Ran:
        return self._run(sys.executable, "-m", "dnsbound", *arguments)

    def ask(self, *arguments: str) -> Ran:
        """A command that looks up: by the Unbound of this test."""
        return self.dnsbound(*arguments, *self.asks)

    def _run(self, *command: str) -> Ran:
        done = run(command, cwd=self.here, env=self._environment, seconds=RUN_SECONDS)
        return Ran(done.returncode, done.stdout, done.stderr)

    def start(self, *arguments: str) -> dict[str, Any]:
        """A server of ours; what it says of itself once it listens."""
        daemon = self._running.enter_context(
            started(
                [sys.executable, "-m", "dnsbound", *arguments, "--json"],
                self.here / f"{arguments[1]}.log",
                output=self.here / f"{arguments[1]}.out",
                cwd=self.here,
                env=self._environment,
            )
        )
        facts: dict[str, Any] = json.loads(daemon.wait_for_line())
        return facts

    def start_unbound(self, authority: str) -> None:
        host, _, served = authority.rpartition(":")
        _, port = self._running.enter_context(
            unbound(
                self.here,
                anchors=(self.here / "anchors.txt").read_text(),
                stubs=[Stub(zone="cars.example", host=host, port=int(served))],
                options=["qname-minimisation: yes"],
            )
        )
        self.asks = ("--resolver", f"127.0.0.1:{port}", "--anchors", "anchors.txt")

    def curl(self, url: str, *options: str) -> Ran:
        return self._run("curl", "--silent", "--show-error", "--noproxy", "*", "--max-time", "20", *options, url)

    def decisions(self) -> list[dict[str, Any]]:
        """What the door logged."""
        lines = (self.here / "demo-api.log").read_text().splitlines()
        return [json.loads(line) for line in lines if line.startswith("{")]


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    with contextlib.ExitStack() as running:
        yield Site(tmp_path, running)


@pytest.fixture
def published(site: Site) -> Site:
    """A zone with car54 in it, served, and an Unbound in front of it."""
    created = site.dnsbound("zone", "create", "cars.example", "--ttl", str(TTL))
    assert created.code == 0, created.err
    (site.here / "anchors.txt").write_text(created.out)
    assert site.dnsbound("id", "new", CAR, "--out", "keys").code == 0
    site.start_unbound(site.start("serve", "dns", "--port", "0")["addresses"][0])
    return site


def credential(site: Site) -> tuple[str, ...]:
    return ("--cacert", "ca.pem", "--cert", f"keys/{CAR}.pem")


def open_door(site: Site, allow: str = "*._device.cars.example") -> str:
    (site.here / "access.toml").write_text(f'[door.api]\nallow = ["{allow}"]\n')
    url: str = site.start(
        "serve", "demo-api", "--access", "access.toml", "--ca-out", "ca.pem", "--port", "0", *site.asks
    )["url"]
    return url


def test_from_the_first_key_to_the_closed_door(published: Site) -> None:
    site = published
    pem = f"keys/{CAR}.pem"
    url = open_door(site)

    admitted = site.curl(url, *credential(site))
    assert admitted.code == 0, admitted.err
    caller = json.loads(admitted.out)
    assert (caller["name"], caller["name_from"], caller["door"]) == (CAR, "san", "api")
    assert caller["record"] == site.dnsbound("record", pem).out.strip()
    assert site.curl(url, "--cacert", "ca.pem").code in REFUSED_BY_PEER
    assert [decision.get("reason", "admitted") for decision in site.decisions()] == ["admitted", "no-credential"]

    explained = site.ask("explain", CAR, "--json")
    assert (explained.code, json.loads(explained.out)["security"]) == (0, "secure")
    assert site.ask("match", CAR, "--cert", pem).code == 0
    doctored = json.loads(site.ask("doctor", CAR, "--json").out)
    assert [check for check in doctored["checks"] if check["level"] != "ok"] == []

    assert site.dnsbound("revoke", CAR, "--yes").code == 0
    seconds = eventually(lambda: site.curl(url, *credential(site)).code in REFUSED_BY_PEER, PATIENCE)
    assert seconds < 3 * TTL
    assert site.decisions()[-1]["reason"] == "no-tlsa"
    refused = json.loads(site.ask("explain", CAR, "--json").out)
    assert (refused["outcome"], refused["reason"]) == ("no", "no-tlsa")
    assert site.ask("match", CAR, "--cert", pem).code == 1
    shown = json.loads(site.dnsbound("id", "show", CAR, "--json").out)
    assert (shown["state"], [event["action"] for event in shown["events"]]) == ("revoked", ["register", "revoke"])


def test_the_list_closes_the_door_too(published: Site) -> None:
    """Taken from the list, which is read again by itself, while the record stands."""
    site = published
    url = open_door(site)
    assert site.curl(url, *credential(site)).code == 0
    shorter = site.here / "access.toml.new"
    shorter.write_text('[door.api]\nallow = ["car55._device.cars.example"]\n')
    shorter.replace(site.here / "access.toml")
    eventually(lambda: site.curl(url, *credential(site)).code in REFUSED_BY_PEER, PATIENCE)
    assert site.decisions()[-1]["reason"] == "not-permitted"
    assert site.ask("explain", CAR).code == 0


def test_another_key_of_the_same_name_stays_out(published: Site) -> None:
    """A certificate anybody can make: the name is right, the key is not the published one."""
    site = published
    url = open_door(site)
    elsewhere = ("--inventory", "elsewhere.db", "--out", "forged")
    assert site.dnsbound("id", "new", CAR, *elsewhere).code == 0
    forged = f"forged/{CAR}.pem"
    assert site.curl(url, "--cacert", "ca.pem", "--cert", forged).code in REFUSED_BY_PEER
    assert site.decisions()[-1]["reason"] == "tlsa-mismatch"
    assert site.ask("match", CAR, "--cert", forged).code == 1


def test_the_resolver_dies(published: Site) -> None:
    """Nobody is let in by what cannot be found out, and every command says so by its own exit code."""
    site = published
    site.asks = ("--resolver", f"127.0.0.1:{free_port()}", "--anchors", "anchors.txt")
    url = open_door(site)
    assert site.curl(url, *credential(site)).code in REFUSED_BY_PEER
    last = site.decisions()[-1]
    assert (last["verdict"], last["reason"]) == ("undecided", "dns-failed")
    for command in (("explain", CAR), ("match", CAR, "--cert", f"keys/{CAR}.pem"), ("doctor", CAR)):
        ran = site.ask(*command)
        assert (ran.code, ran.err) == (3, "")
