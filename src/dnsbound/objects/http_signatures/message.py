"""An HTTP message as a signature sees it: method and target of a request, status of a response, and the fields.

Nothing of it is interpreted here, and the content is not in it: `content_digest` ties that to a field. What a proxy
changed on the way, the target above all, is put back by whoever makes the request (`HttpRequest.of` takes the target
that the client has used). Sections: RFC 9421 section 2.1 (field values), RFC 9110 sections 4.2.3, 5.5 and 7.1.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, Self, TypeAlias
from urllib.parse import urlsplit

from dnsbound.errors import Malformed

Fields: TypeAlias = tuple[tuple[str, str], ...]
"""Names in lower case, values without white space around them, in the order of the message."""

_TOKEN: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_TARGET: Final = re.compile(r"[!-~]+")
_FOLD: Final = re.compile(r"[ \t]*\r\n[ \t]+")
_DEFAULT_PORTS: Final = {"http": 80, "https": 443}


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpRequest:
    """A request, or the request that a response answers."""

    method: str
    """As sent: methods are compared by their letters' case (RFC 9110 section 9.1)."""
    target_uri: str
    """Absolute, as `target_uri` writes it."""
    fields: Fields

    @classmethod
    def of(cls, method: str, url: str, fields: Iterable[tuple[str | bytes, str | bytes]]) -> Self:
        """url: the target as the client knows it. Malformed for what is no method, target or field."""
        if _TOKEN.fullmatch(method) is None:
            raise Malformed("the method is no token")
        return cls(method=method, target_uri=target_uri(url), fields=fields_of(fields))


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpResponse:
    """A response, and what it answers."""

    status: int
    fields: Fields
    request: HttpRequest

    @classmethod
    def of(cls, status: int, fields: Iterable[tuple[str | bytes, str | bytes]], *, request: HttpRequest) -> Self:
        if not 100 <= status <= 999:
            raise Malformed(f"{status} is no status code")
        return cls(status=status, fields=fields_of(fields), request=request)


def target_uri(url: str) -> str:
    """The target URI in one form: scheme and host in lower case, no default port, no empty path, no fragment. Path and
    query stay as they are written. Malformed for anything that is no absolute `http` or `https` URI of ASCII."""
    if _TARGET.fullmatch(url) is None:
        raise Malformed("the target is no URI: it has characters outside printable ASCII")
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise Malformed(f"the target is no URI: {error}") from None
    scheme, host = parts.scheme.lower(), parts.hostname
    if scheme not in _DEFAULT_PORTS or not host:
        raise Malformed("the target is no absolute http or https URI")
    if parts.username is not None or parts.password is not None:
        raise Malformed("the target has user information")
    if ":" in host:
        host = f"[{host}]"
    authority = host if port in (None, _DEFAULT_PORTS[scheme]) else f"{host}:{port}"
    # `urlsplit` drops a `?` with nothing behind it, which is part of the target.
    before_fragment = url.partition("#")[0]
    query = f"?{parts.query}" if parts.query or before_fragment.endswith("?") else ""
    return f"{scheme}://{authority}{parts.path or '/'}{query}"


def fields_of(fields: Iterable[tuple[str | bytes, str | bytes]]) -> Fields:
    """Fields as they come from servers and clients: octets are those of the wire. Malformed for a name that is none."""
    return tuple((_name(_text(name)), _value(_text(value))) for name, value in fields)


def _text(value: str | bytes) -> str:
    return value.decode("latin-1") if isinstance(value, bytes) else value


def _name(name: str) -> str:
    if _TOKEN.fullmatch(name) is None:
        raise Malformed("a field's name is no token")
    return name.lower()


def _value(value: str) -> str:
    return _FOLD.sub(" ", value).strip(" \t") if "\r\n" in value else value.strip(" \t")


def lines(fields: Fields, name: str) -> list[str]:
    """The values of every field of this name, in order."""
    return [value for known, value in fields if known == name]
