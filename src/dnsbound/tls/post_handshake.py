"""Post-handshake authentication at the server's end (RFC 9846 section 4.7.2): ask a client of an open connection for a
certificate, and make a claim of its answer.

Only where it is allowed: not in HTTP/2 and HTTP/3 (RFC 9113 section 9.2.3, RFC 9001 section 4.4), not in TLS 1.2, not
to a client that did not offer it, and not unless the Context says so, which one for EAP-TLS never may (RFC 9190 section
2.1); TS-04. What the client shows then is kept apart by the engine until the verdict. TLS has room for several requests
at once; the engine, and so this, for one.

Raw public keys: the certificate type is agreed on in the handshake. A client that offers both raw keys and
post-handshake authentication may show its raw key late; it cannot be newly agreed on.
"""

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import Final

from dnsbound._native import Connection, TlsError
from dnsbound.credential.presented import Presented
from dnsbound.errors import Reason, Refused
from dnsbound.tls.errors import TLSMisuse, handshake_error
from dnsbound.tls.handshake_claim import ClaimRules
from dnsbound.tls.late_claim import PROVED_AFTER_HANDSHAKE, late_claim
from dnsbound.verify.claim import Claim

FORBIDDEN_IN: Final = frozenset({b"h2", b"h3"})
"""Protocols, by ALPN, in which no certificate may be asked for after the handshake."""


class LateStage(StrEnum):
    """Where a late request stands."""

    QUIET = "quiet"
    ASKED = "asked"
    JUDGING = "judging"
    """The answer is here, and its signature and Finished are right."""


class LateEvent(StrEnum):
    """What happens to it."""

    ASK = "ask"
    ANSWER = "answer"
    SETTLE = "settle"


TRANSITIONS: Final[Mapping[tuple[LateStage, LateEvent], LateStage]] = MappingProxyType(
    {
        (LateStage.QUIET, LateEvent.ASK): LateStage.ASKED,
        (LateStage.ASKED, LateEvent.ANSWER): LateStage.JUDGING,
        (LateStage.JUDGING, LateEvent.SETTLE): LateStage.QUIET,
    }
)
"""A pair that is absent is an error."""


class PostHandshake:
    """One connection's. allowed: the Context says so. rules: of the door; None where there is none."""

    __slots__ = ("_allowed", "_connection", "_rules", "_stage")

    def __init__(self, connection: Connection, *, allowed: bool, rules: ClaimRules | None) -> None:
        self._connection = connection
        self._allowed = allowed
        self._rules = rules
        self._stage = LateStage.QUIET

    @property
    def stage(self) -> LateStage:
        """As far as the engine has read."""
        if self._stage is LateStage.ASKED and not self._connection.late_answer_awaited():
            self._go(LateEvent.ANSWER)
        return self._stage

    def ask(self) -> None:
        """Send the request. TLSMisuse where it is not allowed or one is open; TLSPeerError with EXTENSION_NOT_RECEIVED
        where the client did not offer, WRONG_SSL_VERSION in TLS 1.2. Either leaves the connection as it was."""
        if not self._allowed:
            raise TLSMisuse("this Context asks no client after the handshake: make it with post_handshake=True")
        protocol = self._connection.selected_alpn()
        if protocol in FORBIDDEN_IN:
            raise TLSMisuse(f"{protocol.decode()} forbids authentication after the handshake (RFC 9113 section 9.2.3)")
        if (self.stage, LateEvent.ASK) not in TRANSITIONS:
            raise TLSMisuse("the client has been asked already")
        try:
            self._connection.request_client_certificate()
        except TlsError as error:
            raise handshake_error(error) from None
        self._go(LateEvent.ASK)

    def claim(self, *, source: str, protocol: str) -> Claim:
        """What the client's answer claims; Refused with NO_CREDENTIAL when it declined, or as `late_claim`."""
        if self._rules is None:
            raise TLSMisuse("a server without a door makes no claims")
        answer = self._connection.late_answer() if self.stage is LateStage.JUDGING else None
        if answer is None:
            raise TLSMisuse("there is no answer to judge")
        chain, raw_public_key, names = answer
        if not chain and raw_public_key is None:
            raise Refused(Reason.NO_CREDENTIAL, "the client declined to authenticate after the handshake")
        presented = Presented(chain=tuple(chain), raw_public_key=raw_public_key)
        return late_claim(
            presented,
            names,
            self._rules,
            PROVED_AFTER_HANDSHAKE,
            source=source,
            protocol=protocol,
            carried_chain=self._connection.carried_chain(),
        )

    def settle(self, *, accept: bool) -> None:
        """accept: the answer's credential is the connection's from now on; otherwise the one before stays."""
        if (self.stage, LateEvent.SETTLE) not in TRANSITIONS:
            raise TLSMisuse("there is no answer to settle")
        self._connection.settle_late_answer(accept)
        self._go(LateEvent.SETTLE)

    def _go(self, event: LateEvent) -> None:
        self._stage = TRANSITIONS[self._stage, event]
