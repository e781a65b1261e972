"""XCLIENT: how a mail server is told whose connection it really is that stands before it.

The command and its attributes are Postfix's, described in its XCLIENT_README; other servers took them over. It is
honoured for configured addresses only, so the gate's must be among them, and Postfix takes it once: the client's
address is in force from then on. Every attribute that the server offers is sent, or it would go on believing what it
found out about the gate itself: that a client is `localhost`.
"""

import ipaddress
import re
from typing import Final

from dnsbound.protocols.gated import Address

UNAVAILABLE: Final = b"[UNAVAILABLE]"
"""This will never be known of this client."""
_PLAIN: Final = re.compile(rb"[\x21-\x2a\x2c-\x3c\x3e-\x7e]*")


def xtext(octets: bytes) -> bytes:
    """RFC 3461 section 4: everything but `!` to `~` without `+` and `=` as `+` and two hexadecimal digits."""
    if _PLAIN.fullmatch(octets):
        return octets
    return b"".join(bytes((octet,)) if _PLAIN.fullmatch(bytes((octet,))) else b"+%02X" % octet for octet in octets)


def missing_attributes(offered: frozenset[bytes], *, named: bool) -> frozenset[bytes]:
    """What a server must let itself be told, and does not offer. named: the client has a name."""
    return frozenset({b"ADDR", b"LOGIN"} if named else {b"ADDR"}) - offered


def xclient(offered: frozenset[bytes], *, client: Address, server: Address, login: bytes | None) -> bytes:
    """The command, without its CRLF.

    offered: attributes, as the server lists them in its answer to EHLO. login: who the client is; None for nobody.
    """
    known = {
        b"ADDR": _address(client[0]),
        b"PORT": b"%d" % client[1],
        b"DESTADDR": _address(server[0]),
        b"DESTPORT": b"%d" % server[1],
        b"NAME": UNAVAILABLE,
        b"REVERSE_NAME": UNAVAILABLE,
        b"LOGIN": UNAVAILABLE if login is None else xtext(login),
    }
    told = [attribute + b"=" + value for attribute, value in known.items() if attribute in offered]
    return b"XCLIENT " + b" ".join(told)


def _address(host: str) -> bytes:
    """IPv6 addresses carry a prefix; what is no address, as of a Unix socket, is not known."""
    try:
        found = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return UNAVAILABLE
    if found.version == 4:
        return str(found).encode("ascii")
    mapped = found.ipv4_mapped
    return str(mapped).encode("ascii") if mapped is not None else b"IPV6:" + str(found).encode("ascii")
