"""Asking an access server to end a session (RFC 5176), over UDP or over the RADIUS/TLS connection it has opened.

Access servers differ in what they know a session by, and refuse a request in which anything does not fit: one attribute
they do not take, or a User-Name that they have otherwise. So a session is named precisely first, then by less, and that
it is gone is believed only when the least demanding request that was understood says so. Class is not among the names:
RFC 5176 section 3 does not count it among them, and hostapd refuses requests that carry it.

What this is not: the decision to end a session, and when to try again (`radius_live`).

Documents: RFC 5176 sections 2.1, 2.3, 3, 3.5.
"""

import time
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from typing import Final, TypeAlias

from dnsbound.edge.radius_client import Renew, UdpRadiusClient
from dnsbound.edge.radius_clients import RadiusClient
from dnsbound.errors import Malformed, Misuse
from dnsbound.iana import ErrorCause, RadiusAttribute, RadiusCode
from dnsbound.protocols.radius import RadiusPacket
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


AskBack: TypeAlias = Callable[[str, Attributes], Awaitable[RadiusPacket | None]]
"""Sends a Disconnect-Request of these attributes to a client, by its label, over a connection that it has opened: the
answer, or None where there is no connection or no answer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reach:
    """Where an access server, or the proxy before it, takes such requests over UDP. secrets: tried in order."""

    host: str
    port: int
    secrets: tuple[bytes, ...] = field(repr=False)

    def __str__(self) -> str:
        return f"{self.host} port {self.port}"

    async def ask(self, attributes: Renew, patience: Patience) -> RadiusPacket | None:
        """The answer; None when there is none to a request made with any of the secrets."""
        for secret in self.secrets:
            try:
                async with await UdpRadiusClient.open(self.host, self.port, secret, patience=patience) as client:
                    return (await client.ask(RadiusCode.DISCONNECT_REQUEST, attributes)).packet
            except OSError:  # TimeoutError among them
                continue
        return None


@dataclass(frozen=True, slots=True, kw_only=True)
class ReachBack:
    """The RADIUS/TLS connections that a client, `[client.LABEL]`, has opened."""

    label: str
    ask_back: AskBack

    def __str__(self) -> str:
        return f"the RADIUS/TLS connections of {self.label}"

    async def ask(self, attributes: Renew, _patience: Patience) -> RadiusPacket | None:
        """The answer, if any. A stream repeats nothing by itself, so there is nothing to be patient about."""
        return await self.ask_back(self.label, attributes())


def reach_of(client: RadiusClient, address: str, ask_back: AskBack | None = None) -> Reach | ReachBack | None:
    """That of a RADIUS client whose Access-Request came from this address; None when it takes none from here. A session
    that came through a proxy goes back through it (RFC 5176 section 3.1). ask_back: where there are connections."""
    if client.dynamic_connection:
        return None if ask_back is None else ReachBack(label=client.label, ask_back=ask_back)
    if client.dynamic_port is None or not client.secrets:
        return None
    return Reach(host=client.dynamic_address or address, port=client.dynamic_port, secrets=client.secrets)


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

    async def disconnect(self, reach: Reach | ReachBack, identification: Attributes) -> Disconnection:
        """Have a session ended. identification: all by which the access server may know it. Misuse when that is
        nothing: the request would mean everybody."""
        answers: list[DynamicAnswer] = []
        for attributes in ways_to_name(identification):
            answer = await self._ask(reach, attributes)
            if answer is None:
                return Disconnection(meaning=None, said=f"no answer from {reach}")
            answers.append(answer)
            if answer.meaning in (Meaning.DONE, Meaning.LATER) or answer.cause in _OF_NO_SESSION:
                break
        told = next((answer for answer in reversed(answers) if answer.meaning not in _INCONCLUSIVE), answers[-1])
        return Disconnection(meaning=told.meaning, said=told.text)

    async def _ask(self, reach: Reach | ReachBack, attributes: Attributes) -> DynamicAnswer | None:
        def dated() -> Attributes:
            return dynamic_attributes(attributes, now=self._clock())

        packet = await reach.ask(dated, self._patience)
        if packet is None:
            return None
        try:
            return DynamicAnswer.of(packet)
        except Malformed:
            return DynamicAnswer(acknowledged=False, cause=None)


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
