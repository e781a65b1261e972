"""Requests of a network access server, for the tests of RADIUS."""

from dnsbound.iana import RadiusAttribute, RadiusCode
from dnsbound.protocols.radius import RadiusPacket, read_request, request_of
from dnsbound.protocols.radius_attributes import Attributes

SECRET = b"a secret of sixteen octets or more"
AUTHENTICATOR = bytes(range(16))
EAP_IDENTITY = bytes.fromhex("0201000d0140636172732e6578")
EAP: Attributes = ((RadiusAttribute.EAP_MESSAGE, EAP_IDENTITY),)


def access_request(attributes: Attributes = EAP, *, identifier: int = 7, secret: bytes = SECRET) -> bytes:
    return request_of(RadiusCode.ACCESS_REQUEST, identifier, attributes, secret, authenticator=AUTHENTICATOR)


def asked(attributes: Attributes = EAP, *, code: RadiusCode = RadiusCode.ACCESS_REQUEST) -> RadiusPacket:
    """The request as a server reads it."""
    chosen = code in (RadiusCode.ACCESS_REQUEST, RadiusCode.STATUS_SERVER)
    octets = request_of(code, 7, attributes, SECRET, authenticator=AUTHENTICATOR if chosen else None)
    return read_request(octets, SECRET)
