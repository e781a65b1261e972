"""Labels of client names that tell a stranger nothing, and names made from parts.

An unguessable label is 128 random bits, or 128 bits of a keyed hash of a serial number, so that whoever has the secret
finds the name of a device again and nobody else can try serial numbers. Both are 26 characters of base32 in lower case.
A keyed hash hides which device a name belongs to; it does not hide the name from whoever can walk the zone.

Not here: reading the secret, and asking the inventory whether a name is taken. Sections: ARCH Privacy;
draft-ietf-dance-client-auth sections 2.1 and 2.2; RFC 4648 section 6 (base32); RFC 2104 (HMAC); RFC 6335 section 5.1
(names of services).
"""

import base64
import hmac
import re
import secrets
from collections.abc import Callable
from typing import Final

from dnsbound.errors import Malformed, Misuse
from dnsbound.names import ClientName
from dnsbound.provision.owner import OwnerName

LABEL_OCTETS: Final = 16
"""128 bits: a label is not met twice, and not found by guessing."""
MIN_SECRET_OCTETS: Final = 16
MAX_SERIAL_CHARACTERS: Final = 1024

_PURPOSE: Final = b"dnsbound label 1\0"
"""Keeps these hashes apart from every other use of the same secret."""
_SERVICE: Final = re.compile(r"(?=.*[a-z])[a-z0-9]+(?:-[a-z0-9]+)*")
_MAX_SERVICE_CHARACTERS: Final = 62
"""With the underscore before it, a whole label."""
TRANSPORTS: Final = frozenset({"_tcp", "_udp", "_sctp", "_dccp", "_quic", "_tls"})
"""Labels that the name of a server's record has and the name of a client's has not."""


def unguessable_label(entropy: Callable[[int], bytes] = secrets.token_bytes) -> str:
    """A fresh label. entropy: that many random octets."""
    return _text(entropy(LABEL_OCTETS))


def label_of_serial(serial: str, secret: bytes) -> str:
    """The label of the device with this serial number: always the same one for one secret.

    serial: as it is written on the device; space around it does not count, everything else does. secret: 16 octets or
    more, from a random source. Malformed for a serial number that is empty or endless, Misuse for a short secret.
    """
    if len(secret) < MIN_SECRET_OCTETS:
        raise Misuse(f"the secret of the labels has {len(secret)} octets; {MIN_SECRET_OCTETS} or more are needed")
    read = serial.strip()
    if not read or len(read) > MAX_SERIAL_CHARACTERS or not read.isprintable():
        raise Malformed(f"a serial number has from 1 to {MAX_SERIAL_CHARACTERS} printable characters")
    return _text(hmac.digest(secret, _PURPOSE + read.encode(), "sha256")[:LABEL_OCTETS])


def name_below(label: str, below: OwnerName) -> ClientName:
    """The client name with this label directly below a name."""
    return ClientName.parse(f"{label}.{below.text}")


def service_name(service: str, client: ClientName) -> ClientName:
    """The name of one client's identity for one service: `smtp-client` and `device1.cars.example` make
    `_smtp-client.device1.cars.example`.

    One label with an underscore and no transport label: the same name serves TLS and DTLS. Malformed for what is no
    service; Misuse where the client's own name has such a label already.
    """
    word = service.lower().removeprefix("_")
    if f"_{word}" in TRANSPORTS or "." in word:
        raise Malformed(f"{service!r} is no service: a client's name has no transport and no port in it")
    if len(word) > _MAX_SERVICE_CHARACTERS or not _SERVICE.fullmatch(word):
        raise Malformed(f"{service!r} is no service: letters, digits and single hyphens, at least one letter")
    transport = next((label for label in client.labels if label in TRANSPORTS), None)
    if transport is not None:
        raise Misuse(f"{client} has the label {transport}: that is the form of a server's record, not of a client's")
    if client.labels[0].startswith("_"):
        raise Misuse(f"{client} begins with {client.labels[0]} already; a name has one service")
    return ClientName.parse(f"_{word}.{client.canonical}")


def _text(octets: bytes) -> str:
    return base64.b32encode(octets).decode("ascii").rstrip("=").lower()
