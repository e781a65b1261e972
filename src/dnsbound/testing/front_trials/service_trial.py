"""What is tried of every server that is itself what clients come for: mail, SSH, SIP, XMPP."""

import ssl
from collections.abc import Iterator
from pathlib import Path

from dnsbound.errors import Misuse
from dnsbound.testing.front_trials.clients import TLS_1_2, TLS_1_3
from dnsbound.testing.front_trials.outcome import Outcome
from dnsbound.testing.front_trials.programs import eventually
from dnsbound.testing.front_trials.running import Running
from dnsbound.testing.front_trials.service_clients import Attempt, Seen
from dnsbound.testing.front_trials.stage import REVOKED_SECONDS


class ServiceTrial:
    """Everything that is tried of one running server, in an order that ends with the verify service gone."""

    def __init__(self, running: Running) -> None:
        self._running = running
        self._stage = running.stage
        self._right: Path = self._stage.client_file(self._stage.right.credential)

    def run(self) -> Iterator[Outcome]:
        stage, trial = self._stage, self._running.trial
        stranger = stage.client_file(stage.stranger.credential)
        yield self.comes_in("the right client", self._right)
        if trial.over_tls:
            yield self.comes_in("the right client over TLS 1.2", self._right, version=TLS_1_2)
        yield self.stays_out("a client that is not on the access list", stranger, name=stage.stranger.name.text)
        yield self.stays_out("a client without a certificate" if trial.over_tls else "a client without a key", None)
        yield self.stays_out("another key under the right name", stage.client_file(stage.impostor()))
        if trial.names_itself:
            yield self.stays_out("a stranger that calls itself by the right name", stranger)
            another = stage.leaving.name.text
            yield self.stays_out("the right client that calls itself by another's name", self._right, name=another)
        if trial.forges:
            forged = stage.stranger.name.text
            yield self.comes_in("the right client, with fields that name another", self._right, forged=forged)
            right = stage.right.name.text
            yield self.stays_out("a stranger with the fields of the right client", stranger, forged=right)
        yield from self.revoked()
        yield from self.unverified()

    def comes_in(
        self,
        what: str,
        credential: Path | None,
        *,
        name: str | None = None,
        version: ssl.TLSVersion = TLS_1_3,
        forged: str = "",
    ) -> Outcome:
        """The service serves it, and knows it by its name."""
        name = name or self._stage.right.name.text
        seen = self._asked(Attempt(credential=credential, name=name, version=version, forged=forged))
        came = f"out ({seen.words})" if seen.name is None else f"in, as {seen.name}"
        return Outcome(what=what, expected=f"in, as {name}", came=came, passed=seen.name == name)

    def stays_out(self, what: str, credential: Path | None, *, name: str | None = None, forged: str = "") -> Outcome:
        """The service serves it nothing."""
        name = name or self._stage.right.name.text
        seen = self._asked(Attempt(credential=credential, name=name, forged=forged))
        came = f"out ({seen.words})" if seen.name is None else f"in, as {seen.name}"
        return Outcome(what=what, expected="out", came=came, passed=seen.name is None)

    def revoked(self) -> Iterator[Outcome]:
        """A client that comes in until its record is gone."""
        device = self._stage.leaving
        leaving, name = self._stage.client_file(device.credential), device.name.text
        yield self.comes_in("a client before its record is removed", leaving, name=name)
        device.revoke()
        eventually(lambda: not self._is_in(leaving, name), REVOKED_SECONDS)
        yield self.stays_out("the same after its record is removed", leaving, name=name)

    def unverified(self) -> Iterator[Outcome]:
        """Without the verify service nobody comes in; with it again, all do."""
        self._stage.stop_verifier()
        yield self.stays_out("the right client while the verify service is down", self._right)
        self._stage.start_verifier(self._running.trial.snippet, self._running.settings)
        back = eventually(lambda: self._is_in(self._right, self._stage.right.name.text), REVOKED_SECONDS)
        words = "in" if back else "out"
        yield Outcome(what="the right client once it is up again", expected="in", came=words, passed=back)

    def _is_in(self, credential: Path, name: str) -> bool:
        return self._asked(Attempt(credential=credential, name=name)).name is not None

    def _asked(self, attempt: Attempt) -> Seen:
        if self._running.trial.asks is None:
            raise Misuse(f"{self._running.trial.snippet.facts.title}: its trial has no client")
        return self._running.trial.asks(self._running, attempt)
