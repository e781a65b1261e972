"""Chargeable-User-Identity: a handle by which an operator tells one visitor from another without learning who it is.

It is made for each operator that asks, of the verified name, with a key of ours: the same visitor has the same handle
there for as long as the key lives, and two operators who compare theirs find nothing. Being text, it also serves as
User-Name of an Access-Accept where the name itself is to stay at home.

Sections: RFC 4372 sections 2 and 2.1, RFC 5580 section 4.1.
"""

import hmac
from typing import Final

from dnsbound.errors import Misuse
from dnsbound.iana import RadiusAttribute
from dnsbound.names import ClientName
from dnsbound.protocols.radius import RadiusPacket
from dnsbound.protocols.radius_attributes import Attributes

LEAST_KEY: Final = 32
"""Octets of the key."""
_HANDLE: Final = 32
"""Hexadecimal digits: 128 bits."""


def operator_of(request: RadiusPacket, client: str) -> bytes:
    """Whom a handle is for: the configured client, and Operator-Name where a proxy says for whom it asks. No client can
    ask for another's handles: it is part of them."""
    return client.encode() + b"\0" + (request.first(RadiusAttribute.OPERATOR_NAME) or b"")


def chargeable_user_identity(name: ClientName, operator: bytes, key: bytes) -> bytes:
    """The handle: 32 hexadecimal digits. operator: of `operator_of`. key: 32 octets or more, kept by us."""
    if len(key) < LEAST_KEY:
        raise Misuse(f"the key of user handles has {LEAST_KEY} octets at least")
    digest = hmac.digest(key, b"dnsbound CUI\0" + name.canonical.encode() + b"\0" + operator, "sha256")
    return digest.hex()[:_HANDLE].encode()


def chargeable_identity_attributes(request: RadiusPacket, handle: bytes) -> Attributes:
    """The handle, if the request asks for it (with a zero octet, or with the one it has), and nothing otherwise."""
    asked = request.first(RadiusAttribute.CHARGEABLE_USER_IDENTITY)
    return () if asked is None else ((int(RadiusAttribute.CHARGEABLE_USER_IDENTITY), handle),)
