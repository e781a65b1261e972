"""Vendors' and rarely used attributes by name, as dictionary files in FreeRADIUS' format give them; read with pyrad.

    attributes = { "Aruba-User-Role" = "guest", "Cisco-AVPair" = ["a=b", "c=d"], "Service-Type" = "Framed-User" }

For what operators name in grants: packets themselves are read and written by
`protocols.radius`, which needs no dictionary. The attributes of `radius_attributes` are known without any file. Files
are read by the caller; one that includes others is Malformed, so that nothing is opened here.

What cannot be granted: attributes an Access-Accept has no place for, those that are decided or computed elsewhere,
those that are encrypted, and values inside of values (TLV).

Sections: RFC 2865 sections 5 and 5.26, RFC 2868 section 3.
"""

import io
import struct
from collections.abc import Iterable
from typing import Any, Final

from dnsbound.errors import Malformed, Misuse
from dnsbound.iana import RadiusAttribute, RadiusCode
from dnsbound.protocols.radius_attributes import MAX_VALUE, RULES, Attribute, Attributes, Count, Kind, count_of
from dnsbound.protocols.radius_keys import MICROSOFT, RECV_KEY, SEND_KEY

DECIDED: Final = frozenset(
    {
        *(RadiusAttribute.USER_NAME, RadiusAttribute.STATE, RadiusAttribute.CLASS, RadiusAttribute.PROXY_STATE),
        *(RadiusAttribute.SESSION_TIMEOUT, RadiusAttribute.TERMINATION_ACTION, RadiusAttribute.EAP_MESSAGE),
        *(RadiusAttribute.MESSAGE_AUTHENTICATOR, RadiusAttribute.CHARGEABLE_USER_IDENTITY),
        *(RadiusAttribute.EAP_KEY_NAME, RadiusAttribute.VENDOR_SPECIFIC),
    }
)
"""What the server says by itself, and what only has a meaning by its vendor's names."""

_KEYS: Final = frozenset({(MICROSOFT, SEND_KEY), (MICROSOFT, RECV_KEY)})
_FAULTS: Final = (ValueError, TypeError, KeyError, IndexError, AttributeError, struct.error)
"""What pyrad raises for values and lines it does not understand."""


class AttributeDictionary:
    """Attributes by name. Implements `radius_grants.AttributeNames`."""

    __slots__ = ("_parsed",)

    def __init__(self, files: Iterable[tuple[str, str]] = ()) -> None:
        """files: name and text of dictionary files, in order. Malformed with the file's name, Misuse without pyrad."""
        self._parsed = _dictionary_type()()
        _read(self._parsed, "the built-in dictionary", _built_in())
        for name, text in files:
            _read(self._parsed, name, text)

    def encode(self, name: str, value: object) -> Attributes:
        """The attribute, or one for each value of a list. Malformed when it is unknown, cannot be granted, or cannot
        have this value."""
        found = self._parsed.attributes.get(name)
        if found is None:
            raise Malformed(f"attribute {name!r} is in no dictionary")
        key = self._parsed.attrindex.GetForward(name)
        _check_grantable(name, key, found)
        values = value if isinstance(value, tuple | list) else (value,)
        if not values:
            raise Malformed(f"attribute {name!r} has no value")
        return tuple(_packed(name, key, _encoded(name, found, one)) for one in values)


def _dictionary_type() -> Any:  # noqa: ANN401 (pyrad has no types)
    try:
        from pyrad.dictionary import Dictionary  # type: ignore[import-untyped]
    except ModuleNotFoundError:
        raise Misuse("attributes by name need the extra: pip install 'dnsbound[radius]'") from None
    return Dictionary


def _read(dictionary: Any, name: str, text: str) -> None:  # noqa: ANN401 (as above)
    from pyrad.dictionary import ParseError

    for line, words in enumerate(map(str.split, text.splitlines()), 1):
        if words and words[0].upper().startswith("$INCLUDE"):
            raise Malformed(f"{name}, line {line}: dictionaries that include others are not read; name both")
    try:
        dictionary.ReadDictionary(io.StringIO(text))
    except ParseError as error:
        raise Malformed(f"{name}, line {error.line}: {error.msg}") from None
    except _FAULTS as error:
        raise Malformed(f"{name}: {error}") from None


def _built_in() -> str:
    return "\n".join(
        f"ATTRIBUTE {rule.name} {int(number)} {rule.kind.value}"
        for number, rule in RULES.items()
        if rule.kind is not Kind.HIDDEN and number != RadiusAttribute.VENDOR_SPECIFIC
    )


def _check_grantable(name: str, key: Any, found: Any) -> None:  # noqa: ANN401 (pyrad's attribute)
    if found.encrypt or key in _KEYS:
        raise Malformed(f"attribute {name!r} is encrypted, and cannot be granted")
    if found.is_sub_attribute or found.type == "tlv":
        raise Malformed(f"attribute {name!r} is inside of another, or has others inside, and cannot be granted")
    if isinstance(key, int) and (key in DECIDED or count_of(RadiusCode.ACCESS_ACCEPT, key) is Count.NONE):
        raise Malformed(f"attribute {name!r} cannot be granted: an Access-Accept has it from elsewhere, or never")


def _encoded(name: str, found: Any, value: object) -> bytes:  # noqa: ANN401 (pyrad's attribute)
    from pyrad.tools import EncodeAttr  # type: ignore[import-untyped]

    if isinstance(value, str) and found.values.HasForward(value):
        return bytes(found.values.GetForward(value))
    if not isinstance(value, str | int) or isinstance(value, bool):
        raise Malformed(f"attribute {name!r} has a text or a number as its value, not {value!r}")
    try:
        octets = bytes(EncodeAttr(found.type, value))
    except _FAULTS:
        raise Malformed(f"attribute {name!r} cannot have the value {value!r}: its type is {found.type}") from None
    if not octets:
        raise Malformed(f"attribute {name!r} has an empty value")
    return octets


def _packed(name: str, key: Any, octets: bytes) -> Attribute:  # noqa: ANN401 (a number, or vendor and number)
    if isinstance(key, int):
        number, value = key, octets
    else:
        vendor, inner = key
        number = int(RadiusAttribute.VENDOR_SPECIFIC)
        value = vendor.to_bytes(4, "big") + bytes((inner, min(len(octets) + 2, 0xFF))) + octets
    if not 1 <= number <= 0xFF or len(value) > MAX_VALUE:
        raise Malformed(f"attribute {name!r} does not fit: {len(value)} octets, of {MAX_VALUE} at most")
    return number, value
