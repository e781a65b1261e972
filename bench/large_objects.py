"""Signing and verifying one large file, beside programs that only hash it.

Every program is a process of its own over the same file, in turns. The figures of `dnsbound` are of the whole command:
start, credential, the lookup of the signer's name in a World on loopback, hashing, signature; what of it is the start
alone shows the row of an empty file. CPU time is what counts on a machine that others use too.
"""

import os
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from bench.table import Table
from dnsbound.edge.credential_files import save_credential
from dnsbound.testing import World

MIB = 1 << 20
PROGRAM = (sys.executable, "-c", "from dnsbound.cli import main; main()")
HASHING = """
import hashlib, sys
running, buffer = hashlib.sha256(), bytearray(1 << 20)
with open(sys.argv[1], "rb", buffering=0) as file:
    while octets := file.readinto(buffer):
        running.update(memoryview(buffer)[:octets])
"""


@dataclass(frozen=True, slots=True)
class Cost:
    """Of one process."""

    seconds: float
    """Of processor time."""
    peak: int
    """KiB."""


def cost_of(command: list[str], environment: dict[str, str]) -> Cost:
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    process = subprocess.Popen(command, env=environment, **quiet)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"{command} ended with {process.returncode}")
    return Cost(usage.ru_utime + usage.ru_stime, usage.ru_maxrss)


EMPTY: Final = "sign an empty file"
"""What a command costs before there is anything to hash."""


def commands(file: Path, credential: Path, name: str) -> dict[str, list[str]]:
    """In the order they run: what is verified was signed before."""
    found: dict[str, list[str]] = {"hashlib": [sys.executable, "-c", HASHING, str(file)]}
    if (sha256sum := shutil.which("sha256sum")) is not None:
        found["sha256sum"] = [sha256sum, str(file)]
    if (openssl := shutil.which("openssl")) is not None:
        found["openssl dgst"] = [openssl, "dgst", "-sha256", str(file)]
    empty = file.with_suffix(".empty")
    empty.write_bytes(b"")
    found[EMPTY] = [*PROGRAM, "sign", str(empty), "--credential", str(credential), "--force"]
    for way in ("manifest", "chunks", "detached"):
        option = [] if way == "manifest" else [f"--{way}"]
        out = str(file.with_suffix(f".{way}.jws"))
        signing = ["sign", str(file), *option, "--credential", str(credential), "--out", out, "--force"]
        found[f"sign {way}"] = [*PROGRAM, *signing]
        found[f"verify {way}"] = [*PROGRAM, "verify", str(file), "--signature", out, "--from", name]
    return found


def measure(mebibytes: int, rounds: int) -> Table:
    """The least processor time of several runs, and the most memory."""
    with tempfile.TemporaryDirectory() as directory:
        costs = _costs(mebibytes, rounds, Path(directory))
    hashing = min(costs[what].seconds for what in ("hashlib", "sha256sum", "openssl dgst") if what in costs)
    table = Table(f"One file of {mebibytes} MiB", ["program", "CPU s", "MiB/CPU s", "of the fastest hash", "peak MiB"])
    for what, cost in costs.items():
        rate, ratio = f"{mebibytes / cost.seconds:.0f}", f"{hashing / cost.seconds:.2f}"
        if what == EMPTY:
            rate = ratio = ""
        table.row(what, f"{cost.seconds:.2f}", rate, ratio, f"{cost.peak / 1024:.0f}")
    return table


def _costs(mebibytes: int, rounds: int, directory: Path) -> dict[str, Cost]:
    file, credential, anchors = directory / "big", directory / "car54.pem", directory / "anchors"
    with file.open("wb") as content:
        for _ in range(mebibytes):
            content.write(os.urandom(MIB))
    best: dict[str, Cost] = {}
    with World() as world:
        car = world.organisation("cars.example").device("car54")
        save_credential(car.credential, credential)
        anchors.write_text(world.anchors_text)
        environment = os.environ | {"DNSBOUND_RESOLVER": str(world.resolver_address), "DNSBOUND_ANCHORS": str(anchors)}
        for what, command in list(commands(file, credential, car.name.text).items()) * rounds:
            cost = cost_of(command, environment)
            known = best.get(what, cost)
            best[what] = Cost(min(cost.seconds, known.seconds), max(cost.peak, known.peak))
    return best
