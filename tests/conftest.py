"""What every test may ask for."""

import os
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import settings

if TYPE_CHECKING:
    from interop.postgres import Postgres

# The ordinary run is the same every time; `HYPOTHESIS_PROFILE=searching` looks for examples not tried before.
settings.register_profile("repeatable", derandomize=True)
settings.register_profile("searching", print_blob=True)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "repeatable"))


if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # A script's background ignores Ctrl-C, and so would every program that is started here and then interrupted.
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session", autouse=True)
def _runtime_of_tests(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Boards of the servers that tests start are nobody else's."""
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("DNSBOUND_RUNTIME", str(tmp_path_factory.mktemp("runtime")))
        yield


UNPACKAGED = frozenset({"estclient"})
"""Peers that no Debian package brings: `tools/install-peers` builds them where it can, and they are never required."""


def places() -> str:
    """Where real peers are looked for: also where Debian puts what is no command of everybody's."""
    versions = sorted(map(str, Path("/usr/lib/postgresql").glob("*/bin")), reverse=True)
    return ":".join([os.environ.get("PATH", ""), "/usr/sbin", "/sbin", *versions])


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip tests whose real peer is absent; fail them where peers are required."""
    for mark in item.iter_markers("peer"):
        for program in mark.args:
            if shutil.which(program, path=places()) is None:
                reason = f"peer not installed: {program}"
                if os.environ.get("DNSBOUND_REQUIRE_PEERS") and program not in UNPACKAGED:
                    pytest.fail(reason)
                pytest.skip(reason)


@pytest.fixture(scope="session")
def postgresql_server() -> Iterator["Postgres"]:
    """A PostgreSQL server for the whole run of one process. Tests that ask for it are marked peer("postgres")."""
    from interop.postgres import postgres

    with postgres() as server:
        yield server


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.peer("postgres"))])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """An empty inventory for `Inventory.open(create=True)`: a path, and the URL of a database."""
    if request.param == "sqlite":
        return str(tmp_path / "store" / "inventory.db")
    server: Postgres = request.getfixturevalue("postgresql_server")
    return server.inventory()


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.peer("postgres"))])
def accounting_place(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Where an accounting database can be made: a path, and the URL of an empty database."""
    if request.param == "sqlite":
        return str(tmp_path / "store" / "radius.db")
    server: Postgres = request.getfixturevalue("postgresql_server")
    return server.database()
