"""SASL EXTERNAL: a client says that TLS has told already who it is, and perhaps as whom it wants to act.

The mechanism is one message, the authorization identity: empty for "as myself" (RFC 4422 appendix A). What a client may
act as is decided by its name and its grants alone. How messages are carried is the protocol's: RFC 4954 section 4 for
SMTP, RFC 6120 section 6.4 for XMPP.
"""

import base64
import binascii
from collections.abc import Mapping
from typing import Any, Final

from dnsbound.errors import Malformed

_LONGEST: Final = 1023
"""Octets of an identity that are read; a local part of XMPP may have so many (RFC 7622 section 3.3)."""


def authorization_identity(carried: bytes) -> str:
    """The identity in the base64 that a client sent; empty for its own. Malformed for what is none.

    carried: the initial response or the answer to an empty challenge; `=` stands for an empty message.
    """
    if carried in (b"", b"="):
        return ""
    try:
        text = base64.b64decode(carried, validate=True).decode("utf-8")
    except (binascii.Error, UnicodeDecodeError):
        raise Malformed("a SASL message that is no base64 of UTF-8") from None
    if "\0" in text or len(text) > _LONGEST:
        raise Malformed("an authorization identity that EXTERNAL does not allow")
    return text


def granted_texts(grants: Mapping[str, Any], key: str) -> tuple[str, ...]:
    """The texts of one grant, which is a text or a list of texts; none for anything else."""
    value = grants.get(key)
    listed = value if isinstance(value, list | tuple) else (value,)
    return tuple(each for each in listed if isinstance(each, str) and each)
