"""A software TPM 2.0 of its own for the tests here, behind tpm2-pkcs11, all as ordinary processes on the loopback."""

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from dnsbound.edge.pkcs11_keys import Pkcs11Key
from interop.tokens import PIN, SO_PIN, TestToken

MODULES = ("/usr/lib/x86_64-linux-gnu/libtpm2_pkcs11.so.1", "/usr/lib64/pkcs11/libtpm2_pkcs11.so")
PROGRAMS = ("swtpm", "pkcs11-tool")
PATIENCE = 60


def adjacent_ports() -> int:
    """The library finds the TPM's control port one above its command port."""
    for _ in range(100):
        with socket.socket() as first, socket.socket() as second:
            try:
                first.bind(("127.0.0.1", 0))
                second.bind(("127.0.0.1", first.getsockname()[1] + 1))
            except (OSError, OverflowError):
                continue
            port: int = first.getsockname()[1]
            return port
    raise AssertionError("no two free ports beside each other")


def answers(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True


@contextmanager
def software_tpm(directory: Path) -> Iterator[int]:
    port = adjacent_ports()
    process = subprocess.Popen(
        [
            *("swtpm", "socket", "--tpm2", "--tpmstate", f"dir={directory}"),
            *("--server", f"type=tcp,port={port},bindaddr=127.0.0.1"),
            *("--ctrl", f"type=tcp,port={port + 1},bindaddr=127.0.0.1"),
            *("--flags", "not-need-init,startup-clear"),
        ]
    )
    try:
        end = time.monotonic() + PATIENCE
        while not answers(port + 1):
            assert process.poll() is None
            assert time.monotonic() < end
            time.sleep(0.05)
        yield port
    finally:
        process.terminate()
        process.wait(PATIENCE)


def tool(module: str, *arguments: str) -> None:
    subprocess.run(["pkcs11-tool", "--module", module, *arguments], check=True, capture_output=True, timeout=PATIENCE)


@pytest.fixture(scope="session")
def token(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestToken]:
    for program in PROGRAMS:
        if shutil.which(program) is None:
            pytest.skip(f"peer not installed: {program}")
    module = next((path for path in MODULES if Path(path).exists()), None)
    if module is None:
        pytest.skip("peer not installed: tpm2-pkcs11")
    state, store = tmp_path_factory.mktemp("tpm"), tmp_path_factory.mktemp("tpm-store")
    with software_tpm(state) as port:
        # The module reads its environment once, when this process loads it.
        os.environ["TPM2_PKCS11_TCTI"] = f"swtpm:host=127.0.0.1,port={port}"
        os.environ["TPM2_PKCS11_STORE"] = str(store)
        tool(module, "--init-token", "--label", "plant", "--so-pin", SO_PIN)
        login = ("--login", "--login-type", "so", "--so-pin", SO_PIN)
        tool(module, "--token-label", "plant", *login, "--init-pin", "--new-pin", PIN)
        pin_file = store / "pin"
        pin_file.touch(mode=0o600)
        pin_file.write_text(PIN)
        yield TestToken(label="plant", module=module, pin_file=pin_file)


@pytest.fixture(scope="session")
def key(token: TestToken) -> Pkcs11Key:
    """The one key of the session: a TPM without a resource manager holds few objects at a time."""
    return Pkcs11Key.make(token.uri("car54"))
