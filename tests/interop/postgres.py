"""A PostgreSQL server of a test's own: its data in a directory of its own, a Unix socket alone, ended by its own id.

The server refuses to run as root; as root it is started as the user `postgres`, as Debian's package makes one.
"""

import contextlib
import itertools
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final
from urllib.parse import quote

import psycopg

from dnsbound.provision.inventory import Inventory
from interop.daemon import eventually

START_SECONDS: Final = 60.0
STOP_SECONDS: Final = 30.0
ROLE: Final = "fleet"
PASSWORD: Final = "pass-%40word"  # one that must be quoted in a URL
_SUPERUSER: Final = "postgres"
_TEMPLATE: Final = "empty_inventory"


class Postgres:
    """A server. `database()` makes an empty database and returns its URL."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.data = directory / "data"
        self.log = directory / "log"
        self._user = _SUPERUSER if os.geteuid() == 0 else None
        found = [*filter(None, [shutil.which("postgres")]), *sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"))]
        self._programs = Path(found[0]).resolve().parent
        self._numbers = itertools.count()
        self._has_template = False
        self.process: subprocess.Popen[bytes] | None = None

    def initialise(self) -> None:
        """A new cluster with one role that may own databases."""
        if self._user is not None:
            account = pwd.getpwnam(self._user)
            os.chown(self.directory, account.pw_uid, account.pw_gid)
        password = self.directory / "password"
        password.write_text(PASSWORD)
        password.chmod(0o644)
        subprocess.run(
            [
                *(self._programs / "initdb", "--pgdata", self.data, "--username", _SUPERUSER, "--pwfile", password),
                *("--auth=scram-sha-256", "--no-sync", "--encoding=UTF8", "--locale=C.UTF-8"),
            ],
            check=True,
            capture_output=True,
            timeout=START_SECONDS,
            user=self._user,
            cwd=self.directory,
        )
        self.start()
        self.run(f"CREATE ROLE {ROLE} LOGIN PASSWORD '{PASSWORD}'")

    def start(self) -> None:
        """Run the server and wait until it answers."""
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [
                    *(self._programs / "postgres", "-D", self.data, "-k", self.directory),
                    *("-c", "listen_addresses=", "-c", "fsync=off", "-c", "max_connections=60"),
                ],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                user=self._user,
                cwd=self.directory,
            )
        eventually(self._answers, START_SECONDS, otherwise=lambda: self.log.read_text(errors="replace")[-4000:])

    def _answers(self) -> bool:
        assert self.process is not None
        assert self.process.poll() is None, self.log.read_text(errors="replace")[-4000:]
        with contextlib.suppress(psycopg.OperationalError), self._superuser():
            return True
        return False

    def stop(self, how: signal.Signals = signal.SIGINT) -> None:
        """End it: SIGINT cuts clients off and shuts down, SIGQUIT is a crash."""
        if self.process is None:
            return
        self.process.send_signal(how)
        try:
            self.process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.send_signal(signal.SIGQUIT)
            self.process.wait(STOP_SECONDS)
        self.process = None

    def run(self, statement: str, database: str = "postgres") -> None:
        """One statement of the superuser's."""
        with self._superuser(database) as connection:
            connection.execute(statement.encode())

    def _superuser(self, database: str = "postgres") -> "psycopg.Connection[tuple[object, ...]]":
        return psycopg.connect(
            host=str(self.directory), user=_SUPERUSER, password=PASSWORD, dbname=database, autocommit=True
        )

    def database(self) -> str:
        """The URL of a new, empty database."""
        name = f"inventory_{next(self._numbers)}"
        self.run(f"CREATE DATABASE {name} OWNER {ROLE}")
        return self.url(name)

    def inventory(self) -> str:
        """The URL of a new, empty inventory: a copy of one that was made once, which is quicker."""
        if not self._has_template:
            self.run(f"CREATE DATABASE {_TEMPLATE} OWNER {ROLE}")
            Inventory.open(self.url(_TEMPLATE), create=True).close()
            self._has_template = True
        name = f"inventory_{next(self._numbers)}"
        self.run(f"CREATE DATABASE {name} OWNER {ROLE} TEMPLATE {_TEMPLATE}")
        return self.url(name)

    def url(self, name: str, *, role: str = ROLE, password: str = PASSWORD) -> str:
        """The URL of a database, whether there is one or not."""
        return f"postgresql://{role}:{quote(password, safe='')}@/{name}?host={quote(str(self.directory))}"


@contextlib.contextmanager
def postgres() -> Iterator[Postgres]:
    """A running server, removed afterwards."""
    # Not below pytest's directory, which the server's user may not enter.
    with tempfile.TemporaryDirectory(prefix="dnsbound-postgres-") as place:
        server = Postgres(Path(place))
        try:
            server.initialise()
            yield server
        finally:
            server.stop()
