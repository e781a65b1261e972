"""Requests that wait for their answers on one source port or connection of RADIUS.

An answer counts when its identifier is that of a request under way and its authenticators hold against that very
request (RFC 2865 section 3, RFC 3579 section 3.2); everything else is counted and passed over, as if it had not come.
Not here: sockets, and when to send again (`radius_client`, `protocols.radius_exchange`).
"""

import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from dnsbound.errors import DnsboundError
from dnsbound.iana import RadiusCode
from dnsbound.protocols.radius import CHOSEN_AUTHENTICATOR, RadiusPacket, read_answer, request_of
from dnsbound.protocols.radius_attributes import Attributes
from dnsbound.protocols.radius_exchange import Identifiers
from dnsbound.times import Seconds
from dnsbound.wire import Reader

if TYPE_CHECKING:
    import asyncio

_AUTHENTICATOR_OCTETS: Final = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Answered:
    """An answer and the request it belongs to."""

    packet: RadiusPacket
    request_authenticator: bytes
    """16 octets; what is hidden in the answer, keys above all, is hidden with them."""
    sent: int
    """How often the request was sent."""
    seconds: Seconds
    """From the first sending to the answer."""


@dataclass(slots=True, kw_only=True, eq=False)
class Begun:
    """One packet under way. answer: may be that of several packets of one request."""

    identifier: int
    octets: bytes
    answer: "asyncio.Future[tuple[RadiusPacket, Begun]]" = field(repr=False)

    @property
    def authenticator(self) -> bytes:
        return self.octets[4 : 4 + _AUTHENTICATOR_OCTETS]


class Pending:
    """Those of one source port or connection. secret: shared with the server."""

    def __init__(self, secret: bytes) -> None:
        self._secret = secret
        self._identifiers = Identifiers()
        self._begun: dict[int, Begun] = {}
        self.passed_over = 0
        """Packets that are no answer to anything under way."""
        self.bad = 0
        """Answers to requests under way that do not parse or whose authenticators do not hold."""

    def __len__(self) -> int:
        return len(self._begun)

    def begin(
        self, code: RadiusCode, attributes: Attributes, answer: "asyncio.Future[tuple[RadiusPacket, Begun]]"
    ) -> Begun | None:
        """A packet of this request, ready to be sent; None when every identifier is in use. Misuse for what is no
        request or too long."""
        identifier = self._identifiers.take()
        if identifier is None:
            return None
        authenticator = os.urandom(_AUTHENTICATOR_OCTETS) if code in CHOSEN_AUTHENTICATOR else None
        try:
            octets = request_of(code, identifier, attributes, self._secret, authenticator=authenticator)
        except BaseException:
            self._identifiers.give_back(identifier)
            raise
        begun = self._begun[identifier] = Begun(identifier=identifier, octets=octets, answer=answer)
        return begun

    def receive(self, octets: bytes) -> bool:
        """Something that came from the server. False: it is bad; `bad` counts it."""
        begun = self._begun.get(octets[1]) if len(octets) > 1 else None
        if begun is None or begun.answer.done():
            self.passed_over += 1
            return True
        try:
            packet = read_answer(octets, begun.octets, self._secret)
        except DnsboundError:
            self.bad += 1
            return False
        begun.answer.set_result((packet, begun))
        return True

    def end(self, begun: Begun) -> None:
        """It needs no answer any more."""
        del self._begun[begun.identifier]
        self._identifiers.give_back(begun.identifier)

    def fail(self, error: Exception) -> None:
        """No answer can come any more."""
        for begun in self._begun.values():
            if not begun.answer.done():
                begun.answer.set_exception(error)


def code_of(octets: bytes) -> int:
    """The code of a whole packet."""
    return Reader(octets, "RADIUS packet").uint(1)
