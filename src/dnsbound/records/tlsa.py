"""TLSA record data (RFC 6698 section 2): usage, selector, matching type, association data.

A value may hold numbers this package does not know or data of a wrong length: it is then unusable (RFC 6698 section
4.1, RFC 7671 section 9), which `unusable_because` says. Parsing fails only where the octets or the text do not have the
form of the record.
"""

import binascii
from dataclasses import dataclass
from typing import Final, Self

from dnsbound.errors import Malformed
from dnsbound.iana import MatchingType, Selector, Usage
from dnsbound.wire import Reader

_USAGES: Final = frozenset(map(int, Usage))
_SELECTORS: Final = frozenset(map(int, Selector))
_MATCHING_TYPES: Final = frozenset(map(int, MatchingType))
_DIGEST_OCTETS: Final[dict[int, int]] = {MatchingType.SHA2_256: 32, MatchingType.SHA2_512: 64}
_MAX_RDATA: Final = 65535


@dataclass(frozen=True, slots=True, order=True)
class TLSA:
    """One TLSA record's data. The three numbers are plain octets, so that unknown ones survive a round trip."""

    usage: int
    selector: int
    matching_type: int
    data: bytes

    def __post_init__(self) -> None:
        for field, value in (("usage", self.usage), ("selector", self.selector), ("matching type", self.matching_type)):
            if not 0 <= value <= 255:
                raise Malformed(f"TLSA {field} {value} is not one octet")
        if len(self.data) > _MAX_RDATA - 3:
            raise Malformed("TLSA association data does not fit a record")

    @classmethod
    def from_wire(cls, rdata: bytes) -> Self:
        reader = Reader(rdata, "TLSA record")
        return cls(reader.uint(1), reader.uint(1), reader.uint(1), reader.rest())

    def to_wire(self) -> bytes:
        return bytes((self.usage, self.selector, self.matching_type)) + self.data

    @classmethod
    def from_text(cls, text: str) -> Self:
        """Presentation form: three decimal numbers or RFC 7218 acronyms, then hexadecimal digits, spaces allowed."""
        fields = text.split()
        if len(fields) < 3:
            raise Malformed("TLSA record text has fewer than three numbers")
        numbers = (
            _number(fields[0], _USAGE_WORDS, "usage"),
            _number(fields[1], _SELECTOR_WORDS, "selector"),
            _number(fields[2], _MATCHING_WORDS, "matching type"),
        )
        try:
            data = binascii.unhexlify("".join(fields[3:]))
        except (binascii.Error, ValueError):
            raise Malformed("TLSA association data is not hexadecimal") from None
        return cls(*numbers, data)

    def to_text(self) -> str:
        return f"{self.parameters} {self.data.hex()}"

    @property
    def parameters(self) -> str:
        """The three numbers as people write them, such as `3 1 1`."""
        return f"{self.usage} {self.selector} {self.matching_type}"

    @property
    def unusable_because(self) -> str | None:
        """Why no verifier can use the record, or None (RFC 6698 section 4.1)."""
        if self.usage not in _USAGES:
            return f"unknown certificate usage {self.usage}"
        if self.selector not in _SELECTORS:
            return f"unknown selector {self.selector}"
        if self.matching_type not in _MATCHING_TYPES:
            return f"unknown matching type {self.matching_type}"
        expected = _DIGEST_OCTETS.get(self.matching_type)
        if expected is not None and len(self.data) != expected:
            return f"association data has {len(self.data)} octets, not {expected}"
        if not self.data:
            return "association data is empty"
        return None

    @property
    def is_block(self) -> bool:
        """Whether it stands at a name only so that the name has a record and no key (docs/decisions/0010)."""
        return self == BLOCK

    def __str__(self) -> str:
        return self.to_text()


BLOCK: Final = TLSA(3, 1, 1, bytes(32))
"""The blocking record: a usable `3 1 1` of 32 zero octets. No key with that digest can be made, and a name that has it
is not spoken for by a wildcard (RFC 4592 section 2.2.1)."""

_USAGE_WORDS: Final = {"pkix-ta": 0, "pkix-ee": 1, "dane-ta": 2, "dane-ee": 3, "privcert": 255}
_SELECTOR_WORDS: Final = {"cert": 0, "spki": 1, "privsel": 255}
_MATCHING_WORDS: Final = {"full": 0, "sha2-256": 1, "sha2-512": 2, "privmatch": 255}


def _number(text: str, words: dict[str, int], field: str) -> int:
    known = words.get(text.lower())
    if known is not None:
        return known
    if not text.isascii() or not text.isdigit() or len(text) > 3 or int(text) > 255:
        raise Malformed(f"TLSA {field} {text!r} is neither a number from 0 to 255 nor an RFC 7218 acronym")
    return int(text)
