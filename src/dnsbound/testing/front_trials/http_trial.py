"""What is tried of every HTTP front end: who comes in, who does not, and what the back end is told."""

import secrets
import ssl
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final
from urllib.parse import quote

from dnsbound.adapters.fronts.asking import IDENTITY, forged_spellings
from dnsbound.protocols.identity_headers import DOOR, NAME, is_identity_header
from dnsbound.testing.front_trials.clients import TLS_1_2, TLS_1_3, Came, Way, context, request
from dnsbound.testing.front_trials.outcome import Outcome
from dnsbound.testing.front_trials.programs import eventually
from dnsbound.testing.front_trials.running import Running
from dnsbound.testing.front_trials.stage import REVOKED_SECONDS

BODY: Final = b"one=1&two=2"


class HttpTrial:
    """Everything that is tried of one running server, in an order that ends with the verify service gone."""

    def __init__(self, running: Running) -> None:
        self._running = running
        self._stage = running.stage
        self._way: Way = running.way
        self._right: Path = self._stage.client_file(self._stage.right.credential)

    def run(self) -> Iterator[Outcome]:
        stage = self._stage
        stranger = stage.client_file(stage.stranger.credential)
        yield self.comes_in("the right client", self._right)
        yield self.comes_in("the right client over TLS 1.2", self._right, version=TLS_1_2)
        yield self.comes_in("the right client with a body", self._right, body=BODY)
        yield self.stays_out("a client that is not on the access list", stranger)
        yield self.stays_out("a client without a certificate", None)
        yield self.stays_out("another key under the right name", stage.client_file(stage.impostor()))
        yield self.comes_in("the right client, with fields that name another", self._right, fields=self.forged())
        yield self.stays_out("a stranger with the fields of the right client", stranger, fields=self.forged())
        yield self.stays_out("a client without a certificate, with forged ones", None, fields=self.certificates())
        yield from self.revoked()
        yield from self.unverified()

    # --- one request

    def comes_in(
        self,
        what: str,
        credential: Path | None,
        *,
        name: str | None = None,
        version: ssl.TLSVersion = TLS_1_3,
        fields: Iterable[tuple[str, str]] = (),
        body: bytes | None = None,
    ) -> Outcome:
        """The back end sees it, is told its name and door once, and nothing else that could be taken for them."""
        path, came = self._asked(credential, version=version, fields=fields, body=body)
        arrived = self._stage.back_end.arrived(path)
        name = name or self._stage.right.name.text
        if arrived is None:
            return Outcome(what=what, expected="in", came=f"out ({came.words})", passed=False)
        told = sorted((field.lower(), value) for field, value in arrived.fields if is_identity_header(field.encode()))
        strange = [field for field, _ in told if field not in _EXPECTED]
        said = {value for field, value in told if field == NAME.lower()}
        doors = [value for field, value in told if field == DOOR.lower()]
        faults = [
            *([f"status {came.status}"] if came.status != 200 else []),
            *([f"the name told is {', '.join(said) or 'none'}"] if said != {name} else []),
            *([f"the door told is {', '.join(doors) or 'none'}"] if doors != [self._running.settings.door] else []),
            *([f"the client's {', '.join(strange)} came along"] if strange else []),
            *(["a field came twice"] if len({field for field, _ in told}) < len(told) else []),
            *(["the body is another"] if arrived.body != (body or b"") else []),
        ]
        told_words = f"in, as {', '.join(sorted(said))}"
        return Outcome(what=what, expected=f"in, as {name}", came="; ".join(faults) or told_words, passed=not faults)

    def stays_out(
        self,
        what: str,
        credential: Path | None,
        *,
        version: ssl.TLSVersion = TLS_1_3,
        fields: Iterable[tuple[str, str]] = (),
    ) -> Outcome:
        """The back end sees nothing of it, and the client is not told why."""
        path, came = self._asked(credential, version=version, fields=fields)
        if self._stage.back_end.arrived(path) is not None:
            return Outcome(what=what, expected="out", came=f"in ({came.words})", passed=False)
        told = [field for field, _ in came.fields if is_identity_header(field.encode())]
        words = f"out ({came.words})" if not told else f"out, and told {', '.join(told)}"
        return Outcome(what=what, expected="out", came=words, passed=not told and came.status != 200)

    def is_in(self, credential: Path) -> bool:
        """Whether the back end sees a request of this client now."""
        path, _ = self._asked(credential)
        return self._stage.back_end.arrived(path) is not None

    # --- what takes time

    def revoked(self) -> Iterator[Outcome]:
        """A client that comes in until its record is gone."""
        leaving = self._stage.client_file(self._stage.leaving.credential)
        yield self.comes_in("a client before its record is removed", leaving, name=self._stage.leaving.name.text)
        self._stage.leaving.revoke()
        eventually(lambda: not self.is_in(leaving), REVOKED_SECONDS)
        yield self.stays_out("the same after its record is removed", leaving)

    def unverified(self) -> Iterator[Outcome]:
        """Without the verify service nobody comes in; with it again, all do."""
        self._stage.stop_verifier()
        yield self.stays_out("the right client while the verify service is down", self._right)
        self._stage.start_verifier(self._running.trial.snippet, self._running.settings)
        back = eventually(lambda: self.is_in(self._right), REVOKED_SECONDS)
        words = "in" if back else "out"
        yield Outcome(what="the right client once it is up again", expected="in", came=words, passed=back)

    # --- forgeries

    def forged(self) -> list[tuple[str, str]]:
        """Every field that tells who a client is, in every spelling, with another client's name."""
        return [(field, FORGED) for field in (*IDENTITY, *forged_spellings(), *_ODD_SPELLINGS)]

    def certificates(self) -> list[tuple[str, str]]:
        """The right client's certificate in the fields by which front ends hand certificates on."""
        pem = self._stage.certificate_pem(self._stage.right)
        body = "".join(pem.splitlines()[1:-1])
        escaped = quote(pem, safe="")
        return [
            *((field, escaped) for field in ("X-Client-Cert", "X-SSL-Client-Cert", "X_Client_Cert")),
            ("Client-Cert", f":{body}:"),
            ("X-Forwarded-Client-Cert", f'Cert="{escaped}"'),
        ]

    def _asked(
        self,
        credential: Path | None,
        *,
        version: ssl.TLSVersion = TLS_1_3,
        fields: Iterable[tuple[str, str]] = (),
        body: bytes | None = None,
    ) -> tuple[str, Came]:
        path = f"/trial/{secrets.token_hex(8)}"
        tls = context(self._way, credential, version)
        return path, request(self._way, tls, path, fields=fields, body=body)


FORGED: Final = "car66._device.cars.example"
_ODD_SPELLINGS: Final = ("dnsbound-name", "DNSBOUND_NAME", "Dnsbound.Name", "Dnsbound~Name")
_EXPECTED: Final = frozenset(field.lower() for field in IDENTITY)
