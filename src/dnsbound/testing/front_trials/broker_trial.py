"""What is tried of an MQTT broker behind the gate: whose messages come where, and who never reaches the broker.

The broker's own rule is that each client has the topics below `devices/` and its user name: a message that comes back
on such a topic says by which name the broker knows its sender.
"""

import contextlib
import secrets
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import Final

from dnsbound.adapters.fronts.snippet import OverUnix, Settings, Version, access_door
from dnsbound.credential.credential import certificates_to_pem
from dnsbound.errors import PeerError
from dnsbound.testing.front_trials.clients import Way, context
from dnsbound.testing.front_trials.mqtt_client import MqttClient
from dnsbound.testing.front_trials.outcome import Outcome
from dnsbound.testing.front_trials.programs import listens_at, started
from dnsbound.testing.front_trials.running import ServerTrial, written
from dnsbound.testing.front_trials.stage import REVOKED_SECONDS, SERVER_NAME, Stage

_SHORT: Final = 5.0


class BrokerTrial:
    """Everything that is tried of one broker. The stage is open; its verify service is not used."""

    def __init__(self, stage: Stage, trial: ServerTrial, program: str, version: Version | None) -> None:
        self._stage = stage
        self._trial = trial
        self._program = program
        verifier = OverUnix(path=PurePosixPath(stage.place) / "broker.sock", users=(stage.account.name,))
        settings: Settings = replace(stage.settings(trial.snippet, version=version), verifier=verifier)
        certificate, key = self._gate_credential()
        self._settings = replace(settings, certificate=certificate, key=key)
        self._way = Way(port=self._settings.listen.port, server_name=SERVER_NAME, roots=stage.roots)

    def run(self) -> Iterator[Outcome]:
        stage = self._stage
        right, leaving = stage.client_file(stage.right.credential), stage.client_file(stage.leaving.credential)
        name, other = stage.right.name.text, stage.leaving.name.text
        with self._broker() as configuration:
            with self._gate(configuration):
                yield self.comes_in("the right client", right, name)
                yield self.comes_in("the right client, with another's user name", right, name, user=other)
                yield self.keeps_out("the right client, in another's topics", right, leaving, other)
                yield self.keeps_out("the same with the other's user name", right, leaving, other, user=other)
                yield self.stays_out("a client not on the access list", stage.client_file(stage.stranger.credential))
                yield self.stays_out("a client without a certificate", None)
                yield self.stays_out("another key under the right name", stage.client_file(stage.impostor()))
                yield self.stays_out(
                    "the same, with the right user name", stage.client_file(stage.impostor()), user=name
                )
                yield self.cut(leaving, other)
                yield self.stays_out("the same after its record is removed", leaving)
            yield self.stays_out("the right client while the gate is down", right)

    def comes_in(self, what: str, credential: Path, name: str, *, user: str = "") -> Outcome:
        """Its message comes back on the topics of its name."""
        came = self._came(credential, name, user)
        return Outcome(what=what, expected=f"in, as {name}", came=came, passed=came == f"in, as {name}")

    def stays_out(self, what: str, credential: Path | None, *, user: str = "") -> Outcome:
        """No CONNACK says that it may stay."""
        try:
            with self._client(credential, user=user):
                return Outcome(what=what, expected="out", came="in", passed=False)
        except (OSError, PeerError) as error:
            return Outcome(what=what, expected="out", came=f"out ({_words(error)})", passed=True)

    def keeps_out(self, what: str, sender: Path, listener: Path, name: str, *, user: str = "") -> Outcome:
        """What it publishes in another's topics does not come there; the other's own, after it, does."""
        forged, own = secrets.token_hex(8), secrets.token_hex(8)
        with self._client(listener) as hearing:
            hearing.subscribe(f"devices/{name}/#")
            with contextlib.suppress(OSError, PeerError), self._client(sender, user=user) as speaking:
                speaking.publish(f"devices/{name}/forged", forged)
            with self._client(listener) as other:
                other.publish(f"devices/{name}/own", own)
            _, heard = hearing.heard()
        came = "kept out" if heard == own else "let in" if heard == forged else f"heard {heard!r}"
        return Outcome(what=what, expected="kept out", came=came, passed=came == "kept out")

    def cut(self, credential: Path, name: str) -> Outcome:
        """A connection that is there ends when the record goes."""
        what = "a connection whose record is removed"
        before = self._came(credential, name, "")
        if before != f"in, as {name}":
            return Outcome(what=what, expected="cut", came=before, passed=False)
        with self._client(credential) as live:
            self._stage.leaving.revoke()
            came = "cut" if live.ended(REVOKED_SECONDS) else "still there"
        return Outcome(what=what, expected="cut", came=came, passed=came == "cut")

    # --- one client

    def _came(self, credential: Path, name: str, user: str) -> str:
        message = secrets.token_hex(8)
        try:
            with self._client(credential) as hearing, self._client(credential, user=user) as speaking:
                if not hearing.subscribe(f"devices/{name}/#"):
                    return "in, but its own topics are refused"
                speaking.publish(f"devices/{name}/trial", message)
                return f"in, as {name}" if hearing.heard()[1] == message else "in, but another message came"
        except (OSError, PeerError) as error:
            return f"out ({_words(error)})"

    def _client(self, credential: Path | None, *, user: str = "") -> MqttClient:
        tls = context(self._way, credential)
        return MqttClient(self._way, tls, f"trial{secrets.token_hex(4)}", user=user)

    # --- what runs

    def _gate_credential(self) -> tuple[PurePosixPath, PurePosixPath]:
        """Certificates and key in a file each, as this user's, whom the gate runs as."""
        credential = self._stage.world.web_credential(SERVER_NAME, "127.0.0.1")
        certificate, key = self._stage.directory / "gate.crt", self._stage.client_file(credential)
        certificate.write_bytes(certificates_to_pem(credential.chain))
        return PurePosixPath(certificate), PurePosixPath(key)

    @contextlib.contextmanager
    def _broker(self) -> Iterator[Path]:
        """The broker with the snippet's files; where the gate's is."""
        stage, settings = self._stage, self._settings
        paths = [written(stage, file) for file in self._trial.snippet.rendered(settings)]
        around = self._trial.around(self._program, stage.place, paths)
        for name, text in around.files.items():
            path = stage.place / name
            path.write_text(text)
            stage.account.give(path)
        log, title = stage.directory / "server.log", self._trial.snippet.facts.title
        assert isinstance(settings.verifier, OverUnix)
        socket = Path(settings.verifier.path)
        with started(
            around.command, log, account=stage.account, environment=around.environment, directory=stage.place
        ) as server:
            server.wait_until(lambda: listens_at(socket), f"{title} listens")
            yield next(path for path in paths if path.name.endswith("-gate.toml"))

    @contextlib.contextmanager
    def _gate(self, configuration: Path) -> Iterator[None]:
        stage = self._stage
        door = access_door(self._trial.snippet.facts, self._settings).splitlines()[0]
        names = ", ".join(f'"{name}"' for name in stage.admitted)
        (stage.place / "access.toml").write_text(f"{door}\nallow = [{names}]\n")
        command = [sys.executable, "-m", "dnsbound", "gate", "server", "--config", str(configuration), "--json"]
        environment = {**stage.world.trust_env(), "DNSBOUND_RUNTIME": str(stage.directory / "boards")}
        log = stage.directory / "gate.log"
        with started(command, log, environment=environment) as gate:
            gate.wait_until(lambda: b'"gates"' in log.read_bytes(), "the gate listens")
            yield


def _words(error: Exception) -> str:
    return f"{getattr(error, 'reason', None) or error}".lower().replace("_", " ")
