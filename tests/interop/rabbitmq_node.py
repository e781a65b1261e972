"""A RabbitMQ node of a test's own, as its own user where a test may start one."""

import os
import signal
import subprocess
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

from interop.daemon import Daemon, free_port, program, started

START: Final = 60.0
SERVER: Final = Path("/usr/lib/rabbitmq/bin/rabbitmq-server")
PLUGINS: Final = ("rabbitmq_mqtt", "rabbitmq_trust_store", "rabbitmq_auth_backend_http", "rabbitmq_auth_mechanism_ssl")
_AS_USER: Final = ("setpriv", "--reuid=rabbitmq", "--regid=rabbitmq", "--clear-groups")


class rabbitmq:  # noqa: N801 (a context manager)
    """A node with a port mapper of its own, which ends with it."""

    def __init__(self, place: Path, conf: str, *, plugins: Sequence[str] = PLUGINS) -> None:
        """place: where its user may go."""
        home = place / "rabbit"
        for part in ("", "mnesia", "log"):
            (home / part).mkdir(exist_ok=True)
        (home / "enabled_plugins").write_text(f"[{','.join(plugins)}].")
        (home / "rabbitmq.conf").write_text(conf)
        self._as_user = () if os.geteuid() else _AS_USER
        if self._as_user:
            subprocess.run(["chown", "-R", "rabbitmq:rabbitmq", str(home)], check=True)
        self._epmd_port, self._home = free_port(), home
        self._environment = {
            **os.environ,
            "RABBITMQ_NODENAME": f"t{os.getpid()}@localhost",
            "RABBITMQ_CONFIG_FILE": str(home / "rabbitmq.conf"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(home / "enabled_plugins"),
            "RABBITMQ_MNESIA_BASE": str(home / "mnesia"),
            "RABBITMQ_LOG_BASE": str(home / "log"),
            "RABBITMQ_PID_FILE": str(home / "pid"),
            "RABBITMQ_DIST_PORT": str(free_port()),
            "ERL_EPMD_ADDRESS": "127.0.0.1",
            "ERL_EPMD_PORT": str(self._epmd_port),
            "HOME": str(home),
        }

    def __enter__(self) -> Daemon:
        mapper = [*self._as_user, program("epmd"), "-port", str(self._epmd_port)]
        self._epmd = started(mapper, self._home / "epmd.log", env=self._environment)
        self._epmd.__enter__()
        node = [*self._as_user, str(SERVER)]
        self._node = started(node, self._home / "node.log", env=self._environment)
        daemon = self._node.__enter__()
        try:
            daemon.wait_for(lambda: "completed with" in daemon.log.read_text(), "it starts", seconds=START)
        except BaseException:
            self.__exit__()
            raise
        return daemon

    def __exit__(self, *_exc: object) -> None:
        with suppress(OSError, ValueError):
            os.kill(int((self._home / "pid").read_text()), signal.SIGTERM)
        self._node.__exit__(None, None, None)
        self._epmd.__exit__(None, None, None)
