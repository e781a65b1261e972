"""Running the program: as a process where exit codes and streams are the point, inside this one for the rest."""

import io
import os
import socket
import subprocess
import sys
from dataclasses import dataclass

import pytest

from dnsbound.cli.app import run
from dnsbound.testing.world import World

PROGRAM = (sys.executable, "-c", "from dnsbound.cli import main; main()")


@dataclass(frozen=True)
class Ran:
    code: int
    out: str
    err: str

    @property
    def lines(self):
        return self.out.splitlines()


@pytest.fixture(autouse=True)
def own_environment(tmp_path, monkeypatch):
    """Nothing of this machine's configuration, and a directory of the test's own as the current one."""
    for name in [name for name in os.environ if name.startswith(("DNSBOUND_", "XDG_"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "share"))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("DNSBOUND_RUNTIME", str(tmp_path / "runtime"))
    monkeypatch.setenv("DNSBOUND_ACTOR", "operations")
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "200")
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")


@pytest.fixture
def dnsbound(capsys, monkeypatch):
    """Run a command in this process."""

    def ran(*arguments, stdin=b""):
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin)))
        capsys.readouterr()
        code = run([str(argument) for argument in arguments])
        streams = capsys.readouterr()
        return Ran(code, streams.out, streams.err)

    return ran


@pytest.fixture
def program():
    """Run a command as a process of its own."""

    def ran(*arguments, stdin=b"", timeout=60, **options):
        done = subprocess.run(
            [*PROGRAM, *map(str, arguments)], input=stdin, capture_output=True, timeout=timeout, check=False, **options
        )
        return Ran(done.returncode, done.stdout.decode(), done.stderr.decode())

    return ran


@pytest.fixture(scope="module")
def internet():
    """One World for the tests of a module."""
    with World() as world:
        yield world


@pytest.fixture
def in_world(internet, monkeypatch):
    """Commands of this test ask World and trust its root."""
    for name, value in internet.trust_env().items():
        monkeypatch.setenv(name, value)
    return internet


@pytest.fixture
def closed_port():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]
