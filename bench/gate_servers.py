"""Programs that end TLS before another server: `dnsbound gate server`, and stunnel, HAProxy and nginx with a CA.

TLS 1.3 only, X25519, one P-256 certificate, no tickets, no session cache; one process of one thread but for stunnel,
which has a thread for each connection. None writes a line for a connection but ours, which logs every decision.
"""

import resource
import shutil
import sys
from pathlib import Path

from bench.contenders import NAME, Contender
from bench.measured_process import free_port
from bench.table import Table
from dnsbound.testing import World

OURS = "dnsbound gate"
STUNNEL = "stunnel, mutual TLS with a CA"
HAPROXY = "HAProxy, mutual TLS with a CA"
NGINX = "nginx stream, mutual TLS with a CA"
_PACKAGES = {"stunnel": "stunnel4", "haproxy": "haproxy", "nginx": "libnginx-mod-stream"}
_STREAM_MODULE = Path("/usr/lib/nginx/modules/ngx_stream_module.so")


def gates(place: Path, world: World, back_end: int, client: Path) -> list[Contender]:
    """Before the back end at that port of 127.0.0.1; the files of `contenders.write_files` are in place."""
    found = []
    if shutil.which("stunnel"):
        port = free_port()
        found.append(Contender(STUNNEL, ["stunnel", str(_stunnel(place, port, back_end))], client, port))
    if shutil.which("haproxy"):
        port = free_port()
        command = ["haproxy", "-db", "-f", str(_haproxy(place, port, back_end))]
        found.append(Contender(HAPROXY, command, client, port))
    if shutil.which("nginx") and _STREAM_MODULE.exists():
        port = free_port()
        found.append(Contender(NGINX, ["nginx", "-c", str(_nginx(place, port, back_end))], client, port))
    port = free_port()
    return [*found, Contender(OURS, own_gate(place, world, port, f"127.0.0.1:{back_end}"), client, port)]


def tell_missing(table: Table) -> None:
    """A note for each program that is not compared with."""
    for program, package in _PACKAGES.items():
        if shutil.which(program) is None or (program == "nginx" and not _STREAM_MODULE.exists()):
            table.note(f"{program} is not installed (Debian package {package}): not compared with.")


def own_gate(place: Path, world: World, port: int, target: str, protocol: str = "tcp") -> list[str]:
    """The command of a gate of ours."""
    directory = place / f"gate{port}"
    directory.mkdir()
    (directory / "access.toml").write_text(f'[door.api]\nallow = ["{NAME}"]\n')
    (directory / "gate.toml").write_text(
        f"""[server]
access = "access.toml"
workers = 1
shutdown_seconds = 1
[gate.bench]
listen = "127.0.0.1:{port}"
target = "{target}"
protocol = "{protocol}"
door = "api"
credential = "{place}/server.key"
connections = 30000
connections_per_name = 30000
rate_per_name = 1000000
"""
    )
    return own_command(place, world, "gate", "server", "--config", str(directory / "gate.toml"))


def own_command(place: Path, world: World, *arguments: str) -> list[str]:
    """`dnsbound` with these, asking this World."""
    command = ["env", f"DNSBOUND_RUNTIME={place}/runtime", sys.executable, "-m", "dnsbound", *arguments]
    return [*command, "--resolver", str(world.resolver_address), "--anchors", str(place / "anchors.txt")]


def _stunnel(place: Path, port: int, back_end: int) -> Path:
    file = place / "stunnel.conf"
    file.write_text(
        f"""foreground = yes
pid =
debug = err
syslog = no
[bench]
accept = 127.0.0.1:{port}
connect = 127.0.0.1:{back_end}
cert = {place}/server.pem
key = {place}/server.key
CAfile = {place}/clients-ca.pem
verifyChain = yes
sslVersion = TLSv1.3
curves = X25519
options = NO_TICKET
"""
    )
    return file


def _haproxy(place: Path, port: int, back_end: int) -> Path:
    file = place / "haproxy.cfg"
    file.write_text(
        f"""global
  nbthread 1
  maxconn {_most_connections()}
  tune.ssl.cachesize 0
  ssl-default-bind-options ssl-min-ver TLSv1.3 no-tls-tickets
defaults
  mode tcp
  timeout connect 10s
  timeout client 600s
  timeout server 600s
frontend bench
  bind 127.0.0.1:{port} backlog 4096 ssl crt {place}/server.key ca-file {place}/clients-ca.pem verify required curves X25519
  default_backend echo
backend echo
  server echo 127.0.0.1:{back_end}
"""  # noqa: E501 (a line of HAProxy's cannot be broken)
    )
    return file


def _most_connections() -> int:
    """HAProxy does not start when it could not have the files of so many."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return min((soft - 200) // 2, 20_000)


def _nginx(place: Path, port: int, back_end: int) -> Path:
    file = place / "nginx-stream.conf"
    file.write_text(
        f"""load_module {_STREAM_MODULE};
daemon off; worker_processes 1; pid {place}/nginx-stream.pid; error_log {place}/nginx-error.log;
events {{ worker_connections 25000; }}
stream {{
  access_log off;
  server {{
    listen 127.0.0.1:{port} ssl backlog=4096;
    ssl_certificate {place}/server.pem; ssl_certificate_key {place}/server.key;
    ssl_client_certificate {place}/clients-ca.pem; ssl_verify_client on; ssl_verify_depth 2;
    ssl_protocols TLSv1.3; ssl_session_cache off; ssl_session_tickets off; ssl_ecdh_curve X25519;
    proxy_pass 127.0.0.1:{back_end}; proxy_timeout 600s;
  }}
}}
"""
    )
    return file
