"""What is tried of a program that gives others an identity: it goes to a gate, and who it is decides.

The gate stands before a back end as everywhere; the program under trial is started once for each identity.
"""

import contextlib
import secrets
import socket
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import PurePosixPath

from dnsbound.adapters.fronts.snippet import Address, Settings, Version
from dnsbound.credential.credential import Credential
from dnsbound.testing.front_trials.back_ends import GREETING, LINE_ANSWER
from dnsbound.testing.front_trials.outcome import Outcome
from dnsbound.testing.front_trials.programs import eventually, free_port, listens, started
from dnsbound.testing.front_trials.running import ServerTrial, written
from dnsbound.testing.front_trials.stage import REVOKED_SECONDS, SERVER_NAME, Stage

_SECONDS = 20.0


class ClientTrial:
    """Everything that is tried of one program. The stage is open, and its verify service is not used."""

    def __init__(self, stage: Stage, trial: ServerTrial, program: str, version: Version | None) -> None:
        self._stage = stage
        self._trial = trial
        self._program = program
        self._version = version

    def run(self) -> Iterator[Outcome]:
        stage = self._stage
        with self._gate() as port:
            yield self._tried("a program with the right identity", stage.right.credential, port, comes_in=True)
            yield self._tried("one that is not on the access list", stage.stranger.credential, port)
            yield self._tried("one with another key under the right name", stage.impostor(), port)
            yield self._tried("a door of another name", stage.right.credential, port, server="other.api.example")
            leaving = stage.leaving.credential
            yield self._tried("one before its record is removed", leaving, port, comes_in=True)
            stage.leaving.revoke()
            eventually(lambda: not self._arrives(leaving, port, SERVER_NAME), REVOKED_SECONDS)
            yield self._tried("the same after its record is removed", leaving, port)

    def _tried(
        self, what: str, credential: Credential, port: int, *, server: str = SERVER_NAME, comes_in: bool = False
    ) -> Outcome:
        came = "in" if self._arrives(credential, port, server) else "out"
        expected = "in" if comes_in else "out"
        return Outcome(what=what, expected=expected, came=came, passed=came == expected)

    @contextlib.contextmanager
    def _gate(self) -> Iterator[int]:
        both, _ = self._stage.server_files()
        port = free_port()
        command = [sys.executable, "-m", "dnsbound", "gate", "server", "--listen", f"127.0.0.1:{port}"]
        command += ["--target", f"127.0.0.1:{self._stage.back_end.port}", "--credential", str(both)]
        command += [f"--allow-dns={name}" for name in self._stage.admitted]
        environment = {**self._stage.world.trust_env(), "DNSBOUND_RUNTIME": str(self._stage.directory / "boards")}
        with started(command, self._stage.directory / "gate.log", environment=environment) as gate:
            gate.wait_until(lambda: listens(port), "the gate listens")
            yield port

    def _arrives(self, credential: Credential, port: int, server: str) -> bool:
        """Whether a line reaches the back end through the program with this identity, and its answer comes back."""
        settings = self._settings(credential, port, server)
        paths = [written(self._stage, file) for file in self._trial.snippet.rendered(settings)]
        around = self._trial.around(self._program, self._stage.place, paths)
        log = self._stage.directory / "server.log"
        with started(around.command, log, account=self._stage.account, directory=self._stage.place) as running:
            running.wait_until(lambda: listens(settings.listen.port), f"{self._trial.snippet.facts.title} listens")
            key = secrets.token_hex(8)
            answered = _says(settings.listen.port, key)
            return answered and self._stage.back_end.arrived(key) is not None

    def _settings(self, credential: Credential, port: int, server: str) -> Settings:
        file = self._stage.place / "client.pem"
        file.touch(0o600)
        file.write_bytes(credential.to_pem())
        self._stage.account.give(file)
        own = PurePosixPath(file)
        settings = self._stage.settings(self._trial.snippet, version=self._version)
        door = Address(host="127.0.0.1", port=port)
        roots = PurePosixPath(self._stage.roots)
        return replace(settings, server_name=server, certificate=own, key=own, backend=door, roots=roots)


def _says(port: int, key: str) -> bool:
    with (
        contextlib.suppress(OSError),
        socket.create_connection(("127.0.0.1", port), _SECONDS) as plain,
        plain.makefile("rwb", buffering=0) as stream,
    ):
        if stream.readline() == GREETING:
            stream.write(f"{key}\n".encode())
            return bool(stream.readline() == LINE_ANSWER)
    return False
