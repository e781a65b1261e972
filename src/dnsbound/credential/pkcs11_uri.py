"""`pkcs11:` URIs: which key on which token, by which module (RFC 7512).

Read strictly: an attribute the RFC does not have, one that comes twice, and octets that had to be percent-encoded are
Malformed, so that a URI that was mistyped never means another key. No PIN is taken from a URI: it would be in process
lists, shell histories and logs. Nothing is opened here.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final, Self

from dnsbound.errors import Malformed

SCHEME: Final = "pkcs11:"
MAX_CHARACTERS: Final = 2048
"""Larger than any URI that names a key; PKCS #11 labels are 32 octets, object labels seldom more."""

# RFC 7512 section 2.3: pk11-res-avail and pk11-path-res-avail, pk11-query-res-avail.
_PLAIN: Final = r"A-Za-z0-9\-._~:\[\]@!$'()*+,="
_PATH_VALUE: Final = re.compile(rf"(?:[{_PLAIN}&]|%[0-9A-Fa-f]{{2}})*")
_QUERY_VALUE: Final = re.compile(rf"(?:[{_PLAIN}/?|]|%[0-9A-Fa-f]{{2}})*")
_PERCENT: Final = re.compile(r"%([0-9A-Fa-f]{2})")

_PATH: Final[Mapping[str, str]] = MappingProxyType(
    {
        "token": "token",
        "manufacturer": "manufacturer",
        "model": "model",
        "serial": "serial",
        "slot-id": "slot_id",
        "object": "object",
        "id": "id",
        "type": "",
    }
)
"""Attributes of the path that are understood, and the fields they become."""
_QUERY: Final[Mapping[str, str]] = MappingProxyType({"module-path": "module_path", "pin-source": "pin_source"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Pkcs11Uri:
    """What a URI says; None for what it leaves open."""

    token: str | None = None
    """Label of the token."""
    manufacturer: str | None = None
    model: str | None = None
    serial: str | None = None
    slot_id: int | None = None
    object: str | None = None
    """Label of the key."""
    id: bytes | None = None
    module_path: str | None = None
    """Absolute path of the PKCS #11 module, a shared library."""
    pin_source: str | None = None
    """Absolute path of the file that holds the PIN."""

    @classmethod
    def parse(cls, text: str) -> Self:
        """Malformed unless the text is a URI of a private key, every part of which is understood."""
        if not text.startswith(SCHEME):
            raise Malformed(f"a PKCS #11 URI begins with {SCHEME}")
        if len(text) > MAX_CHARACTERS:
            raise Malformed(f"the PKCS #11 URI has more than {MAX_CHARACTERS} characters")
        path, _, query = text.removeprefix(SCHEME).partition("?")
        fields: dict[str, str | bytes | int] = {}
        for name, value in _attributes(path, ";", _PATH_VALUE):
            _take(fields, name, value, _PATH)
        for name, value in _attributes(query, "&", _QUERY_VALUE):
            _take(fields, name, value, _QUERY)
        return cls(**fields)  # type: ignore[arg-type] # the tables' names are the fields

    def to_text(self) -> str:
        """`parse` reads it back."""
        path = [
            f"{name}={_encoded(value, path=True)}"
            for name, field in _PATH.items()
            if field and (value := getattr(self, field)) is not None
        ]
        query = [
            f"{name}={_encoded(value, path=False)}"
            for name, field in _QUERY.items()
            if (value := getattr(self, field)) is not None
        ]
        return SCHEME + ";".join(path) + ("?" + "&".join(query) if query else "")

    def __str__(self) -> str:
        return self.to_text()


def _attributes(text: str, separator: str, value_form: re.Pattern[str]) -> list[tuple[str, bytes]]:
    found = []
    for part in text.split(separator) if text else []:
        name, equals, value = part.partition("=")
        if not equals or not value_form.fullmatch(value):
            raise Malformed(f"{name!r} is no attribute of a PKCS #11 URI, or its value is not percent-encoded")
        found.append((name, _PERCENT.sub(lambda match: chr(int(match[1], 16)), value).encode("latin-1")))
    return found


def _take(fields: dict[str, str | bytes | int], name: str, value: bytes, known: Mapping[str, str]) -> None:
    if name == "pin-value":
        raise Malformed("a PIN does not belong into a URI: name a file with pin-source")
    field = known.get(name)
    if field is None:
        raise Malformed(f"{name!r} is not understood in a PKCS #11 URI")
    if field in fields:
        raise Malformed(f"{name!r} stands twice in the PKCS #11 URI")
    if name == "type":
        if value != b"private":
            raise Malformed("the PKCS #11 URI is not that of a private key")
        return
    fields[field] = _value(name, value)


def _value(name: str, value: bytes) -> str | bytes | int:
    if name == "id":
        return value
    try:
        text = value.decode()
    except UnicodeDecodeError:
        raise Malformed(f"{name!r} in the PKCS #11 URI is no UTF-8") from None
    if "\0" in text:
        raise Malformed(f"{name!r} in the PKCS #11 URI has a zero octet")
    if name == "slot-id":
        if not re.fullmatch(r"[0-9]{1,10}", text):
            raise Malformed("slot-id in the PKCS #11 URI is no number")
        return int(text)
    if name == "pin-source":
        text = text.removeprefix("file:")
        text = text.removeprefix("//") if text.startswith("///") else text
    if name in _QUERY and not text.startswith("/"):
        raise Malformed(f"{name!r} in the PKCS #11 URI is an absolute path")
    return text


def _encoded(value: str | bytes | int, *, path: bool) -> str:
    octets = value if isinstance(value, bytes) else str(value).encode()
    allowed = _PATH_PLAIN if path else _QUERY_PLAIN
    return "".join(chr(octet) if chr(octet) in allowed else f"%{octet:02X}" for octet in octets)


_UNRESERVED: Final = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~:[]@!$'()*+,=")
_PATH_PLAIN: Final = _UNRESERVED | {"&"}
_QUERY_PLAIN: Final = _UNRESERVED | {"/", "?", "|"}
