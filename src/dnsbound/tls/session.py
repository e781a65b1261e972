"""A session to resume, as a client keeps it: what Python's users hold in `SSLSocket.session` and give back."""

import weakref
from typing import Any

from dnsbound.tls.errors import TLSMisuse


class Session:
    """One ticket's session. It resumes with the Context and the host name it came from, and nowhere else: the peer of
    a resumed session is not authenticated again."""

    __slots__ = ("__weakref__", "_context", "octets", "server_hostname")

    def __init__(self, *, octets: bytes, server_hostname: str | None, context: Any) -> None:  # noqa: ANN401 (SSLContext)
        self.octets = octets
        self.server_hostname = server_hostname
        self._context = weakref.ref(context)

    has_ticket = True

    def octets_for(self, context: object, server_hostname: str | None) -> bytes:
        """The session, when it belongs to this context and host; TLSMisuse otherwise."""
        if self._context() is not context:
            raise TLSMisuse("Session refers to a different SSLContext.")
        if self.server_hostname != server_hostname:
            raise TLSMisuse("Session refers to a different host name.")
        return self.octets

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Session) and other.octets == self.octets

    def __hash__(self) -> int:
        return hash(self.octets)
