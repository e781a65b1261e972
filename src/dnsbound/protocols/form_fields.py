"""Fields of a query or of a form body, as RabbitMQ's authentication backend and curl write them.

`application/x-www-form-urlencoded` (URL Standard section 5.1): a `+` is a space. No certificate comes this way, because
that rule breaks base64; what does is names, topics and SSH keys whose `+` the sender has escaped.
"""

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final
from urllib.parse import unquote_to_bytes

from dnsbound.door_limits import FRONT_FORM_FIELDS, FRONT_JSON_OCTETS
from dnsbound.errors import LimitExceeded, Malformed

_ESCAPES: Final = re.compile(rb"(?:[^%]|%[0-9A-Fa-f]{2})*")


def form_fields(octets: bytes) -> Mapping[str, str]:
    """Each field by its name; Malformed where one comes twice, LimitExceeded for too many."""
    if len(octets) > FRONT_JSON_OCTETS.default:
        raise LimitExceeded(FRONT_JSON_OCTETS.name, f"{len(octets)} octets")
    pieces = [piece for piece in octets.split(b"&") if piece]
    if len(pieces) > FRONT_FORM_FIELDS.default:
        raise LimitExceeded(FRONT_FORM_FIELDS.name, f"{len(pieces)} fields")
    fields: dict[str, str] = {}
    for piece in pieces:
        name, _, value = piece.partition(b"=")
        word = _text(name)
        if word in fields:
            raise Malformed("form: a field comes twice")
        fields[word] = _text(value)
    return MappingProxyType(fields)


def _text(octets: bytes) -> str:
    if not _ESCAPES.fullmatch(octets):
        raise Malformed("form: a % without two hexadecimal digits")
    try:
        text = unquote_to_bytes(octets.replace(b"+", b" ")).decode("utf-8")
    except UnicodeDecodeError:
        raise Malformed("form: not UTF-8") from None
    if "\0" in text:
        raise Malformed("form: a NUL")
    return text
