"""Logging in to a real sshd whose keys are a file, beside the same sshd that asks the verify service for each key.

The same key, host key and account, logins taken in turn, one at a time, `true` as the command. The service has its
evidence in its cache, and is asked by curl as `dnsbound config openssh` prints it; sshd asks twice for a login unless
the client signs at once. What is added is the difference of the medians.
"""

import getpass
import os
import pwd
import subprocess
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from bench.gate_servers import own_command
from bench.measured_process import MeasuredProcess, free_port
from bench.peer_missing import PeerMissing, require
from bench.table import Table
from dnsbound.credential.ssh_key import SshKey
from dnsbound.testing import World
from dnsbound.testing.organisation import Device

NAME = "alice._user.cars.example"
FILE = "sshd, AuthorizedKeysFile"
OURS = "sshd, AuthorizedKeysCommand: curl to the verify service"
CURL = "/usr/bin/curl -sf --max-time 10 --unix-socket {socket} -G"
QUERY = "--data-urlencode account=%u --data-urlencode type=%t --data-urlencode key=%k"
SSHD = "/usr/sbin/sshd"
_OPTIONS = (
    *("-F", "none", "-o", "BatchMode=yes", "-o", "IdentitiesOnly=yes", "-o", "IdentityAgent=none"),
    *("-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null", "-o", "LogLevel=ERROR"),
)


def measure(logins: int) -> Table:
    """Milliseconds of wall clock from the start of ssh to its end."""
    for program in ("ssh", "ssh-keygen", "curl"):
        require(program, package="openssh-client, curl")
    if os.geteuid() != 0 or not Path(SSHD).exists():
        raise PeerMissing("sshd that changes users needs root (Debian package openssh-server)")
    seconds: dict[str, list[float]] = {FILE: [], OURS: []}
    with tempfile.TemporaryDirectory(prefix="bench-", dir="/root") as directory, World() as world, ExitStack() as held:
        place = Path(directory)
        # sshd looks at every directory above a file with keys.
        place.chmod(0o755)
        user = world.organisation("cars.example").identity("alice._user")
        key = _write_key(place, user)
        socket = Path("/run") / f"dnsbound-bench-{os.getpid()}.sock"
        held.callback(socket.unlink, missing_ok=True)
        service = _service(place, world, socket)
        held.enter_context(MeasuredProcess(service, port=socket, log=place / "authz.log"))
        asked = f"AuthorizedKeysCommand {CURL.format(socket=socket)} {QUERY} http://localhost/ssh/authorized-keys\n"
        ways = {
            FILE: f"AuthorizedKeysFile {place / 'authorized_keys'}\n",
            OURS: f"AuthorizedKeysFile none\n{asked}AuthorizedKeysCommandUser nobody\n",
        }
        ports = {label: _sshd(held, place, label, lines) for label, lines in ways.items()}
        for port in ports.values():
            _login(port, key)
        for _ in range(logins):
            for label, port in ports.items():
                seconds[label].append(_login(port, key))
    return _table(seconds)


def _table(seconds: dict[str, list[float]]) -> Table:
    table = Table("Logging in by SSH", ["server", "p50, ms", "p99, ms", "added, p50, ms", "ratio"])
    base = _quantile(seconds[FILE], 0.5)
    for label, each in seconds.items():
        middle = _quantile(each, 0.5)
        cells = (middle * 1e3, _quantile(each, 0.99) * 1e3, (middle - base) * 1e3)
        table.row(label, *(f"{cell:.1f}" for cell in cells), f"{middle / base:.2f}")
    return table


def _quantile(values: list[float], share: float) -> float:
    return sorted(values)[min(len(values) - 1, int(share * len(values)))]


def _login(port: int, key: Path) -> float:
    command = ["ssh", *_OPTIONS, "-i", str(key), "-p", str(port), "-l", getpass.getuser(), "127.0.0.1", "true"]
    began = time.perf_counter()
    subprocess.run(command, stdin=subprocess.DEVNULL, timeout=30, check=True)
    return time.perf_counter() - began


def _write_key(place: Path, user: Device) -> Path:
    assert user.credential.private_key is not None
    key = place / "key"
    key.touch(0o600)
    key.write_bytes(user.credential.private_key.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption()))
    (place / "authorized_keys").write_text(f"{SshKey.from_spki(user.credential.spki).to_text()}\n")
    made = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(place / "host")]
    subprocess.run(made, stdin=subprocess.DEVNULL, timeout=30, check=True)
    Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)
    return key


def _sshd(held: ExitStack, place: Path, label: str, lines: str) -> int:
    port, file = free_port(), place / f"sshd-{len(label)}"
    file.write_text(
        f"Port {port}\nListenAddress 127.0.0.1\nHostKey {place / 'host'}\nPidFile none\nUsePAM no\n"
        f"PasswordAuthentication no\nKbdInteractiveAuthentication no\nPermitRootLogin yes\nLogLevel ERROR\n{lines}"
    )
    held.enter_context(MeasuredProcess([SSHD, "-D", "-e", "-f", str(file)], port=port, log=place / "sshd.log"))
    return port


def _service(place: Path, world: World, socket: Path) -> list[str]:
    (place / "anchors.txt").write_text(world.anchors_text)
    account = pwd.getpwuid(os.geteuid()).pw_name
    (place / "access.toml").write_text(
        f'[door.ssh]\nallow = [{{ names = ["{NAME}"], grants = {{ ssh_accounts = ["{account}"] }} }}]\n'
    )
    (place / "authz.toml").write_text(
        f"""[server]
access = "access.toml"
workers = 1
[front.sshd]
protocol = "ssh"
listen = "unix:{socket}"
users = ["nobody"]
door = "ssh"
claim_from = ["stated"]
"""
    )
    return own_command(place, world, "serve", "authz", "--config", str(place / "authz.toml"))
