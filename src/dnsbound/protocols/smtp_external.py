"""Who a mail client acts as: its own name, or by SASL EXTERNAL a mailbox that its grant `mailbox` lists.

What this is not: a proof of who it is, which its certificate gave. Sections: RFC 4954 section 4, RFC 4422 appendix A.
"""

from typing import Final

from dnsbound.door_limits import SASL_ATTEMPTS
from dnsbound.errors import Malformed
from dnsbound.limits import Budget
from dnsbound.protocols.gated import GateClient, GateIdentity
from dnsbound.protocols.sasl_external import authorization_identity, granted_texts

MAILBOX_GRANT: Final = "mailbox"
"""The grant that says as which mailboxes, besides its own name, a client may act: a text or a list of them."""


class SmtpExternal:
    """Of one connection. login: whom it acts as; None for a client that nobody knows. done: it has authenticated."""

    __slots__ = ("_attempts", "_client", "done", "login", "offered")

    def __init__(self, client: GateClient, *, offered: bool) -> None:
        """offered: to clients that are known."""
        self._client = client
        self._attempts = Budget(SASL_ATTEMPTS)
        known = isinstance(client, GateIdentity)
        self.offered: Final = offered and known
        self.login = client.name.canonical if isinstance(client, GateIdentity) else None
        self.done = False

    def answer(self, carried: bytes, *, introduced: bool) -> bytes:
        """The reply to a response in base64. introduced: the server knows already whom the client acts as, and is not
        told again. LimitExceeded after too many."""
        self._attempts.spend()
        if carried == b"*":
            return b"501 5.7.0 Authentication cancelled"
        try:
            wanted = authorization_identity(carried)
        except Malformed:
            return b"501 5.5.2 Cannot decode the response"
        if wanted.lower() not in ("", self.login):
            if introduced or wanted not in self._mailboxes():
                return b"535 5.7.8 Authentication credentials invalid"
            self.login = wanted
        self.done = True
        return b"235 2.7.0 Authentication successful"

    def _mailboxes(self) -> tuple[str, ...]:
        grants = self._client.grants if isinstance(self._client, GateIdentity) else {}
        return granted_texts(grants, MAILBOX_GRANT)
