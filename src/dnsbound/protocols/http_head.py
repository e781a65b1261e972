"""The head of an HTTP/1 request from a stranger's octets: strictly, so that two readers cannot read two requests in it.

h11 reads the head once it is complete; what h11 forgives is refused before that or after it: a bare LF or CR, a folded
line, a control character, a Content-Length that is said twice or beside Transfer-Encoding, a target of another host.
What goes on to a back end is written anew (`dnsbound.protocols.http_fields`).

Sections: RFC 9112 sections 2.2, 3.2, 5.1, 5.2, 6.1, 6.3 and 11.2; RFC 9110 sections 5.5, 7.2 and 7.8; RFC 6455 section
4.1.
"""

import re
from dataclasses import dataclass
from typing import Final, Self

import h11

from dnsbound.door_limits import HTTP_FIELDS, HTTP_HEAD_OCTETS
from dnsbound.errors import PeerError

_END: Final = b"\r\n\r\n"
_NEVER: Final = re.compile(rb"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]|\r(?=[^\n])|(?<!\r)\n|\r\n[ \t]")
"""What may stand nowhere in a head: controls, half line ends, folded lines."""
_AUTHORITY: Final = re.compile(rb"[A-Za-z0-9._~!$&'()*+;=%:\[\]-]*")
_ABSOLUTE: Final = re.compile(rb"https?://([^/?#]+)(.*)", re.IGNORECASE | re.DOTALL)
_NUMBER: Final = re.compile(rb"[0-9]{1,18}")
WEBSOCKET: Final = b"websocket"


class Unfit(PeerError):
    """A request that is not passed on. status: of the answer."""

    def __init__(self, status: int, what: str) -> None:
        super().__init__(f"HTTP: {what}")
        self.status = status


class HeadBuffer:
    """The octets of one request's head as they arrive. most: how many there may be."""

    __slots__ = ("_held", "_let_go", "_looked", "_most")

    def __init__(self, most: int = HTTP_HEAD_OCTETS.default) -> None:
        self._held = bytearray()
        self._looked = 0
        self._let_go = False
        """One empty line before the request line (RFC 9112 section 2.2)."""
        self._most = most

    @property
    def is_empty(self) -> bool:
        return not self._held

    def receive(self, octets: bytes) -> tuple[bytes, bytes] | None:
        """The head with the empty line that ends it, and what stands behind; None until it is complete; Unfit."""
        self._held += octets
        if not self._let_go and self._held[:2] == b"\r\n":
            del self._held[:2]
            self._let_go, self._looked = True, 0
        at = self._held.find(_END, max(0, self._looked - 3))
        end = len(self._held) if at < 0 else at + len(_END)
        if end > self._most:
            raise Unfit(431, f"a head of more than {self._most} octets")
        if (never := _NEVER.search(self._held, max(0, self._looked - 2), end)) is not None:
            raise Unfit(400, f"{never[0]!r} in a head")
        self._looked = len(self._held)
        if at < 0:
            return None
        head, rest = bytes(self._held[:end]), bytes(self._held[end:])
        self._held.clear()
        self._let_go, self._looked = False, 0
        return head, rest


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestHead:
    """A request that may be passed on. target: in origin or asterisk form. fields: as they came, in their order.
    upgrade: whether it asks for a WebSocket. is_last: the client takes no further answer on this connection."""

    method: bytes
    target: bytes
    version: bytes
    fields: tuple[tuple[bytes, bytes], ...]
    host: bytes
    upgrade: bool
    is_last: bool

    @classmethod
    def of(cls, request: h11.Request) -> Self:
        """What h11 read, held to what it forgives; Unfit."""
        fields = tuple(request.headers.raw_items())
        if len(fields) > HTTP_FIELDS.default:
            raise Unfit(431, f"more than {HTTP_FIELDS.default} fields")
        if request.http_version not in (b"1.0", b"1.1"):
            raise Unfit(505, f"version {request.http_version!r}")
        if request.method.upper() == b"CONNECT":
            raise Unfit(501, "CONNECT")
        target, host = _target(request, _host(fields))
        options = connection_options(fields)
        return cls(
            method=request.method,
            target=target,
            version=request.http_version,
            fields=fields,
            host=host,
            upgrade=_upgrade(request, fields, options),
            is_last=request.http_version == b"1.0" or b"close" in options,
        )


def check_framing(head: bytes) -> None:
    """RFC 9112 section 6: the one way to tell where a body ends; Unfit. To be asked before h11 makes one of several."""
    lengths, codings = [], []
    request_line, *lines = head[: -len(_END)].split(b"\r\n")
    for line in lines:
        name, _, value = line.partition(b":")
        if name.lower() == b"content-length":
            lengths.append(value.strip(b" \t"))
        elif name.lower() == b"transfer-encoding":
            codings.append(value.strip(b" \t").lower())
    if len(lengths) > 1 or (lengths and _NUMBER.fullmatch(lengths[0]) is None):
        raise Unfit(400, "Content-Length is no single number")
    if codings and lengths:
        raise Unfit(400, "Content-Length beside Transfer-Encoding")
    if codings and not request_line.endswith(b"HTTP/1.1"):
        raise Unfit(400, "Transfer-Encoding before HTTP/1.1")
    if codings and codings != [b"chunked"]:
        raise Unfit(501, f"Transfer-Encoding {b', '.join(codings)[:40]!r}")


def values(fields: tuple[tuple[bytes, bytes], ...], name: bytes) -> list[bytes]:
    return [value for each, value in fields if each.lower() == name]


def tokens(fields: tuple[tuple[bytes, bytes], ...], name: bytes) -> list[bytes]:
    """The members of a list, in lower case, over all fields of the name."""
    joined = b",".join(values(fields, name))
    return [token.strip(b" \t").lower() for token in joined.split(b",") if token.strip(b" \t")]


def connection_options(fields: tuple[tuple[bytes, bytes], ...]) -> frozenset[bytes]:
    """RFC 9110 section 7.6.1."""
    return frozenset(tokens(fields, b"connection"))


def _host(fields: tuple[tuple[bytes, bytes], ...]) -> bytes:
    """RFC 9110 section 7.2. h11 sees to it that HTTP/1.1 has one."""
    hosts = values(fields, b"host")
    if len(hosts) > 1 or (hosts and _AUTHORITY.fullmatch(hosts[0]) is None):
        raise Unfit(400, "Host is no single authority")
    return hosts[0] if hosts else b""


def _target(request: h11.Request, host: bytes) -> tuple[bytes, bytes]:
    """RFC 9112 section 3.2: the target in origin form, and the host it names."""
    target = request.target
    if (absolute := _ABSOLUTE.fullmatch(target)) is not None:
        authority = absolute[1]
        if host and authority.lower() != host.lower():
            raise Unfit(400, "the target and Host name two hosts")
        if _AUTHORITY.fullmatch(authority) is None:
            raise Unfit(400, "the target names no authority")
        target, host = absolute[2], authority
        target = target if target.startswith(b"/") else b"/" + target
    if b"#" in target or not (target.startswith(b"/") or (target == b"*" and request.method == b"OPTIONS")):
        raise Unfit(400, "the target is in no form that is passed on")
    return target, host


def _upgrade(request: h11.Request, fields: tuple[tuple[bytes, bytes], ...], options: frozenset[bytes]) -> bool:
    """Whether the request opens a WebSocket. Another upgrade is not passed on: RFC 9110 section 7.8 lets it be ignored,
    but h2c, whose point is a second protocol that nobody between the two ends reads, is refused."""
    asked = tokens(fields, b"upgrade")
    if any(token.startswith(b"h2c") for token in asked) or values(fields, b"http2-settings"):
        raise Unfit(400, "an upgrade to HTTP/2")
    if asked != [WEBSOCKET] or b"upgrade" not in options:
        return False
    body = values(fields, b"transfer-encoding") or values(fields, b"content-length") not in ([], [b"0"])
    if request.method != b"GET" or request.http_version != b"1.1" or body:
        raise Unfit(400, "a WebSocket that is not opened by GET without content")
    return True
