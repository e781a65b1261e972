"""Confirming rolls from a door's log of decisions (docs/howto/logging.md): who was let in by which record.

A record that only the new key has means that the client works with it. Lines of other kinds, refusals, and clients that
are not rolled say nothing; lines that are no decisions are counted and told.
"""

import json
import sys
import time
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Final, NamedTuple

from dnsbound.cli.output import advise, emit, say
from dnsbound.cli.roll_output import facts, line
from dnsbound.errors import Malformed
from dnsbound.names import ClientName
from dnsbound.records.tlsa import TLSA
from dnsbound.times import Moment, moment_of_text

if TYPE_CHECKING:
    from dnsbound.provision.inventory import Inventory

LINE_OCTETS: Final = 65_536
"""Longer than any decision."""
_ADMITTED: Final = "admitted"


class Sighting(NamedTuple):
    """A client that a door let in."""

    name: ClientName
    record: TLSA
    at: Moment
    door: str


def confirm_from_log(store: "Inventory", source: str, *, as_json: bool) -> None:
    """Read decisions until the log ends, and tell each roll that they confirm."""
    from dnsbound.provision.lifecycle.machine import RollState

    bad = 0
    with nullcontext(sys.stdin.buffer) if source == "-" else Path(source).open("rb") as log:
        for octets in _lines(log):
            try:
                sighting = parse_sighting(octets)
            except Malformed:
                bad += 1
                continue
            if sighting is None:
                continue
            name, record, at, door = sighting
            roll = store.rolls.sighted_by_record(name, record, at=at, door=door, now=time.time())
            if roll is not None and roll.state is RollState.RETIRE:
                if as_json:
                    emit(facts(roll))
                else:
                    say(line(roll))
    if bad:
        advise(f"{bad} line{'' if bad == 1 else 's'} of {source} did not parse as decisions.")


def parse_sighting(octets: bytes) -> Sighting | None:
    """One line of a door's log; None for a decision that says nothing of a key. Malformed for anything else."""
    try:
        value = json.loads(octets)
        verdict, door, at = value["verdict"], value["door"], value["at"]
        if verdict != _ADMITTED or "record" not in value:
            return None
        name, record = value["name"], value["record"]
    except (ValueError, KeyError, TypeError, RecursionError):
        raise Malformed("not a line of decisions") from None
    if not all(isinstance(text, str) for text in (door, at, name, record)) or not door.isprintable():
        raise Malformed("not a line of decisions")
    return Sighting(ClientName.parse(name), TLSA.from_text(record), moment_of_text(at), door)


def _lines(log: BinaryIO) -> Iterator[bytes]:
    """Lines as they come; of one that is too long, its beginning, which does not parse."""
    while octets := log.readline(LINE_OCTETS):
        yield octets
        while octets and not octets.endswith(b"\n"):
            octets = log.readline(LINE_OCTETS)
