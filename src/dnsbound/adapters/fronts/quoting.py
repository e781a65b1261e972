"""Values in other programs' configuration files, quoted as each syntax wants it.

What a syntax cannot hold literally is refused: a value never becomes a second directive, a variable or a comment.
"""

import json
import re
from typing import Final

from dnsbound.errors import Misuse

_WORD: Final = re.compile(r"[A-Za-z0-9._:/@=+,-]+")


def printable(value: str, what: str) -> str:
    """Any text on one line. Misuse for line breaks and other control characters, which no syntax here can hold."""
    if not value or not value.isprintable():
        raise Misuse(f"{what} cannot stand in a configuration file: {value!r}")
    return value


def word(value: str, what: str) -> str:
    """For syntaxes without quotes: letters, digits and marks that mean nothing anywhere."""
    if _WORD.fullmatch(value) is None:
        raise Misuse(f"{what} cannot stand in this configuration: {value!r} has other characters than ._:/@=+,-")
    return value


def nginx(value: str, what: str) -> str:
    """A double-quoted nginx argument. A dollar sign begins a variable, and nothing escapes it."""
    return _quoted(value, what, refused="$")


def haproxy(value: str, what: str) -> str:
    """HAProxy's strong quotes, within which nothing has a meaning, so that nothing can stand for a quote either."""
    if "'" in printable(value, what):
        raise Misuse(f"{what} cannot stand in HAProxy's quotes: {value!r}")
    return f"'{value}'"


def apache(value: str, what: str) -> str:
    """A double-quoted argument of Apache. `${` begins a variable; `%` is a format's in some directives."""
    return _quoted(value, what, refused="$%")


def caddy(value: str, what: str) -> str:
    """A double-quoted token of a Caddyfile. Braces are placeholders, and a backslash escapes quotes alone."""
    return _quoted(value, what, refused="{}\\")


def lua(value: str, what: str) -> str:
    """A Lua string; octets outside visible ASCII by number."""
    octets = printable(value, what).encode()
    return '"' + "".join(chr(o) if 32 <= o < 127 and o not in b'"\\' else f"\\{o:03d}" for o in octets) + '"'


def json_text(value: str, what: str) -> str:
    """A JSON string, which JavaScript, YAML and, for these characters, TOML read as well."""
    return json.dumps(printable(value, what))


def _quoted(value: str, what: str, *, refused: str) -> str:
    if any(mark in printable(value, what) for mark in refused):
        raise Misuse(f"{what} cannot be quoted here: {value!r} has one of {refused}")
    escaped = value.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
