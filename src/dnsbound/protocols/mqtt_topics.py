"""MQTT topic names and topic filters: what is one, and whether everything one filter matches is matched by another.

`covers` is inclusion of filters, which is what an access list of filters needs: a client that is granted
`devices/car54/#` may subscribe to `devices/car54/+` and not to `devices/+/state`. A topic name is a filter that matches
itself alone, so that the same question decides about publishing. What is granted to whom is `dnsbound.protocols.
mqtt_grants`.

Sections: MQTT 5.0 sections 1.5.4, 4.7.1, 4.7.2, 4.7.3 and 4.8.2; MQTT 3.1.1 sections 1.5.3 and 4.7.
"""

from typing import Final, TypeAlias

from dnsbound.budget import Budget
from dnsbound.errors import Malformed

Levels: TypeAlias = tuple[str, ...]

ANY_BELOW: Final = "#"
ANY_LEVEL: Final = "+"
SHARED: Final = "$share/"
MAX_TOPIC_OCTETS: Final = 65_535


def topic_text(octets: bytes, what: str) -> str:
    """The text of a topic name or filter as it is on the wire; Malformed for what MQTT does not allow in one."""
    try:
        text = octets.decode("utf-8")
    except UnicodeDecodeError as error:
        raise Malformed(f"{what} is not UTF-8", error.start) from None
    if not text:
        raise Malformed(f"{what} is empty")
    if "\x00" in text:
        raise Malformed(f"{what} holds U+0000", text.index("\x00"))
    return text


def topic_levels(text: str) -> Levels:
    """The levels of a topic name; Malformed when it has a wildcard."""
    for wildcard in (ANY_BELOW, ANY_LEVEL):
        if wildcard in text:
            raise Malformed("a topic name holds a wildcard", text.index(wildcard))
    return tuple(text.split("/"))


def filter_levels(text: str) -> Levels:
    """The levels of a topic filter, without the group of a shared subscription; Malformed."""
    levels = tuple(_unshared(text).split("/"))
    for position, level in enumerate(levels):
        if level == ANY_BELOW and position != len(levels) - 1:
            raise Malformed("a topic filter goes on behind its multi-level wildcard")
        if len(level) > 1 and (ANY_BELOW in level or ANY_LEVEL in level):
            raise Malformed("a topic filter has a wildcard that is not a whole level")
    return levels


def _unshared(text: str) -> str:
    """Section 4.8.2: `$share/GROUP/FILTER` subscribes to what FILTER matches."""
    if not text.startswith(SHARED):
        return text
    group, separator, shared = text[len(SHARED) :].partition("/")
    if not group or not separator or not shared or ANY_BELOW in group or ANY_LEVEL in group:
        raise Malformed("a shared subscription has no group or no filter")
    if shared.startswith(SHARED):
        raise Malformed("a shared subscription of a shared subscription")
    return shared


def covers(granted: Levels, asked: Levels, budget: Budget) -> bool:
    """Whether every topic name that `asked` matches is matched by `granted` too.

    A wildcard at the first level matches no topic that begins with `$` (section 4.7.2), so that `#` does not cover
    `$SYS/#`. Each level looked at is spent from the budget.
    """
    budget.spend(min(len(granted), len(asked)))
    if asked[0].startswith("$") and granted[0] in (ANY_BELOW, ANY_LEVEL):
        return False
    if asked == (ANY_BELOW,):
        return granted in ((ANY_BELOW,), (ANY_LEVEL, ANY_BELOW))
    for position, level in enumerate(granted):
        if level == ANY_BELOW:
            return True  # also when nothing is left of `asked`: `a/#` matches `a`
        if position == len(asked) or asked[position] == ANY_BELOW:
            return False
        if level not in (ANY_LEVEL, asked[position]):
            return False
    return len(asked) == len(granted)
