"""Bringing a name's end to the doors of this machine: every board is asked to forget it, until each door has closed.

A door is closed when it asked the DNS anew, was told that no key may use the name any more, and has nobody of that name
in. Until then it is asked again: resolvers on the way may remember the record for as long as its TTL.
"""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from dnsbound.errors import Malformed
from dnsbound.names import ClientName
from dnsbound.records.tlsa import TLSA
from dnsbound.times import Seconds

if TYPE_CHECKING:
    from dnsbound.edge.board_asking import ForgottenAt, Unasked
    from dnsbound.edge.board_lines import Forgotten

_BETWEEN: Final[Seconds] = 1.0
_REMEMBERED: Final = "the resolver that it asks still tells the record"
_DECIDED: Final = frozenset({"secure nodata", "secure nxdomain", "secure records"})


@dataclass(frozen=True, slots=True, kw_only=True)
class DoorClosed:
    """A door, and how it stands with a name. seconds: from the change to the look that found it closed, or to the last
    one. cut: connections and sessions that were ended. why: why it is not closed; empty where it is."""

    door: str
    name: ClientName
    kind: str
    label: str
    pid: int
    seconds: Seconds
    cut: int
    why: str = ""

    @property
    def is_closed(self) -> bool:
        return not self.why

    def to_json(self) -> dict[str, Any]:
        return {
            "door": self.door,
            "name": self.name.canonical,
            "kind": self.kind,
            "label": self.label,
            "pid": self.pid,
            "closed": self.is_closed,
            "seconds": round(self.seconds, 3),
            "cut": self.cut,
            "why": self.why,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Closing:
    """What came of it. unasked: boards that gave no whole answer at the last look."""

    doors: tuple[DoorClosed, ...]
    unasked: "tuple[Unasked, ...]"

    @property
    def is_complete(self) -> bool:
        return not self.unasked and all(door.is_closed for door in self.doors)


def close_doors(
    names: list[ClientName],
    *,
    changed_at: Seconds,
    wait: Seconds,
    monotonic: Callable[[], Seconds] = time.monotonic,
    sleep: Callable[[Seconds], None] = time.sleep,
) -> Closing:
    """Ask all boards, and again those that are not done, for `wait` seconds at most. changed_at: on `monotonic`, when
    the name came to its end."""
    from dnsbound.edge.board_asking import forget_everywhere

    ends_at = monotonic() + wait
    doors: dict[tuple[int, str, str], DoorClosed] = {}
    while True:
        unasked: dict[Any, Unasked] = {}
        looked: dict[tuple[int, str, str], DoorClosed] = {}
        for name in names:
            for answer in forget_everywhere(name):
                for found in _doors_of(answer, name, monotonic() - changed_at, unasked):
                    key = found.pid, found.door, name.canonical
                    # One process may have one door several times over, as a network with two listeners.
                    looked[key] = _worse(looked.get(key), found)
        doors = {key: _since(doors.get(key), found) for key, found in looked.items()}
        closing = Closing(doors=tuple(doors.values()), unasked=tuple(unasked.values()))
        if closing.is_complete or monotonic() >= ends_at:
            return closing
        sleep(min(_BETWEEN, max(ends_at - monotonic(), 0.0)))


def _doors_of(
    answer: "ForgottenAt | Unasked", name: ClientName, seconds: Seconds, unasked: "dict[Any, Unasked]"
) -> Iterator[DoorClosed]:
    from dnsbound.edge.board_asking import Unasked

    if isinstance(answer, Unasked):
        unasked[answer.path] = answer
        return
    for found in answer.doors:
        yield DoorClosed(
            door=found.door,
            name=name,
            kind=answer.board.kind,
            label=answer.board.label,
            pid=answer.board.pid,
            seconds=seconds,
            cut=found.cut,
            why=why_open(found),
        )


def why_open(found: "Forgotten") -> str:
    """Why the name may still be in, or come in, at a door; empty for a door that is closed to it."""
    if found.carried:
        return f"{found.carried} stay by chains that they carry, until these end"
    if found.renewed:
        return _REMEMBERED
    if found.kept:
        return f"{found.kept} stay while the DNS cannot be asked"
    # Nobody is let in by an insecure answer, whatever it says.
    if not found.permitted or not found.state or found.state.startswith("insecure"):
        return ""
    if found.state not in _DECIDED:
        return f"the DNS could not be asked ({found.state})"
    return "" if all(map(_is_block, found.records)) else _REMEMBERED


def _is_block(record: str) -> bool:
    try:
        return TLSA.from_text(record).is_block
    except Malformed:
        return False


def _worse(former: DoorClosed | None, found: DoorClosed) -> DoorClosed:
    if former is None:
        return found
    return _with_cut(found if former.is_closed else former, former.cut + found.cut)


def _since(former: DoorClosed | None, found: DoorClosed) -> DoorClosed:
    """A door that was closed before is closed since then; those it cut before count."""
    if former is None:
        return found
    return _with_cut(former if former.is_closed and found.is_closed else found, former.cut + found.cut)


def _with_cut(door: DoorClosed, cut: int) -> DoorClosed:
    return replace(door, cut=cut)
