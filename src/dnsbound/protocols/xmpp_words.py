"""What the gate says in XMPP: heads of streams, features, SASL, and the errors that end a stream (RFC 6120)."""

from typing import Final
from xml.sax.saxutils import quoteattr

from dnsbound.protocols.xmpp_stream import STREAMS

CLIENT: Final = "jabber:client"
TLS: Final = "urn:ietf:params:xml:ns:xmpp-tls"
SASL: Final = "urn:ietf:params:xml:ns:xmpp-sasl"
_ERRORS: Final = "urn:ietf:params:xml:ns:xmpp-streams"

STREAM: Final = f"{STREAMS} stream"
FEATURES: Final = f"{STREAMS} features"
STARTTLS: Final = f"{TLS} starttls"
AUTH: Final = f"{SASL} auth"
RESPONSE: Final = f"{SASL} response"
ABORT: Final = f"{SASL} abort"
SUCCESS: Final = f"{SASL} success"
MECHANISMS: Final = f"{SASL} mechanisms"

PROCEED: Final = f"<proceed xmlns='{TLS}'/>".encode("ascii")
SUCCEEDED: Final = f"<success xmlns='{SASL}'/>".encode("ascii")
CHALLENGE: Final = f"<challenge xmlns='{SASL}'/>".encode("ascii")
OFFER_TLS: Final = f"<stream:features><starttls xmlns='{TLS}'><required/></starttls></stream:features>".encode("ascii")
OFFER_EXTERNAL: Final = (
    f"<stream:features><mechanisms xmlns='{SASL}'><mechanism>EXTERNAL</mechanism></mechanisms></stream:features>"
).encode("ascii")


def stream_head(**attributes: str) -> bytes:
    """The opening tag of a stream between client and server (section 4.7)."""
    told = "".join(f" {name.rstrip('_')}={quoteattr(value)}" for name, value in attributes.items() if value)
    return (
        f"<?xml version='1.0'?><stream:stream xmlns='{CLIENT}' xmlns:stream='{STREAMS}' version='1.0'{told}>".encode()
    )


def stream_error(condition: str) -> bytes:
    """An error that ends the stream, and its end (section 4.9)."""
    return f"<stream:error><{condition} xmlns='{_ERRORS}'/></stream:error></stream:stream>".encode("ascii")


def sasl_failure(condition: str) -> bytes:
    """Section 6.5."""
    return f"<failure xmlns='{SASL}'><{condition}/></failure>".encode("ascii")


def sasl_auth(mechanism: str, message: str) -> bytes:
    """Section 6.4.2. message: base64."""
    return f"<auth xmlns='{SASL}' mechanism='{mechanism}'>{message}</auth>".encode("ascii")
