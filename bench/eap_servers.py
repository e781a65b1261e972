"""The RADIUS servers whose EAP-TLS is compared: ours as operators run it, and FreeRADIUS with a CA.

The same certificate, fragment size and secret. Neither resumes nor keeps sessions; FreeRADIUS writes no line for an
authentication, ours writes the two it always writes, to a file.
"""

import contextlib
import json
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from bench.contenders import write_files
from bench.eap_load import AT_MOST_SECONDS, Reached, Wanted
from dnsbound.credential.credential import Credential
from dnsbound.testing import World

FRAGMENT_OCTETS = 1024
FREERADIUS = "FreeRADIUS"
OURS = "dnsbound"


@dataclass(frozen=True, slots=True, kw_only=True)
class EapServer:
    """A running one. pid: its process, whose descendants are counted too."""

    port: int
    pid: int
    secret: str


Started = Callable[[], AbstractContextManager[EapServer]]
"""A server, started anew for each round."""


class EapServers:
    """Starts them. place: a directory for their files. client, raw: of a device that both let in, raw ours alone."""

    def __init__(self, place: Path, world: World) -> None:
        self._place = place
        self._world = world
        self.client, self.raw = write_files(place, world)
        chain = Credential.from_pem((place / "server.key").read_bytes())
        self._server = Credential(chain.name, chain.private_key, chain.chain[:1])
        self._started = 0

    @contextlib.contextmanager
    def ours(self, workers: int, settings: str = "") -> Iterator[EapServer]:
        """settings: more lines of [server]."""
        processes = _interop("radius_processes")
        settings = f"fragment_octets = {FRAGMENT_OCTETS}\n{settings}"
        directory = self._fresh()
        with processes.radius_processes(
            directory, self._world, workers=workers, settings=settings, own=self._server
        ) as running:
            secret = (directory / "nas.secret").read_text()
            yield EapServer(port=running.port, pid=running.daemon.process.pid, secret=secret)

    @contextlib.contextmanager
    def freeradius(self, threads: int) -> Iterator[EapServer]:
        peer, examples = _interop("radius_freeradius"), _interop("radius_examples")
        directory = self._fresh()
        with peer.freeradius(
            directory,
            server=examples.Pem.write(self._place, "freeradius", self._server),
            clients=self._place / "clients-ca.pem",
            threads=threads,
            talkative=False,
        ) as running:
            yield EapServer(port=running.port, pid=running.daemon.process.pid, secret=running.secret)

    def _fresh(self) -> Path:
        self._started += 1
        directory = self._place / f"server{self._started}"
        directory.mkdir()
        return directory


def reach(wanted: Wanted) -> Reached:
    """Run the load, in a process of its own; RuntimeError when not all were let in, each at the first asking."""
    command = [sys.executable, "-m", "bench.eap_load", json.dumps(asdict(wanted))]
    run = subprocess.run(command, capture_output=True, text=True, timeout=AT_MOST_SECONDS + 60, check=False)
    if run.returncode:
        raise RuntimeError(f"the load failed: {run.stderr.strip().splitlines()[-1]}")
    reached = Reached(**json.loads(run.stdout))
    if reached.admitted != wanted.authentications or reached.repeated:
        raise RuntimeError(f"{reached.admitted} of {wanted.authentications}, {reached.repeated} packets repeated")
    return reached


def has_freeradius() -> bool:
    return shutil.which("freeradius", path="/usr/sbin:/usr/bin:/sbin:/usr/local/sbin") is not None


def _interop(module: str) -> Any:
    tests = str(Path(__file__).parents[1] / "tests")
    sys.path.append(tests)
    try:
        return __import__(f"interop.{module}", fromlist=["*"])
    finally:
        sys.path.remove(tests)
