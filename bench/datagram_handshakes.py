"""Server CPU per full DTLS 1.2 mutual handshake: ours, with cookies, DANE client authentication and a warm cache,
against `openssl s_server` (without cookies: it takes one client only with them) and `gnutls-serv` (with), both with a
CA. The same client, certificate type, suite and key exchange for all; one process each, one handshake at a time.
"""

import shutil
import tempfile
from functools import partial
from pathlib import Path

from bench.contenders import Contender, Load, own_server, ratio, server_cpu, write_files
from bench.measured_process import free_port
from bench.rounds import least
from bench.table import Table
from dnsbound.testing import World

WARM_UP = 20
OPENSSL = "openssl s_server, mutual DTLS with a CA"
GNUTLS = "gnutls-serv, mutual DTLS with a CA"
PRIORITY = "NORMAL:-VERS-ALL:+VERS-DTLS1.2:-GROUP-ALL:+GROUP-X25519:+GROUP-SECP256R1"


def measure(handshakes: int, rounds: int) -> Table:
    """Microseconds of server CPU per handshake: the least of several rounds, taken in turn."""
    load = Load("bench.datagram_load", handshakes, WARM_UP, datagram=True)
    with tempfile.TemporaryDirectory(prefix="bench-") as directory, World() as world:
        place = Path(directory)
        work = {each.label: partial(server_cpu, each, place, load) for each in contenders(place, world)}
        best = least(work, rounds)
    table = Table("Server CPU per mutual DTLS 1.2 handshake", ["server", "us", "of OpenSSL", "of GnuTLS"])
    for label, spent in best.items():
        table.row(label, f"{spent:.0f}", ratio(spent, best.get(OPENSSL)), ratio(spent, best.get(GNUTLS)))
    for label, package in ((OPENSSL, "openssl"), (GNUTLS, "gnutls-bin")):
        if label not in best:
            table.note(f"{label.partition(',')[0]} is not installed (Debian package {package}): not compared with.")
    return table


def contenders(place: Path, world: World) -> list[Contender]:
    """The servers, with their files in place; free ports."""
    client, raw = write_files(place, world)
    ports = [free_port() for _ in range(4)]
    peers = [
        Contender(OPENSSL, _openssl(place, ports[0]), client, ports[0]),
        Contender(GNUTLS, _gnutls(place, ports[1]), client, ports[1]),
    ]
    ours = partial(own_server, "bench.our_datagram_server", place, world)
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
