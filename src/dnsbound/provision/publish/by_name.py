"""Changes put together by name for servers that are written whole RRsets at a time: what is read is merged with ours.

Not here: reading and writing (`powerdns`, `octodns_provider`). Dynamic updates add and remove single records instead
(`update_batch`).
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from dnsbound.errors import DnsboundError, Malformed
from dnsbound.provision.owner import OwnerName
from dnsbound.provision.publish.publisher import Change, Outcome, OutcomeKind
from dnsbound.provision.publish.record_text import wire_of_text


@dataclass(slots=True)
class NameWork:
    """All changes of one name."""

    owner: OwnerName
    changes: list[Change] = field(default_factory=list)

    def refused_because(self, zone: OwnerName) -> str | None:
        """Why the changes are not even sent."""
        try:
            for change in self.changes:
                change.checked(zone)
        except DnsboundError as error:
            return str(error)
        return None


def works_of(changes: Iterable[Change]) -> Iterator[NameWork]:
    """Neighbouring changes of one name together."""
    work: NameWork | None = None
    for change in changes:
        if work is not None and work.owner == change.owner:
            work.changes.append(change)
            continue
        if work is not None:
            yield work
        work = NameWork(change.owner, [change])
    if work is not None:
        yield work


def halves(batch: Sequence[NameWork]) -> tuple[Sequence[NameWork], Sequence[NameWork]]:
    middle = len(batch) // 2
    return batch[:middle], batch[middle:]


def outcomes(batch: Iterable[NameWork], kind: OutcomeKind, line: str = "") -> Iterator[Outcome]:
    """The same outcome for every change."""
    return (Outcome(change=change, kind=kind, line=line) for work in batch for change in work.changes)


def sift(batch: Iterable[NameWork], zone: OwnerName) -> tuple[list[NameWork], list[Outcome]]:
    """What can be sent, and the outcomes of what cannot."""
    good: list[NameWork] = []
    refused: list[Outcome] = []
    for work in batch:
        wrong = work.refused_because(zone)
        if wrong is None:
            good.append(work)
        else:
            refused += outcomes([work], OutcomeKind.REFUSED, wrong)
    return good, refused


def canonical(rdtype: str, text: str) -> bytes:
    """Record data for comparison; what does not parse is somebody else's and equals nothing of ours."""
    try:
        return wire_of_text(rdtype, text)
    except Malformed:
        return b"?" + text.encode()
