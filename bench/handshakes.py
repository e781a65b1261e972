"""Server CPU per full TLS 1.3 mutual handshake: ours, with DANE client authentication and a warm cache, against nginx
and Python's own ssl, both with a CA. The same client, certificate type and key exchange for all; one process each.
"""

import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from bench import peers
from bench.measured_process import MeasuredProcess, free_port
from bench.rounds import least
from bench.table import Table
from dnsbound.credential.credential import Credential, certificates_to_pem
from dnsbound.credential.issuer import CertificateAuthority
from dnsbound.testing import World

WARM_UP = 100
CONCURRENCY = 4
NAME = "car54._device.cars.example"
LONG_TTL = 3600
NGINX = "nginx, mutual TLS with a CA"
PYTHON = "Python ssl on asyncio, mutual TLS with a CA"


@dataclass(frozen=True, slots=True)
class Contender:
    label: str
    command: list[str]
    client: Path
    port: int


def measure(connections: int, rounds: int) -> Table:
    """Microseconds of server CPU per connection: the least of several rounds, taken in turn."""
    with tempfile.TemporaryDirectory(prefix="bench-") as directory, World() as world:
        servers = contenders(Path(directory), world)
        work = {contender.label: partial(_one_round, contender, Path(directory), connections) for contender in servers}
        best = least(work, rounds)
    table = Table("Server CPU per mutual TLS 1.3 connection", ["server", "us", "of nginx", "of Python ssl"])
    for label, spent in best.items():
        table.row(label, f"{spent:.0f}", _ratio(spent, best.get(NGINX)), _ratio(spent, best.get(PYTHON)))
    if NGINX not in best:
        table.note("nginx is not installed (Debian package nginx): not compared with.")
    return table


def _ratio(spent: float, reference: float | None) -> str:
    return "-" if reference is None else f"{spent / reference:.2f}"


def contenders(place: Path, world: World) -> list[Contender]:
    """The servers, with their files in place; free ports."""
    car = world.organisation("cars.example").device("car54", ttl=LONG_TTL)
    authority = CertificateAuthority.create("bench clients", now=time.time() - 60)
    chain = authority.certify(NAME, car.credential.spki, now=time.time() - 60)
    files = {
        "client.pem": Credential(car.name, car.credential.private_key, chain[:1]).to_pem(),
        "raw.pem": car.credential.as_raw_key().to_pem(),
        "clients-ca.pem": certificates_to_pem(authority.chain),
        "anchors.txt": world.anchors_text.encode(),
    }
    server = world.web_credential("api.cars.example")
    files |= {"server.key": server.to_pem(), "server.pem": certificates_to_pem(server.chain[:1])}
    for name, content in files.items():
        (place / name).write_bytes(content)
        (place / name).chmod(0o600)

    def ours(loop: str, port: int) -> list[str]:
        return [
            *(sys.executable, "-m", "bench.our_server", str(port), str(place / "server.key")),
            *(str(world.resolver_address), str(place / "anchors.txt"), NAME, loop),
        ]

    ports = [free_port() for _ in range(5)]
    client, raw = place / "client.pem", place / "raw.pem"
    nginx = ["nginx", "-c", str(peers.nginx_configuration(place, ports[0]))]
    return [
        *([Contender(NGINX, nginx, client, ports[0])] if shutil.which("nginx") else []),
        Contender(PYTHON, [sys.executable, "-m", "bench.peers", str(place), str(ports[1])], client, ports[1]),
        Contender("dnsbound on asyncio, X.509", ours("asyncio", ports[2]), client, ports[2]),
        Contender("dnsbound on uvloop, X.509", ours("uvloop", ports[3]), client, ports[3]),
        Contender("dnsbound on uvloop, raw public key", ours("uvloop", ports[4]), raw, ports[4]),
    ]


def _one_round(contender: Contender, place: Path, connections: int) -> float:
    with MeasuredProcess(contender.command, port=contender.port, log=place / "server.log") as server:
        _load(contender, WARM_UP)
        before = server.cpu_seconds()
        answered = _load(contender, connections)
        spent = server.cpu_seconds() - before
    if answered != connections:
        raise RuntimeError(f"{contender.label}: {answered} of {connections} connections were answered")
    return spent / connections * 1e6


def _load(contender: Contender, connections: int) -> int:
    command = [sys.executable, "-m", "bench.load", str(contender.port), str(contender.client)]
    run = subprocess.run(
        [*command, str(connections), str(CONCURRENCY)], capture_output=True, text=True, timeout=300, check=False
    )
    if run.returncode:
        raise RuntimeError(f"{contender.label}: {run.stderr.strip().splitlines()[-1]}")
    return int(run.stdout)
