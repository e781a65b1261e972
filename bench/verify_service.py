"""`dnsbound serve authz` at a Unix socket, asked as nginx asks it: latency at a rate that is held, and processor time.

The evidence is in its cache; connections are kept. The rate is held whatever the service does (`bench.exchanges`), so
waiting is counted where it arises. The last row asks again as soon as it was answered: what one process can do.
"""

import getpass
import tempfile
from dataclasses import replace
from pathlib import Path
from urllib.parse import quote

from bench.contenders import NAME, write_files
from bench.exchanges import Wanted, reach
from bench.gate_servers import own_command
from bench.measured_process import MeasuredProcess
from bench.table import Table
from dnsbound.adapters.fronts import asking
from dnsbound.credential.credential import Credential, certificates_to_pem
from dnsbound.testing import World

CONNECTIONS = 8
RATES = (100, 1000)


def measure(seconds: int) -> Table:
    """Microseconds. late: how late one question of a hundred was asked, which its latency contains."""
    header = ["questions each second", "p50, us", "p99, us", "late, p99, us", "CPU each, us"]
    table = Table("Verify service over a Unix socket", header)
    with tempfile.TemporaryDirectory(prefix="bench-") as directory, World() as world:
        place = Path(directory)
        client, _ = write_files(place, world)
        socket = place / "bench.sock"
        command = verify_service(place, world, socket)
        with MeasuredProcess(command, port=socket, log=place / "authz.log") as server:
            wanted = Wanted(place=str(socket), question=question(client).hex(), answer="http", each=100)
            reach(wanted)
            for rate in (*RATES, 0):
                each = rate * seconds // CONNECTIONS or 200 * seconds
                before = server.cpu_seconds()
                found = reach(replace(wanted, rate=rate, each=each, connections=CONNECTIONS))
                cpu = (server.cpu_seconds() - before) / found.answered * 1e6
                told = str(rate) if rate else f"{found.each_second:.0f}, as many as it answers"
                table.row(told, *(f"{each:.0f}" for each in (found.p50, found.p99, found.late_p99, cpu)))
    return table


def verify_service(place: Path, world: World, socket: Path) -> list[str]:
    """The command of one whose front `bench` asks at that socket."""
    (place / "access.toml").write_text(f'[door.api]\nallow = ["{NAME}"]\n')
    (place / "authz.toml").write_text(
        f"""[server]
access = "access.toml"
workers = 1
[front.bench]
protocol = "http"
listen = "unix:{socket}"
users = ["{getpass.getuser()}"]
door = "api"
claim_from = ["san"]
"""
    )
    return own_command(place, world, "serve", "authz", "--config", str(place / "authz.toml"))


def question(client: Path) -> bytes:
    """As nginx asks by the configuration that `dnsbound config nginx` prints."""
    leaf = certificates_to_pem(Credential.from_pem(client.read_bytes()).chain[:1]).decode()
    fields = f"Host: dnsbound\r\n{asking.CERTIFICATE}: {quote(leaf)}\r\n{asking.SOURCE}: 192.0.2.7\r\n"
    return f"GET {asking.PATH} HTTP/1.1\r\n{fields}\r\n".encode()
