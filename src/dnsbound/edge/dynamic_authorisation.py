"""Asking an access server to end a session (RFC 5176), over UDP.

Access servers differ in what they know a session by, and refuse a request in which anything does not fit: one attribute
they do not take, or a User-Name that they have otherwise. So a session is named precisely first, then by less, and that
it is gone is believed only when the least demanding request that was understood says so. Class is not among the names:
RFC 5176 section 3 does not count it among them, and hostapd refuses requests that carry it.

What this is not: the decision to end a session, and when to try again (`radius_live`).

Documents: RFC 5176 sections 2.1, 2.3, 3, 3.5.
"""

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Final

from dnsbound.edge.radius_client import UdpRadiusClient
from dnsbound.edge.radius_clients import RadiusClient
from dnsbound.errors import Malformed, Misuse
from dnsbound.iana import ErrorCause, RadiusAttribute, RadiusCode
from dnsbound.protocols.radius_attributes import Attributes
from dnsbound.protocols.radius_dynamic import DynamicAnswer, Meaning, dynamic_attributes
from dnsbound.protocols.radius_exchange import Patience
from dnsbound.times import Moment

PATIENCE: Final = Patience(first=2.0, longest=8.0, times=3, seconds=15.0)
"""For one request; whoever wants the session ended begins again later."""

_SERVER: Final = frozenset(
    {RadiusAttribute.NAS_IP_ADDRESS, RadiusAttribute.NAS_IPV6_ADDRESS, RadiusAttribute.NAS_IDENTIFIER}
)
_USER: Final = frozenset({RadiusAttribute.USER_NAME})
_STATION: Final = frozenset({RadiusAttribute.CALLING_STATION_ID})
_SESSION: Final = frozenset({RadiusAttribute.ACCT_SESSION_ID})
_PRECISE: Final = _USER | _STATION | _SESSION | {RadiusAttribute.CHARGEABLE_USER_IDENTITY}
_PORT: Final = frozenset({RadiusAttribute.NAS_PORT})

_INCONCLUSIVE: Final = frozenset({Meaning.UNSUPPORTED, Meaning.UNROUTABLE})
"""Of the request's form, not of the session."""

_OF_NO_SESSION: Final = frozenset(
    {ErrorCause.UNSUPPORTED_SERVICE, ErrorCause.UNSUPPORTED_EXTENSION, ErrorCause.ADMINISTRATIVELY_PROHIBITED}
)
"""Whatever session is named, and however."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reach:
    """Where an access server, or the proxy before it, takes such requests. secrets: tried in order."""

    host: str
    port: int
    secrets: tuple[bytes, ...] = field(repr=False)

    @classmethod
    def of(cls, client: RadiusClient, address: str) -> "Reach | None":
        """That of a RADIUS client whose Access-Request came from this address; None when it takes none. A session that
        came through a proxy goes back through it (RFC 5176 section 3.1)."""
        if not client.takes_dynamic_authorisation or client.dynamic_port is None or not client.secrets:
            return None
        return cls(host=client.dynamic_address or address, port=client.dynamic_port, secrets=client.secrets)


@dataclass(frozen=True, slots=True, kw_only=True)
class Disconnection:
    """How asking ended. meaning: None when nobody answered. said: for people."""

    meaning: Meaning | None
    said: str

    @property
    def is_over(self) -> bool:
        """The session has ended, now or before."""
        return self.meaning in (Meaning.DONE, Meaning.GONE)

    @property
    def is_final(self) -> bool:
        """Asking again would come to the same."""
        return self.is_over or self.meaning is Meaning.UNSUPPORTED


class DynamicAuthoriser:
    """Sends Disconnect-Requests. patience: for one request. clock: dates them."""

    def __init__(self, *, patience: Patience = PATIENCE, clock: Callable[[], Moment] = time.time) -> None:
        self._patience = patience
        self._clock = clock

    async def disconnect(self, reach: Reach, identification: Attributes) -> Disconnection:
        """Have a session ended. identification: all by which the access server may know it. Misuse when that is
        nothing: the request would mean everybody."""
        answers: list[DynamicAnswer] = []
        for attributes in ways_to_name(identification):
            answer = await self._ask(reach, attributes)
            if answer is None:
                return Disconnection(meaning=None, said=f"no answer from {reach.host} port {reach.port}")
            answers.append(answer)
            if answer.meaning in (Meaning.DONE, Meaning.LATER) or answer.cause in _OF_NO_SESSION:
                break
        told = next((answer for answer in reversed(answers) if answer.meaning not in _INCONCLUSIVE), answers[-1])
        return Disconnection(meaning=told.meaning, said=told.text)

    async def _ask(self, reach: Reach, attributes: Attributes) -> DynamicAnswer | None:
        """The answer; None when there is none to a request made with any of the secrets."""

        def dated() -> Attributes:
            return dynamic_attributes(attributes, now=self._clock())

        for secret in reach.secrets:
            try:
                async with await UdpRadiusClient.open(
                    reach.host, reach.port, secret, patience=self._patience
                ) as client:
                    answered = await client.ask(RadiusCode.DISCONNECT_REQUEST, dated)
            except OSError:  # TimeoutError among them
                continue
            try:
                return DynamicAnswer.of(answered.packet)
            except Malformed:
                return DynamicAnswer(acknowledged=False, cause=None)
        return None


def ways_to_name(identification: Attributes) -> tuple[Attributes, ...]:
    """The attributes of the requests to try, the most precise first: everything; without what the access server may
    have otherwise; without its own name, which a proxy may have changed. Misuse where nothing names a session."""
    known = {number for number, _ in identification}
    least = _STATION | _SESSION if RadiusAttribute.ACCT_SESSION_ID in known else _STATION | _USER
    if not known & least:
        least = _PRECISE | _PORT
    if not known & least:
        raise Misuse("nothing says which session is meant")
    precise = least | _PRECISE
    ways = (_only(identification, kinds) for kinds in (_SERVER | precise, _SERVER | least, least))
    return tuple(dict.fromkeys(ways))


def _only(identification: Attributes, kinds: Iterable[int]) -> Attributes:
    return tuple((number, value) for number, value in identification if number in kinds)
