"""A session to resume, as a client keeps it: what Python's users hold in `SSLSocket.session` and give back."""

import weakref
from typing import Any

from dnsbound._native import Config
from dnsbound.tls.errors import TLSMisuse


class Session:
    """One ticket's session. It resumes with the Context and the host name it came from, and nowhere else: the peer of
    a resumed session is not authenticated again. A Context whose settings have changed since makes a full handshake."""

    __slots__ = ("__weakref__", "_config", "_context", "octets", "server_hostname")

    has_ticket = True

    def __init__(self, octets: bytes, *, context: Any, config: Config, server_hostname: str | None) -> None:  # noqa: ANN401 (SSLContext)
        self.octets = octets
        self.server_hostname = server_hostname
        self._context = weakref.ref(context)
        self._config = config

    def octets_for(self, *, context: object, config: Config, server_hostname: str | None) -> bytes | None:
        """The session, or None when it must not be resumed now; TLSMisuse when it is another context's or host's."""
        if self._context() is not context:
            raise TLSMisuse("Session refers to a different SSLContext.")
        if self.server_hostname != server_hostname:
            raise TLSMisuse("Session refers to a different host name.")
        return self.octets if self._config is config else None

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Session) and other.octets == self.octets

    def __hash__(self) -> int:
        return hash(self.octets)


def session_octets(session: object, *, context: object, config: Config, server_hostname: str | None) -> bytes | None:
    """What a new connection is given of a caller's session; TLSMisuse for what is none of ours."""
    if session is None:
        return None
    if not isinstance(session, Session):
        raise TLSMisuse("Value is not a session of a dnsbound Context.")
    return session.octets_for(context=context, config=config, server_hostname=server_hostname)
