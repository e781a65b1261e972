"""`dnsbound serve authz` as operators run it, beside a server that asks it, on a World.

with authz_processes(place, world, authz=..., access=...) as running:
    ...

`open_place` makes a directory that servers may enter which do not run as root: pytest's own are closed to them.
"""

import json
import os
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from dnsbound.credential.credential import Credential
from dnsbound.testing.world import World
from interop.daemon import Daemon, eventually, started

WAIT: Final = 20.0
SERVE: Final = (sys.executable, "-m", "dnsbound", "serve", "authz", "--json", "--config")


@contextmanager
def open_place() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="dnsbound-interop-") as place:
        path = Path(place)
        path.chmod(0o755)
        yield path


@contextmanager
def authz_processes(place: Path, world: World, *, authz: str, access: str) -> Iterator[Daemon]:
    """authz: authz.toml without its [server]. Its log has every decision."""
    (place / "access.toml").write_text(access)
    (place / "authz.toml").write_text(f'[server]\naccess = "access.toml"\n{authz}')
    env = {**os.environ, **world.trust_env(), "DNSBOUND_RUNTIME": str(place / "runtime")}
    (place / "runtime").mkdir(mode=0o700, exist_ok=True)
    command = [*SERVE, str(place / "authz.toml")]
    with started(command, place / "authz.log", output=place / "authz.out", env=env) as daemon:
        json.loads(daemon.wait_for_line())
        yield daemon


def decisions(daemon: Daemon) -> list[dict[str, object]]:
    """Every verdict so far."""
    lines = daemon.log.read_text().splitlines()
    return [json.loads(line[line.index("{") :]) for line in lines if " dnsbound.decisions INFO {" in line]


def write_pem(place: Path, name: str, credential: Credential) -> tuple[Path, Path]:
    """Certificates and key, which any user may read: they are a test's."""
    assert credential.private_key is not None
    chain, key = place / f"{name}.crt", place / f"{name}.key"
    chain.write_bytes(pem(*credential.chain))
    key.touch(0o600)
    key.write_bytes(credential.private_key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    return chain, key


def pem(*certificates: bytes) -> bytes:
    return b"".join(x509.load_der_x509_certificate(each).public_bytes(Encoding.PEM) for each in certificates)


def becomes(condition: Callable[[], bool], what: str) -> None:
    eventually(condition, WAIT, otherwise=lambda: what)
