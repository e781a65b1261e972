"""Server CPU per full DTLS 1.2 mutual handshake: ours, with cookies, DANE client authentication and a warm cache,
against `openssl s_server` (without cookies: it takes one client only with them) and `gnutls-serv` (with), both with a
CA. The same client, certificate type, suite and key exchange for all; one process each, one handshake at a time.
"""

import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from bench.measured_process import MeasuredProcess, free_port
from bench.rounds import least
from bench.table import Table
from dnsbound.credential.credential import Credential, certificates_to_pem
from dnsbound.credential.issuer import CertificateAuthority
from dnsbound.testing import World

WARM_UP = 20
NAME = "car54._device.cars.example"
LONG_TTL = 3600
OPENSSL = "openssl s_server, mutual DTLS with a CA"
GNUTLS = "gnutls-serv, mutual DTLS with a CA"
PRIORITY = "NORMAL:-VERS-ALL:+VERS-DTLS1.2:-GROUP-ALL:+GROUP-X25519:+GROUP-SECP256R1"


@dataclass(frozen=True, slots=True)
class Contender:
    label: str
    command: list[str]
    client: Path
    port: int


def measure(handshakes: int, rounds: int) -> Table:
    """Microseconds of server CPU per handshake: the least of several rounds, taken in turn."""
    with tempfile.TemporaryDirectory(prefix="bench-") as directory, World() as world:
        servers = contenders(Path(directory), world)
        work = {contender.label: partial(_one_round, contender, Path(directory), handshakes) for contender in servers}
        best = least(work, rounds)
    table = Table("Server CPU per mutual DTLS 1.2 handshake", ["server", "us", "of OpenSSL", "of GnuTLS"])
    for label, spent in best.items():
        table.row(label, f"{spent:.0f}", _ratio(spent, best.get(OPENSSL)), _ratio(spent, best.get(GNUTLS)))
    for label, package in ((OPENSSL, "openssl"), (GNUTLS, "gnutls-bin")):
        if label not in best:
            table.note(f"{label.partition(',')[0]} is not installed (Debian package {package}): not compared with.")
    return table


def _ratio(spent: float, reference: float | None) -> str:
    return "-" if reference is None else f"{spent / reference:.2f}"


def contenders(place: Path, world: World) -> list[Contender]:
    """The servers, with their files in place; free ports."""
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
    ports = [free_port() for _ in range(4)]
    client, raw = place / "client.pem", place / "raw.pem"
    peers = [
        Contender(OPENSSL, _openssl(place, ports[0]), client, ports[0]),
        Contender(GNUTLS, _gnutls(place, ports[1]), client, ports[1]),
    ]

    def ours(port: int) -> list[str]:
        module = (sys.executable, "-m", "bench.our_datagram_server")
        return [
            *(*module, str(port), str(place / "server.key")),
            *(str(world.resolver_address), str(place / "anchors.txt"), NAME),
        ]

    return [
        *(peer for peer in peers if shutil.which(peer.command[0])),
        Contender("dnsbound on asyncio, X.509", ours(ports[2]), client, ports[2]),
        Contender("dnsbound on asyncio, raw public key", ours(ports[3]), raw, ports[3]),
    ]


def _openssl(place: Path, port: int) -> list[str]:
    return [
        *("openssl", "s_server", "-dtls1_2", "-quiet", "-accept", str(port), "-no_ticket", "-no_cache"),
        *("-cert", str(place / "server.pem"), "-key", str(place / "server.key")),
        *("-Verify", "2", "-CAfile", str(place / "clients-ca.pem"), "-verify_return_error", "-groups", "X25519:P-256"),
    ]


def _gnutls(place: Path, port: int) -> list[str]:
    return [
        *("gnutls-serv", "--udp", "-q", "-p", str(port), "--priority", PRIORITY, "--noticket", "--nodb"),
        *("--x509certfile", str(place / "server.pem"), "--x509keyfile", str(place / "server.key")),
        *("--require-client-cert", "--verify-client-cert", "--x509cafile", str(place / "clients-ca.pem")),
    ]


def _one_round(contender: Contender, place: Path, handshakes: int) -> float:
    log = place / "server.log"
    with MeasuredProcess(contender.command, port=contender.port, log=log, datagram=True) as server:
        _load(contender, WARM_UP)
        before = server.cpu_seconds()
        completed = _load(contender, handshakes)
        spent = server.cpu_seconds() - before
    if completed != handshakes:
        raise RuntimeError(f"{contender.label}: {completed} of {handshakes} handshakes were completed")
    return spent / handshakes * 1e6


def _load(contender: Contender, handshakes: int) -> int:
    command = [sys.executable, "-m", "bench.datagram_load", str(contender.port), str(contender.client)]
    run = subprocess.run([*command, str(handshakes)], capture_output=True, text=True, timeout=300, check=False)
    if run.returncode:
        raise RuntimeError(f"{contender.label}: {run.stderr.strip().splitlines()[-1]}")
    return int(run.stdout)
