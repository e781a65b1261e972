"""Servers whose processor time per handshake is compared: the files they and their client stand on, and one round."""

import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.measured_process import MeasuredProcess
from dnsbound.credential.credential import Credential, certificates_to_pem
from dnsbound.credential.issuer import CertificateAuthority
from dnsbound.testing import World

NAME = "car54._device.cars.example"
LONG_TTL = 3600


@dataclass(frozen=True, slots=True)
class Contender:
    """One server. client: the credential of its clients."""

    label: str
    command: list[str]
    client: Path
    port: int


@dataclass(frozen=True, slots=True)
class Load:
    """What a contender is given. module: of the client, which prints how many of its handshakes were completed."""

    module: str
    handshakes: int
    warm_up: int
    arguments: Sequence[str] = ()
    datagram: bool = False

    def on(self, contender: Contender, handshakes: int) -> int:
        command = [sys.executable, "-m", self.module, str(contender.port), str(contender.client), str(handshakes)]
        run = subprocess.run([*command, *self.arguments], capture_output=True, text=True, timeout=300, check=False)
        if run.returncode:
            raise RuntimeError(f"{contender.label}: {run.stderr.strip().splitlines()[-1]}")
        return int(run.stdout)


def server_cpu(contender: Contender, place: Path, load: Load) -> float:
    """Microseconds of the server's processor time for one handshake."""
    log = place / "server.log"
    with MeasuredProcess(contender.command, port=contender.port, log=log, datagram=load.datagram) as server:
        load.on(contender, load.warm_up)
        before = server.cpu_seconds()
        completed = load.on(contender, load.handshakes)
        spent = server.cpu_seconds() - before
    if completed != load.handshakes:
        raise RuntimeError(f"{contender.label}: {completed} of {load.handshakes} handshakes were completed")
    return spent / load.handshakes * 1e6


def ratio(spent: float, reference: float | None) -> str:
    return "-" if reference is None else f"{spent / reference:.2f}"


def write_files(place: Path, world: World) -> tuple[Path, Path]:
    """Put the servers' files in place. The client's own: with a certificate of a CA, and as a raw key."""
    car = world.organisation("cars.example").device("car54", ttl=LONG_TTL)
    authority = CertificateAuthority.create("bench clients", now=time.time() - 60)
    chain = authority.certify(NAME, car.credential.spki, now=time.time() - 60)
    server = world.web_credential("api.cars.example")
    files = {
        "client.pem": Credential(car.name, car.credential.private_key, chain[:1]).to_pem(),
        "raw.pem": car.credential.as_raw_key().to_pem(),
        "clients-ca.pem": certificates_to_pem(authority.chain),
        "anchors.txt": world.anchors_text.encode(),
        "server.key": server.to_pem(),
        "server.pem": certificates_to_pem(server.chain[:1]),
    }
    for name, content in files.items():
        (place / name).write_bytes(content)
        (place / name).chmod(0o600)
    return place / "client.pem", place / "raw.pem"


def own_server(module: str, place: Path, world: World, port: int, *more: str) -> list[str]:
    """The command of a server of ours."""
    return [
        *(sys.executable, "-m", module, str(port), str(place / "server.key")),
        *(str(world.resolver_address), str(place / "anchors.txt"), NAME, *more),
    ]
