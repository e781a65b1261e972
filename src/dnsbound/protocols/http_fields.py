"""The header fields that a request or response has on the other side of the gate.

Removed: what says who the client is (`identity_headers`), in every spelling; what concerns one connection alone; other
spellings of fields that say where a message ends; and what the client says of the way it came. Added: who the client
is, and where it came from.

Sections: RFC 9110 sections 7.6.1, 7.6.2, 7.8 and 10.1.4; RFC 9112 sections 6 and 9.6; RFC 9440 section 2.4; RFC 7239
section 8.
"""

from collections.abc import Sequence
from enum import StrEnum
from typing import Final, TypeAlias

from dnsbound.protocols.gated import GateClient
from dnsbound.protocols.http_head import WEBSOCKET, RequestHead, connection_options, values
from dnsbound.protocols.identity_headers import is_identity_header, spelling

Fields: TypeAlias = tuple[tuple[bytes, bytes], ...]


class Forwarded(StrEnum):
    """What becomes of a client's own words about the way it came."""

    REPLACE = "replace"
    """They are removed."""
    APPEND = "append"
    """They stay, and the client's address comes behind them: where a proxy of the operator's stands before the gate."""


_ONE_CONNECTION: Final = frozenset(
    {"connection", "keep-alive", "proxy-connection", "te", "trailer", "upgrade", "http2-settings"}
    | {"proxy-authorization", "proxy-authenticate", "proxy-authentication-info"}
)
"""RFC 9110 section 7.6.1, and what older proxies send. No trailers are passed on to a back end."""
_EXACT: Final = frozenset({"host", "content-length", "transfer-encoding", "expect"})
"""Fields of which no other spelling is passed on."""
_NOT_BY_OPTION: Final = frozenset({b"host", b"content-length", b"transfer-encoding", b"authorization", b"cookie"})
"""Fields for whoever gets the request, which Connection cannot take away from a back end."""


def to_backend(
    head: RequestHead,
    *,
    identity: Sequence[tuple[bytes, bytes]],
    came: Sequence[tuple[bytes, bytes]],
    forwarded: Forwarded,
) -> list[tuple[bytes, bytes]]:
    """The fields of a request as the back end gets it. identity: who the client is. came: `way_of` it."""
    kept: list[tuple[bytes, bytes]] = [(b"Host", head.host)]  # an empty one where HTTP/1.0 had none
    options = connection_options(head.fields)
    for name, value in head.fields:
        told = spelling(name)
        if told == "host" or _is_of_one_connection(name, told, options) or is_identity_header(name):
            continue
        if is_of_the_way(told) and (forwarded is Forwarded.REPLACE or told in _ALWAYS_OURS):
            continue
        kept.append((name, value))
    if forwarded is Forwarded.APPEND:
        kept, came = _appended(kept, came)
    if head.upgrade:
        kept += [(b"Connection", b"Upgrade"), (b"Upgrade", WEBSOCKET)]
    elif head.is_last:
        kept.append((b"Connection", b"close"))
    return [*kept, *came, *identity]


def to_client(fields: Fields, *, switching: bool, closing: bool) -> list[tuple[bytes, bytes]]:
    """The fields of a response as the client gets it. Where its content ends is said anew by whoever writes it."""
    options = connection_options(fields)
    said_anew = {b"transfer-encoding", b"content-length"} if values(fields, b"transfer-encoding") else set()
    kept = [
        (name, value)
        for name, value in fields
        if not _is_of_one_connection(name, spelling(name), options) and name.lower() not in said_anew
    ]
    if switching:
        kept += [(b"Connection", b"Upgrade"), *((b"Upgrade", value) for value in values(fields, b"upgrade"))]
    elif closing:
        kept.append((b"Connection", b"close"))
    return kept


def way_of(client: GateClient) -> list[tuple[bytes, bytes]]:
    """Where a client came from, in the fields that back ends read."""
    scheme = b"https" if client.tls_version else b"http"
    address = client.client[0].encode("ascii", "ignore")
    came = [(b"X-Forwarded-For", address)] if address else []
    return [*came, (b"X-Forwarded-Proto", scheme)]


def is_of_the_way(told: str) -> bool:
    """Whether a field, by its spelling, says where a request came from or went to."""
    return told.startswith("x-forwarded-") or told in {
        "forwarded",
        "x-real-ip",
        "x-original-forwarded-for",
        "true-client-ip",
    }


_ALWAYS_OURS: Final = frozenset({"x-forwarded-proto"})


def _is_of_one_connection(name: bytes, told: str, options: frozenset[bytes]) -> bool:
    lower = name.lower()
    if told in _ONE_CONNECTION or (told in _EXACT and lower != told.encode()):
        return True
    return lower in options and lower not in _NOT_BY_OPTION


def _appended(
    kept: list[tuple[bytes, bytes]], came: Sequence[tuple[bytes, bytes]]
) -> tuple[list[tuple[bytes, bytes]], list[tuple[bytes, bytes]]]:
    """The client's X-Forwarded-For with its address behind it, in one field."""
    before = [value for name, value in kept if spelling(name) == "x-forwarded-for" and value]
    rest = [(name, value) for name, value in kept if spelling(name) != "x-forwarded-for"]
    return rest, [(name, b", ".join([*before, value]) if name == b"X-Forwarded-For" else value) for name, value in came]
