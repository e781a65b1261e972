"""What is tried of every front end of TCP services: who reaches the back end, and what that is told."""

import secrets
import ssl
from collections.abc import Iterator
from pathlib import Path

from dnsbound.testing.front_trials.clients import TLS_1_2, TLS_1_3, Came, context, line
from dnsbound.testing.front_trials.outcome import Outcome
from dnsbound.testing.front_trials.programs import eventually
from dnsbound.testing.front_trials.running import Running
from dnsbound.testing.front_trials.stage import REVOKED_SECONDS


class TcpTrial:
    """Everything that is tried of one running server. The back end speaks first, as mail servers do."""

    def __init__(self, running: Running) -> None:
        self._running = running
        self._stage = running.stage
        self._way = running.way
        self._right: Path = self._stage.client_file(self._stage.right.credential)

    def run(self) -> Iterator[Outcome]:
        stage = self._stage
        yield self.comes_in("the right client", self._right)
        yield self.comes_in("the right client over TLS 1.2", self._right, version=TLS_1_2)
        yield self.stays_out("a client that is not on the access list", stage.client_file(stage.stranger.credential))
        yield self.stays_out("a client without a certificate", None)
        yield self.stays_out("another key under the right name", stage.client_file(stage.impostor()))
        yield from self.revoked()
        yield from self.unverified()

    def comes_in(
        self, what: str, credential: Path | None, *, name: str | None = None, version: ssl.TLSVersion = TLS_1_3
    ) -> Outcome:
        """Its line reaches the back end, behind a PROXY header with its name where the server sends one."""
        key, came = self._asked(credential, version=version)
        arrived = self._stage.back_end.arrived(key)
        name = name or self._stage.right.name.text
        if arrived is None or came.status != 1:
            return Outcome(what=what, expected="in", came=f"out ({came.words})", passed=False)
        if not self._running.trial.tells_name:
            return Outcome(what=what, expected="in", came="in", passed=True)
        told = name.encode() in arrived.proxy_header
        words = f"in, as {name}" if told else f"in, but the PROXY header says {arrived.proxy_header!r}"
        return Outcome(what=what, expected=f"in, as {name}", came=words, passed=told)

    def stays_out(self, what: str, credential: Path | None, *, version: ssl.TLSVersion = TLS_1_3) -> Outcome:
        """Nothing of it reaches the back end, and nothing of the back end it."""
        key, came = self._asked(credential, version=version)
        arrived = self._stage.back_end.arrived(key) is not None
        where = "in" if arrived else "out" if came.status is None else "out, but greeted by the back end"
        passed = not arrived and came.status is None
        return Outcome(what=what, expected="out", came=f"{where} ({came.words})", passed=passed)

    def revoked(self) -> Iterator[Outcome]:
        """A client that comes in until its record is gone."""
        leaving = self._stage.client_file(self._stage.leaving.credential)
        yield self.comes_in("a client before its record is removed", leaving, name=self._stage.leaving.name.text)
        self._stage.leaving.revoke()
        eventually(lambda: not self._is_in(leaving), REVOKED_SECONDS)
        yield self.stays_out("the same after its record is removed", leaving)

    def unverified(self) -> Iterator[Outcome]:
        """Without the verify service nobody comes in; with it again, all do."""
        self._stage.stop_verifier()
        yield self.stays_out("the right client while the verify service is down", self._right)
        self._stage.start_verifier(self._running.trial.snippet, self._running.settings)
        back = eventually(lambda: self._is_in(self._right), REVOKED_SECONDS)
        words = "in" if back else "out"
        yield Outcome(what="the right client once it is up again", expected="in", came=words, passed=back)

    def _is_in(self, credential: Path) -> bool:
        key, _ = self._asked(credential)
        return self._stage.back_end.arrived(key) is not None

    def _asked(self, credential: Path | None, *, version: ssl.TLSVersion = TLS_1_3) -> tuple[str, Came]:
        key = secrets.token_hex(8)
        speaks = self._running.trial.waits_for_client
        return key, line(self._way, context(self._way, credential, version), key, speaks_first=speaks)
