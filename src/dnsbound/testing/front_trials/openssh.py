"""sshd around its snippet, and clients that log in to this user's own account."""

import contextlib
import os
import pwd
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)

from dnsbound.adapters.fronts import openssh
from dnsbound.adapters.fronts.installed import found
from dnsbound.errors import PeerError
from dnsbound.testing.front_trials.clients import SECONDS
from dnsbound.testing.front_trials.running import Around, Running, ServerTrial
from dnsbound.testing.front_trials.service_clients import Attempt, Seen

_ACCOUNT: Final = pwd.getpwuid(os.geteuid()).pw_name
_PRIVILEGES: Final = Path("/run/sshd")
"""Where sshd's unprivileged half lives. The package's service makes it at each start."""


def _around(program: str, place: Path, files: Sequence[Path]) -> Around:
    keygen = found("ssh-keygen")
    if keygen is None or found("ssh") is None or found("curl") is None:
        raise PeerError("ssh, ssh-keygen or curl is not installed")
    if os.geteuid() == 0:
        _PRIVILEGES.mkdir(mode=0o755, exist_ok=True)
    host = place / "host"
    if not host.exists():
        made = [keygen, "-q", "-t", "ed25519", "-N", "", "-f", str(host)]
        subprocess.run(made, stdin=subprocess.DEVNULL, timeout=SECONDS, check=True)  # noqa: S603 (made here)
    text = f"""\
Include {files[0]}
HostKey {host}
PidFile none
UsePAM no
PermitRootLogin yes
LogLevel VERBOSE
"""
    return Around(command=[program, "-D", "-e", "-f", f"{place}/sshd_config"], files={"sshd_config": text})


def _asks(running: Running, attempt: Attempt) -> Seen:
    """One login. The session shows the key by which it came in; whose key that is, is what is told."""
    options = {
        "BatchMode": "yes",
        "IdentitiesOnly": "yes",
        "IdentityAgent": "none",
        "UserKnownHostsFile": "/dev/null",
        "GlobalKnownHostsFile": "/dev/null",
        "StrictHostKeyChecking": "no",
        "LogLevel": "ERROR",
    }
    command = [str(found("ssh")), "-F", "none", "-p", str(running.way.port), "-l", _ACCOUNT]
    command += [word for name, value in options.items() for word in ("-o", f"{name}={value}")]
    public = ""
    with contextlib.ExitStack() as held:
        if attempt.credential is not None:
            key, public = _ssh_key(attempt.credential)
            held.callback(key.unlink)
            command += ["-i", str(key)]
        try:
            done = subprocess.run(  # noqa: S603 (made here)
                [*command, "127.0.0.1", "cat $SSH_USER_AUTH"],
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                timeout=SECONDS,
                check=False,
            )
        except subprocess.TimeoutExpired:
            return Seen(words="no answer")
    if done.returncode:
        return Seen(words=done.stderr.strip().replace("\n", "; "))
    return Seen(words="in", name=attempt.name if public and done.stdout.strip() == f"publickey {public}" else "nobody")


def _ssh_key(credential: Path) -> tuple[Path, str]:
    """A file with the credential's key as ssh reads it, and its public key in ssh's words."""
    key = load_pem_private_key(credential.read_bytes(), None)
    octets = key.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption())
    path = credential.with_suffix(".ssh")
    path.touch(0o600)
    path.write_bytes(octets)
    return path, key.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode()


TRIAL: Final = ServerTrial(
    snippet=openssh.SNIPPET,
    kind="service",
    around=_around,
    starts_as_root=True,
    grants=f'{{ ssh_accounts = ["{_ACCOUNT}"] }}',
    asks=_asks,
    over_tls=False,
    names_itself=False,
)
