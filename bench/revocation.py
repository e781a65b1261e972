"""From `dnsbound revoke` to a closed door: how long it takes, and which part of it is caching.

A client has logged in and stays; the command is started; from then on the authoritative server is asked, and the client
logs in anew, again and again. What lies between the start of the command and the last answer with the record is ours:
a Python program that starts, the inventory, and where the zone lives elsewhere, a second command and an update. What
comes after it is the record's TTL at work, which the door's own cache keeps: one second here.
"""

import os
import resource
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dns.message
import dns.query
import dns.rdatatype

from bench.measured_process import MeasuredProcess, free_port
from bench.peer_missing import PeerMissing, require
from bench.revocation_client import HOST, Door, Staying, is_let_in
from bench.table import Table
from dnsbound.credential.credential import Credential
from dnsbound.provision.inventory import Inventory
from dnsbound.testing.web_authority import WebAuthority

ZONE = "cars.example"
TTL = 1
_STEP_SECONDS = 0.01
_PATIENCE_SECONDS = 20.0
_COMMAND_SECONDS = 60.0
_PROGRAM = (sys.executable, "-m", "dnsbound")


def measure(tries: int) -> Table:
    """tries: identities, each revoked once. Knot is measured where it is installed."""
    table = Table(
        f"Revocation of {tries} identities, TTL {TTL} s, in seconds",
        ["zone served by", "span", "least", "median", "most"],
    )
    for label, serve in {"the embedded authority": _embedded, "Knot, by RFC 2136": _knot}.items():
        try:
            with tempfile.TemporaryDirectory(prefix="dnsbound-bench-") as name, ExitStack() as running:
                seen = list(_tries(serve(Path(name), running), tries, running))
        except PeerMissing as missing:
            table.note(f"{label}: not measured: {missing}.")
            continue
        for span in seen[0]:
            figures = [each[span] for each in seen]
            shown = [f"{figure:.2f}" for figure in (min(figures), statistics.median(figures), max(figures))]
            table.row(label, span, *shown)
    table.note(
        "A new process for each command. The server is asked every 10 ms, new logins follow each other: a span is told "
        "as well as that. The door looks up at the authoritative server itself, and keeps what it finds for the TTL."
    )
    return table


@dataclass(frozen=True, slots=True, kw_only=True)
class _Site:
    """Where a fleet is served. anchors: of the zone. publishes: a second command brings changes to the server."""

    here: Path
    port: int
    anchors: str
    publishes: bool
    environment: Mapping[str, str]

    def run(self, *arguments: str) -> str:
        command = [*_PROGRAM, *arguments]
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=_COMMAND_SECONDS, env=self.environment, check=False
        )
        if done.returncode:
            raise RuntimeError(f"{' '.join(arguments)}: {done.stderr}")
        return done.stdout

    def revoke(self, name: str) -> None:
        self.run("revoke", name, "--yes", "--no-publish", "--reason", "bench")
        if self.publishes:
            self.run("publish")

    def serves(self, name: str) -> bool:
        """Whether the authoritative server has a record of the name."""
        asked = dns.message.make_query(name, dns.rdatatype.TLSA)
        answer = dns.query.udp_with_fallback(asked, "127.0.0.1", port=self.port, timeout=_PATIENCE_SECONDS)[0]
        return bool(answer.answer)


def _tries(site: _Site, tries: int, running: ExitStack) -> Iterator[dict[str, float]]:
    clients = _register(site, tries)
    if site.publishes:
        site.run("publish")
    door = _open_door(site, running)
    for client in clients:
        yield _one(site, client, door)


def _one(site: _Site, client: Credential, door: Door) -> dict[str, float]:
    assert client.name is not None
    name = client.name.text
    staying = Staying.log_in(client, door)
    ended: list[tuple[float, float]] = []

    def revoke() -> None:
        before = _cpu_of_commands()
        site.revoke(name)
        ended.append((time.perf_counter(), _cpu_of_commands() - before))

    command = threading.Thread(target=revoke)
    began = time.perf_counter()
    command.start()
    gone = _until(lambda: not site.serves(name))
    refused = _until(lambda: not is_let_in(client, door))
    cut = staying.waited()
    command.join()
    if not ended:
        raise RuntimeError("the command failed")
    end, spent = ended[0]
    return {
        "command, processor time": spent,
        "command, start to end": end - began,
        "command's start to no record at the server": gone - began,
        "from there to the first login refused": refused - gone,
        "from there to the open session cut": cut - gone,
        "command's start to no login and no session": max(refused, cut) - began,
    }


def _cpu_of_commands() -> float:
    """Of the programs that were started here and have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _until(holds: Callable[[], bool]) -> float:
    """When it came true."""
    deadline = time.perf_counter() + _PATIENCE_SECONDS
    while not holds():
        if time.perf_counter() > deadline:
            raise RuntimeError(f"a revoked name still holds after {_PATIENCE_SECONDS:.0f} s")
        time.sleep(_STEP_SECONDS)
    return time.perf_counter()


def _register(site: _Site, tries: int) -> list[Credential]:
    clients = [Credential.generate(f"car{number}._device.{ZONE}", now=time.time()) for number in range(tries)]
    with closing(Inventory.open(site.here / "inventory.db", create=True)) as inventory:
        for client in clients:
            assert client.name is not None
            inventory.identities.register(
                client.name, spki=client.spki, records=[client.tlsa()], ttl=TTL, now=time.time(), actor="bench"
            )
    return clients


def _open_door(site: _Site, running: ExitStack) -> Door:
    credential, anchors, port = site.here / "server.pem", site.here / "anchors.txt", free_port()
    root, web = site.here / "root.pem", WebAuthority("bench", now=time.time())
    root.write_bytes(web.root_pem)
    credential.write_bytes(web.issue(HOST).to_pem())
    credential.chmod(0o600)
    anchors.write_text(site.anchors)
    command = [sys.executable, "-m", "bench.revocation_door", str(port), str(credential), f"127.0.0.1:{site.port}"]
    running.enter_context(MeasuredProcess([*command, str(anchors)], port=port, log=site.here / "door.log"))
    return Door(port, root)


def _environment(here: Path) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("DNSBOUND_", "XDG_"))}
    own = {"DNSBOUND_INVENTORY": here / "inventory.db", "DNSBOUND_TARGETS": here / "targets.toml", "HOME": here}
    return kept | {name: str(value) for name, value in own.items()} | {"DNSBOUND_ACTOR": "bench"}


def _embedded(here: Path, running: ExitStack) -> _Site:
    (here / "targets.toml").write_text("")
    port = free_port()
    site = _Site(here=here, port=port, anchors="", publishes=False, environment=_environment(here))
    ds = site.run("zone", "create", ZONE, "--ttl", str(TTL))
    command = [*_PROGRAM, "serve", "dns", "--port", str(port), "--inventory", str(here / "inventory.db")]
    running.enter_context(MeasuredProcess(command, port=port, log=here / "dns.log"))
    return _Site(here=here, port=port, anchors=ds, publishes=False, environment=site.environment)


def _knot(here: Path, running: ExitStack) -> _Site:
    require("knotd", package="knot")
    sys.path.append(str(Path(__file__).parents[1] / "tests"))
    from interop import primaries

    knot: AbstractContextManager[Any] = primaries.knot(here)
    primary = running.enter_context(knot)
    key = primaries.write_key(here)
    (here / "targets.toml").write_text(
        f'[publish."{ZONE}"]\nto = "rfc2136"\nserver = "127.0.0.1:{primary.port}"\nkey_file = "{key}"\n'
    )
    return _Site(here=here, port=primary.port, anchors=primary.ds, publishes=True, environment=_environment(here))
