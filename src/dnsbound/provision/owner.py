"""Owner names of zones and records as the inventory keeps them: ASCII, lower case, no final dot.

Letters, digits, hyphen and underscore only, no escapes (draft-ietf-dance-client-auth section 7); a wildcard label only
where it is asked for, and leftmost (RFC 4592 section 2.1.1). A final dot is accepted on reading, since people and zone
files write it.
"""

import re
from dataclasses import dataclass, field
from typing import Final, Self

from dnsbound.errors import Malformed
from dnsbound.names import MAX_NAME_OCTETS

_LABEL: Final = re.compile(r"[A-Za-z0-9_-]{1,63}")


@dataclass(frozen=True, slots=True, order=True)
class OwnerName:
    """A name in a zone. `sort_key` is the labels from the top down, so that everything below a name is one range."""

    sort_key: str
    text: str = field(compare=False)

    @classmethod
    def parse(cls, text: str, *, wildcard: bool = False) -> Self:
        """Read a name; raises Malformed. wildcard: the leftmost label may be `*`. The root is not a name here."""
        relative = text.removesuffix(".")
        if not relative:
            raise Malformed("the name is empty")
        if len(relative) > MAX_NAME_OCTETS:
            raise Malformed(f"the name is longer than {MAX_NAME_OCTETS} octets")
        labels = relative.split(".")
        for position, label in enumerate(labels):
            if label == "*" and wildcard and position == 0 and len(labels) > 1:
                continue
            if label == "*":
                raise Malformed(f"{text!r} has a wildcard where none can be")
            if not _LABEL.fullmatch(label):
                raise Malformed(f"the name {text!r} has a label that is empty, too long or outside a-z 0-9 - _")
        # Lowered after the check: the lower case of some letters outside ASCII is inside it.
        canonical = relative.lower()
        return cls(".".join(reversed(canonical.split("."))), canonical)

    @property
    def absolute(self) -> str:
        """With the final dot, as zone files write it."""
        return f"{self.text}."

    @property
    def is_wildcard(self) -> bool:
        return self.text.startswith("*.")

    @property
    def ancestors(self) -> tuple[str, ...]:
        """Texts of the name itself and of every name above it but the root, nearest first."""
        labels = self.text.split(".")
        return tuple(".".join(labels[index:]) for index in range(len(labels)))

    @property
    def below(self) -> tuple[str, str]:
        """Bounds [first, last) of the sort keys of every name below this one."""
        return f"{self.sort_key}.", f"{self.sort_key}/"

    def is_at_or_below(self, other: "OwnerName") -> bool:
        return self.sort_key == other.sort_key or self.sort_key.startswith(f"{other.sort_key}.")

    def __str__(self) -> str:
        return self.text
