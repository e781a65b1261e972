"""Structured fields of signed messages (RFC 9651), as `http_sf` reads and writes them, and no looser.

A dictionary with a key twice, and parameters with a name twice, are Malformed: RFC 9651 lets the last one win, and two
readers that disagree about which one counts are two signatures.
"""

from collections.abc import Mapping
from typing import Any, TypeAlias

import http_sf

from dnsbound.errors import Malformed

Parameters: TypeAlias = dict[str, Any]
Member: TypeAlias = tuple[Any, Parameters]
"""A value, or the list of an inner list's items, with its parameters."""


def dictionary(value: str, field: str) -> dict[str, Member]:
    """The members of a dictionary, each with its parameters. Malformed."""
    try:
        parsed = http_sf.parse(value.encode("ascii"), tltype="dictionary", on_duplicate_key=_refuse)
    except (ValueError, TypeError, OverflowError, OSError) as error:
        raise Malformed(f"{field} is no dictionary of structured fields: {error}") from None
    if not isinstance(parsed, dict):
        raise Malformed(f"{field} is no dictionary of structured fields")
    return parsed  # type: ignore[return-value]  # the library's members carry parameters whenever it has parsed them


def inner_list(member: Member, field: str) -> tuple[list[Member], Parameters]:
    """The items of an inner list and its own parameters. Malformed for another member."""
    items, parameters = member
    if not isinstance(items, list):
        raise Malformed(f"a member of {field} is no inner list")
    return items, parameters


def byte_sequence(member: Member, field: str) -> bytes:
    """The octets of a byte sequence without parameters. Malformed for another member."""
    octets, parameters = member
    if not isinstance(octets, bytes) or parameters:
        raise Malformed(f"a member of {field} is no byte sequence")
    return octets


def text_of_dictionary(members: Mapping[str, object]) -> str:
    return http_sf.ser(dict(members))  # type: ignore[arg-type]


def text_of_item(member: object) -> str:
    """One item, or inner list, as text; a tuple of value and parameters."""
    items = member[0] if isinstance(member, tuple) else member
    if isinstance(items, list):
        # An inner list stands in a list or a dictionary alone, so that it is written as a list of one.
        return http_sf.ser([member])  # type: ignore[list-item]
    return http_sf.ser(member)  # type: ignore[arg-type]


def _refuse(key: str, context: str) -> None:
    raise ValueError(f"the {context} has {key[:40]!r} twice")
