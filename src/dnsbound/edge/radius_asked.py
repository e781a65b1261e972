"""One request of a RADIUS client while it is answered: what was read of it, where it came from, with which secret."""

from collections.abc import Coroutine
from dataclasses import field
from typing import Any, Protocol, TypeAlias

from dnsbound.edge.radius_clients import RadiusOrigin
from dnsbound.hot_value import hot_value
from dnsbound.iana import RadiusCode
from dnsbound.protocols.radius import RadiusPacket, answer_to, split_eap_message
from dnsbound.protocols.radius_attributes import Attributes

Answer: TypeAlias = bytes | Coroutine[Any, Any, bytes | None] | None
"""Octets to send at once, nothing to send, or what has to be waited for."""


class Respond(Protocol):
    """What answers packets."""

    def __call__(self, octets: bytes, origin: RadiusOrigin, request: RadiusPacket | None = None, /) -> Answer:
        """request: the packet, where it was read already and made with the first of the origin's secrets."""


@hot_value
class Asked:
    """A request whose sender has the secret."""

    request: RadiusPacket
    origin: RadiusOrigin
    secret: bytes = field(repr=False)

    def answer(self, code: RadiusCode, attributes: Attributes = ()) -> bytes:
        """As `protocols.radius.answer_to`."""
        return answer_to(self.request, code, attributes, self.secret)

    def answer_eap(self, code: RadiusCode, eap: bytes, attributes: Attributes = ()) -> bytes:
        """The same with an EAP packet before the other attributes."""
        return answer_to(self.request, code, split_eap_message(eap) + attributes, self.secret)
