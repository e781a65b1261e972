"""nginx whose locations ask the verify service at every request, beside the same nginx with a CA alone.

Ours is the configuration that `dnsbound config nginx` prints. Both pass requests to the same back end, over TLS 1.3
connections that are kept; the verify service has its evidence in its cache. Latency is of one request at a time.
"""

import getpass
import subprocess
import sys
import tempfile
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

from bench.contenders import write_files
from bench.exchanges import Reached, Wanted, reach
from bench.measured_process import MeasuredProcess, free_port
from bench.peer_missing import require
from bench.table import Table
from bench.verify_service import verify_service
from dnsbound.testing import World

AT_ONCE = 8
CA = "nginx, mutual TLS with a CA"
OURS = "nginx, auth_request of dnsbound"
QUESTION = b"GET / HTTP/1.1\r\nHost: api.cars.example\r\n\r\n"


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """alone: one request at a time. busy: AT_ONCE of them. nginx, service: microseconds of processor time for each."""

    alone: Reached
    busy: Reached
    nginx: float
    service: float


def measure(questions: int, rounds: int) -> Table:
    """Of each the round with the least median latency, rounds taken in turn."""
    require("nginx", package="nginx-light")
    best: dict[str, Figures] = {}
    with tempfile.TemporaryDirectory(prefix="bench-") as directory, World() as world, ExitStack() as held:
        place = Path(directory)
        client, _ = write_files(place, world)
        behind, socket = free_port(), place / "bench.sock"
        started(held, _back_end(place, behind), behind, place / "behind.log")
        service = started(held, verify_service(place, world, socket), socket, place / "authz.log")
        fronts = {CA: _with_authority(place, behind), OURS: _with_service(place, behind, socket)}
        wanted = Wanted(place=0, question=QUESTION.hex(), answer="http", each=questions, credential=str(client))
        for _ in range(rounds):
            for label, front in fronts.items():
                found = _one_round(front, place, wanted, service.cpu_seconds)
                if label not in best or found.alone.p50 < best[label].alone.p50:
                    best[label] = found
    columns = ["p50, us", "p99, us", f"each second, {AT_ONCE} at once", "CPU of nginx, us", "of the service, us"]
    table = Table("nginx with and without the verify service", ["server", *columns])
    for label, found in best.items():
        numbers = (found.alone.p50, found.alone.p99, found.busy.each_second, found.nginx, found.service)
        table.row(label, *(f"{number:.0f}" for number in numbers))
    return table


def started(held: ExitStack, command: list[str], port: int | Path, log: Path) -> MeasuredProcess:
    return held.enter_context(MeasuredProcess(command, port=port, log=log))


def _one_round(front: "tuple[Path, int]", place: Path, wanted: Wanted, service: Callable[[], float]) -> Figures:
    file, port = front
    wanted = replace(wanted, place=port)
    with MeasuredProcess(["nginx", "-c", str(file)], port=port, log=place / "nginx.log") as server:
        reach(replace(wanted, each=50))
        alone = reach(wanted)
        before, before_service = server.cpu_seconds(), service()
        busy = reach(replace(wanted, each=wanted.each // AT_ONCE, connections=AT_ONCE))
        spent, spent_service = server.cpu_seconds() - before, service() - before_service
    each = 1e6 / busy.answered
    return Figures(alone=alone, busy=busy, nginx=spent * each, service=spent_service * each)


def _with_authority(place: Path, behind: int) -> tuple[Path, int]:
    """The lines of ours that do not ask, and a CA."""
    port = free_port()
    server = f"""server {{
    listen 127.0.0.1:{port} ssl;
    ssl_certificate {place}/server.pem; ssl_certificate_key {place}/server.key;
    ssl_client_certificate {place}/clients-ca.pem; ssl_verify_client on; ssl_verify_depth 2;
    ssl_protocols TLSv1.2 TLSv1.3; ssl_session_cache off; ssl_session_tickets off;
    location / {{
      proxy_pass http://127.0.0.1:{behind};
      proxy_set_header Host $host; proxy_set_header Connection ""; proxy_http_version 1.1;
    }}
  }}"""
    return nginx_file(place, "authority", server), port


def _with_service(place: Path, behind: int, socket: Path) -> tuple[Path, int]:
    """As printed."""
    port, into = free_port(), place / "printed"
    said = {
        "listen": f"127.0.0.1:{port}",
        "backend": f"127.0.0.1:{behind}",
        "socket": str(socket),
        "user": getpass.getuser(),
        "server-name": "api.cars.example",
        "door": "api",
        "certificate": str(place / "server.pem"),
        "key": str(place / "server.key"),
        "output": str(into),
        "directory": str(into),
    }
    options = [f"--{name}={value}" for name, value in said.items()]
    command = [sys.executable, "-m", "dnsbound", "config", "nginx", *options]
    subprocess.run(command, check=True, capture_output=True, timeout=60)
    return nginx_file(place, "service", f"include {into}/*.conf;"), port


def _back_end(place: Path, port: int) -> list[str]:
    server = f'server {{ listen 127.0.0.1:{port}; location / {{ return 200 "ok\\n"; }} }}'
    return ["nginx", "-c", str(nginx_file(place, "behind", server))]


def nginx_file(place: Path, label: str, server: str) -> Path:
    """A configuration of one process with this in `http`."""
    file, own = place / f"{label}.conf", place / label
    file.write_text(
        f"""user {getpass.getuser()};
daemon off; worker_processes 1; pid {place}/{label}.pid; error_log {place}/{label}-error.log;
events {{ worker_connections 4096; }}
http {{
  access_log off; keepalive_requests 1000000; client_body_temp_path {own}-b; proxy_temp_path {own}-p;
  fastcgi_temp_path {own}-f; uwsgi_temp_path {own}-u; scgi_temp_path {own}-s;
  {server}
}}
"""
    )
    return file
