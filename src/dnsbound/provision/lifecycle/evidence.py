"""What a roll knows, kept as JSON beside its state: TTLs that were seen, since when servers agree, who saw which key.

A wait is counted on a steady clock, one that nobody can set: it has a name, and readings of clocks with different names
are never compared. A machine that was started again, or another one, begins its own count; the earlier count stays.
"""

import json
import math
from dataclasses import dataclass, replace
from typing import Any, Final, Self

from dnsbound.errors import Malformed
from dnsbound.times import Moment, Seconds

WATCHES: Final = 8
"""Steady clocks remembered: machines that take turns at one inventory. The oldest watch makes room."""
NEVER_SEEN: Final = -1
"""In place of a TTL."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """What a steady clock shows. clock: names it, and changes when it begins anew."""

    clock: str
    seconds: Seconds


@dataclass(frozen=True, slots=True, kw_only=True)
class Watch:
    """One steady clock's reading when every server was first seen to serve what it should."""

    clock: str
    since: Seconds
    at: Moment
    """The same by the wall clock, for people."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """See the module."""

    old_ttl: int = NEVER_SEEN
    """Largest TTL of the RRset of before."""
    both_ttl: int = NEVER_SEEN
    """Largest TTL of the RRset with both keys."""
    signed_until: Moment | None = None
    """How long the old RRset's signatures hold: a removed record can be replayed until then."""
    watches: tuple[Watch, ...] = ()
    """Unbroken since every server serves the present state's RRset."""
    old_key_seen_at: Moment | None = None
    new_key_seen_at: Moment | None = None
    new_key_seen_by: str = ""
    """The door that saw the new key."""

    @property
    def new_key_is_used(self) -> bool:
        """The new key was seen, and the old one not after it."""
        if self.new_key_seen_at is None:
            return False
        return self.old_key_seen_at is None or self.old_key_seen_at < self.new_key_seen_at

    def with_watch(self, steady: Reading, *, now: Moment) -> Self:
        """Begin counting on this clock, unless it counts already."""
        mine = self._watch(steady)
        if mine is not None and mine.since <= steady.seconds:
            return self
        others = tuple(watch for watch in self.watches if watch.clock != steady.clock)
        begun = Watch(clock=steady.clock, since=steady.seconds, at=now)
        return replace(self, watches=(*others[-(WATCHES - 1) :], begun))

    def waited(self, steady: Reading) -> Seconds:
        """How long this clock has watched every server agree; 0 if it has not."""
        mine = self._watch(steady)
        return 0.0 if mine is None else max(0.0, steady.seconds - mine.since)

    def in_new_state(self) -> Self:
        """What is still true once another RRset is to be served."""
        return replace(self, watches=())

    def _watch(self, steady: Reading) -> Watch | None:
        return next((watch for watch in self.watches if watch.clock == steady.clock), None)

    def to_text(self) -> str:
        value: dict[str, object] = {
            "old_ttl": self.old_ttl,
            "both_ttl": self.both_ttl,
            "signed_until": self.signed_until,
            "watches": [[watch.clock, watch.since, watch.at] for watch in self.watches],
            "old_key_seen_at": self.old_key_seen_at,
            "new_key_seen_at": self.new_key_seen_at,
            "new_key_seen_by": self.new_key_seen_by,
        }
        return json.dumps(value, sort_keys=True)

    @classmethod
    def from_text(cls, text: str) -> Self:
        """Malformed for anything that `to_text` does not write."""
        try:
            value = json.loads(text)
            return cls(
                old_ttl=_whole(value["old_ttl"]),
                both_ttl=_whole(value["both_ttl"]),
                signed_until=_moment(value["signed_until"]),
                watches=tuple(_read_watch(*entry) for entry in value["watches"]),
                old_key_seen_at=_moment(value["old_key_seen_at"]),
                new_key_seen_at=_moment(value["new_key_seen_at"]),
                new_key_seen_by=_word(value["new_key_seen_by"]),
            )
        except (ValueError, KeyError, TypeError, RecursionError):
            raise Malformed("the evidence of a roll does not parse") from None


def _read_watch(clock: Any, since: Any, at: Any) -> Watch:  # noqa: ANN401 (parsed JSON)
    moments = _moment(since), _moment(at)
    if moments[0] is None or moments[1] is None:
        raise ValueError
    return Watch(clock=_word(clock), since=moments[0], at=moments[1])


def _whole(value: object) -> int:
    if type(value) is not int or value < NEVER_SEEN:
        raise ValueError
    return value


def _moment(value: object) -> Moment | None:
    if value is None:
        return None
    if type(value) not in (int, float) or not math.isfinite(value):  # type: ignore[arg-type] # the type was just seen
        raise ValueError
    return float(value)  # type: ignore[arg-type] # the same


def _word(value: object) -> str:
    if not isinstance(value, str):
        raise ValueError  # noqa: TRY004 (told as Malformed)
    return value
