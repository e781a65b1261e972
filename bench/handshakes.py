"""Server CPU per full TLS 1.3 mutual handshake: ours, with DANE client authentication and a warm cache, against nginx
and Python's own ssl, both with a CA. The same client, certificate type and key exchange for all; one process each.
"""

import shutil
import sys
import tempfile
from functools import partial
from pathlib import Path

from bench import peers
from bench.contenders import Contender, Load, own_server, ratio, server_cpu, write_files
from bench.measured_process import free_port
from bench.rounds import least
from bench.table import Table
from dnsbound.testing import World

WARM_UP = 100
CONCURRENCY = 4
NGINX = "nginx, mutual TLS with a CA"
PYTHON = "Python ssl on asyncio, mutual TLS with a CA"


def measure(connections: int, rounds: int) -> Table:
    """Microseconds of server CPU per connection: the least of several rounds, taken in turn."""
    load = Load("bench.load", connections, WARM_UP, [str(CONCURRENCY)])
    with tempfile.TemporaryDirectory(prefix="bench-") as directory, World() as world:
        place = Path(directory)
        work = {each.label: partial(server_cpu, each, place, load) for each in contenders(place, world)}
        best = least(work, rounds)
    table = Table("Server CPU per mutual TLS 1.3 connection", ["server", "us", "of nginx", "of Python ssl"])
    for label, spent in best.items():
        table.row(label, f"{spent:.0f}", ratio(spent, best.get(NGINX)), ratio(spent, best.get(PYTHON)))
    if NGINX not in best:
        table.note("nginx is not installed (Debian package nginx): not compared with.")
    return table


def contenders(place: Path, world: World) -> list[Contender]:
    """The servers, with their files in place; free ports."""
    client, raw = write_files(place, world)
    ports = [free_port() for _ in range(5)]
    nginx = ["nginx", "-c", str(peers.nginx_configuration(place, ports[0]))]
    ours = partial(own_server, "bench.our_server", place, world)
    return [
        *([Contender(NGINX, nginx, client, ports[0])] if shutil.which("nginx") else []),
        Contender(PYTHON, [sys.executable, "-m", "bench.peers", str(place), str(ports[1])], client, ports[1]),
        Contender("dnsbound on asyncio, X.509", ours(ports[2], "asyncio"), client, ports[2]),
        Contender("dnsbound on uvloop, X.509", ours(ports[3], "uvloop"), client, ports[3]),
        Contender("dnsbound on uvloop, raw public key", ours(ports[4], "uvloop"), raw, ports[4]),
    ]
