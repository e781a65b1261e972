"""One run of updates to a primary: several on their way at once, sent again until it is known what became of them.

An update may be repeated, so that a lost answer, a broken connection or a failing server costs nothing but time. A
server does all of an update or nothing: one that is refused is cut in halves until the names at fault stand alone. An
answer counts when it is signed with the key; one that says no without a signature is believed to say no, since nothing
was published then, and the names stay on the list.

Not here: the octets (`dnsbound.dns.update`, `dnsbound.dns.tsig`), and whose records are whose.

Sections: RFC 2136 sections 3 and 4 (server, repetition), RFC 8945 section 5.3, RFC 7766 section 6.2.1.1.
"""

import secrets
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

import dns.rcode
from dns.rcode import Rcode

from dnsbound.dns.tsig import SignedRequest, Standing, TsigKey
from dnsbound.dns.update import ANSWERS, Answer, Meaning, UpdateResponse
from dnsbound.errors import Malformed, Misuse
from dnsbound.limits import PUBLISH_ATTEMPTS
from dnsbound.provision.owner import OwnerName
from dnsbound.provision.publish.dns_stream import DnsStream
from dnsbound.provision.publish.primary_reader import PrimaryReader
from dnsbound.provision.publish.publisher import Change, Outcome, OutcomeKind, ServerRefused, ServerUnclear
from dnsbound.provision.publish.targets import Rfc2136Target
from dnsbound.provision.publish.update_batch import ALIAS, Batch, NameChanges, batches, fits
from dnsbound.times import Moment

FIRST_PAUSE: Final = 0.2
"""Seconds before something is sent again; each time twice as long."""
LOOKS: Final = (0.0, 0.2, 0.4, 0.8, 1.6)
"""Seconds before each look at whether a name turned between alias and records."""

STANDINGS: Final[Mapping[Standing, Answer]] = MappingProxyType(
    {
        Standing.AUTHENTIC: Answer(Meaning.ACCEPTED, "signed as it should be"),
        Standing.UNSIGNED: Answer(Meaning.FAILED, "its answer is not signed and proves nothing"),
        Standing.FORGED: Answer(Meaning.FAILED, "its answer is signed with another key, or was changed on the way"),
        Standing.OUT_OF_TIME: Answer(Meaning.FAILED, "its answer is signed at a time too far from ours"),
        Standing.KEY_UNKNOWN: Answer(Meaning.ALL_IS_WRONG, "it knows no TSIG key of this name and algorithm (BADKEY)"),
        Standing.SIGNATURE_REFUSED: Answer(Meaning.ALL_IS_WRONG, "its secret for the TSIG key is another (BADSIG)"),
        Standing.TIME_REFUSED: Answer(Meaning.FAILED, "its clock and ours differ too much for TSIG (BADTIME)"),
        Standing.OTHER_ERROR: Answer(Meaning.FAILED, "it answers with an error of TSIG"),
    }
)
"""What the signature of an answer says; AUTHENTIC: its response code counts."""


@dataclass(frozen=True, slots=True)
class _Sent:
    batch: Batch
    request: SignedRequest


class UpdateRun:
    """Takes names from an iterator as there is room on the way to the server."""

    def __init__(
        self,
        target: Rfc2136Target,
        key: TsigKey,
        reader: PrimaryReader,
        names: Iterator[NameChanges],
        *,
        clock: Callable[[], Moment],
    ) -> None:
        self._target = target
        self._key = key
        self._reader = reader
        self._clock = clock
        self._source = batches(self._admitted(names), target.batch)
        self._stream: DnsStream | None = None
        self._sent: dict[int, _Sent] = {}
        self._waiting: deque[Batch] = deque()
        self._ready: deque[Outcome] = deque()
        self._failures = 0
        self._stopped = False

    def outcomes(self) -> Iterator[Outcome]:
        try:
            going_on = True
            while going_on:
                going_on = self._step()
                while self._ready:
                    yield self._ready.popleft()
        finally:
            self._disconnect()

    def _step(self) -> bool:
        """Send what there is room for, and wait for one answer. Whether there is more to do."""
        while len(self._sent) < self._target.in_flight and (batch := self._next()) is not None:
            self._send(batch)
        if self._sent:
            self._receive()
        elif self._waiting:
            time.sleep(max(0.0, self._waiting[0].not_before - time.monotonic()))
        else:
            return False
        return True

    def _next(self) -> Batch | None:
        if self._waiting:
            # Nothing new before what has to be sent again, which waits for the server to recover.
            return self._waiting.popleft() if self._waiting[0].not_before <= time.monotonic() else None
        return None if self._stopped else next(self._source, None)

    def _admitted(self, names: Iterator[NameChanges]) -> Iterator[NameChanges]:
        for name in names:
            line = "" if fits(name) else f"the records of {name.owner} do not fit one update"
            try:
                for change in name.changes:
                    change.checked(self._target.zone)
            except (Misuse, Malformed) as error:
                line = str(error)
            if line:
                self._tell(name.changes, OutcomeKind.REFUSED, line)
            else:
                yield name

    # Sending

    def _send(self, batch: Batch) -> None:
        try:
            aliases = self._aliases(batch)
            if not batch.names:
                return
            update = batch.update(self._target.zone, aliases)
            ident = secrets.randbits(16)
            while ident in self._sent:
                ident = secrets.randbits(16)
            request = self._key.sign(update.to_wire(ident), now=self._clock())
            if self._stream is None:
                self._stream = DnsStream(self._target.server, self._target.seconds)
            # Kept before it is sent: it may have arrived though sending failed.
            self._sent[ident] = _Sent(batch, request)
            self._stream.send([request.wire])
        except ServerUnclear as error:
            if all(sent.batch is not batch for sent in self._sent.values()):
                self._again(batch, str(error))
            self._broken(str(error))

    def _aliases(self, batch: Batch) -> dict[OwnerName, str]:
        """The aliases that stand where this batch puts one. Names where somebody else's stands leave the batch."""
        making = [name for name in batch.names if name.makes_alias]
        if not making:
            return {}
        try:
            served = self._reader.read([name.owner for name in making], (ALIAS,))
            found = {one.owner: one.rdatas[0] for one in served if one.rdtype == ALIAS}
        except ServerRefused as refusal:
            self._leave_out(batch, making, f"an alias goes only where the server can be asked what stands: {refusal}")
            return {}
        ours = {
            name.owner: {text for change in name.changes if change.rdtype == ALIAS for text in _both(change)}
            for name in making
        }
        foreign = [name for name in making if name.owner in found and found[name.owner] not in ours[name.owner]]
        self._leave_out(batch, foreign, "somebody else's alias (CNAME) stands at the name")
        return found

    def _leave_out(self, batch: Batch, names: list[NameChanges], line: str) -> None:
        left = {name.owner for name in names}
        batch.names = [name for name in batch.names if name.owner not in left]
        for name in names:
            self._tell(name.changes, OutcomeKind.REFUSED, line)

    # Receiving

    def _receive(self) -> None:
        assert self._stream is not None
        try:
            wire = self._stream.receive()
            response = UpdateResponse.from_wire(wire)
            sent = self._sent[response.ident]
            standing = self._key.standing(wire, sent.request, now=self._clock())
        except ServerUnclear as error:
            self._broken(str(error))
        except (Malformed, KeyError):
            self._broken(f"{self._target.server} answers what is no answer to any update of ours")
        else:
            del self._sent[response.ident]
            self._settle(sent.batch, _answer(standing, response.rcode))

    def _settle(self, batch: Batch, answer: Answer) -> None:
        line = f"{self._target.server}: {answer.words}"
        if answer.meaning is Meaning.ACCEPTED:
            self._failures = 0
            self._done(batch)
        elif answer.meaning is Meaning.FAILED:
            self._failed()
            self._again(batch, line)
        elif answer.meaning is Meaning.ONE_IS_WRONG and len(batch.names) > 1:
            self._waiting.extendleft(reversed(batch.halves()))
        else:
            self._stopped |= answer.meaning is Meaning.ALL_IS_WRONG or batch.root.all_refused(len(batch.names))
            self._tell(batch.changes, OutcomeKind.REFUSED, line)

    def _done(self, batch: Batch) -> None:
        batch.root.something_done()
        cleared = [name.cleared() for name in batch.names if name.is_clearing]
        if cleared:
            self._waiting.append(Batch(names=cleared, root=batch.root))
        whole = [name for name in batch.names if not name.is_clearing]
        not_taken = self._not_taken([name for name in whole if name.turns])
        for name in whole:
            self._tell(name.changes, *not_taken.get(name.owner, (OutcomeKind.DONE, "")))

    def _not_taken(self, names: list[NameChanges]) -> dict[OwnerName, tuple[OutcomeKind, str]]:
        """Names that turned between alias and records, of which the server does not show what it said yes to: it passes
        over what cannot stand beside records that others have there."""
        left = {name.owner: name for name in names}
        try:
            for pause in LOOKS:
                if not left:
                    return {}
                # A server that signs beside its updates shows them a little later.
                time.sleep(pause)
                rdtypes = {"TLSA"} | {change.rdtype for name in left.values() for change in name.changes}
                served = {(one.owner, one.rdtype): one.rdatas for one in self._reader.read(list(left), sorted(rdtypes))}
                left = {owner: name for owner, name in left.items() if not name.stands(served)}
        except (ServerUnclear, ServerRefused) as error:
            return dict.fromkeys(left, (OutcomeKind.UNDECIDED, f"it could not be read again: {error}"))
        told = "an alias (CNAME) stands alone, and somebody else has records at the name"
        unclear = "the server said yes and does not show it; has somebody else other records at the name?"
        return {
            owner: (OutcomeKind.REFUSED, told) if name.is_hindered(served) else (OutcomeKind.UNDECIDED, unclear)
            for owner, name in left.items()
        }

    # What went wrong

    def _broken(self, line: str) -> None:
        """The connection is of no more use: what was on its way is sent again."""
        self._disconnect()
        self._failed()
        sent = [sent.batch for sent in self._sent.values()]
        self._sent.clear()
        for batch in sent:
            self._again(batch, line)

    def _failed(self) -> None:
        """A server that fails again and again gets nothing new; what is on its way is brought to an end."""
        self._failures += 1
        self._stopped |= self._failures >= PUBLISH_ATTEMPTS.default

    def _again(self, batch: Batch, line: str) -> None:
        batch.attempts += 1
        if batch.attempts >= PUBLISH_ATTEMPTS.default:
            self._tell(batch.changes, OutcomeKind.UNDECIDED, line)
            return
        batch.not_before = time.monotonic() + FIRST_PAUSE * 2 ** (batch.attempts - 1)
        self._waiting.append(batch)

    def _tell(self, changes: Iterator[Change] | tuple[Change, ...], kind: OutcomeKind, line: str) -> None:
        self._ready.extend(Outcome(change=change, kind=kind, line=line) for change in changes)

    def _disconnect(self) -> None:
        if self._stream is not None:
            self._stream.close()
            self._stream = None


def _answer(standing: Standing, code: Rcode) -> Answer:
    known = ANSWERS.get(code, Answer(Meaning.FAILED, "a code nobody has assigned"))
    told = Answer(known.meaning, f"{known.words} ({dns.rcode.to_text(code)})")
    if standing is Standing.AUTHENTIC:
        return told
    if standing is Standing.UNSIGNED and known.meaning is not Meaning.ACCEPTED:
        return Answer(told.meaning, f"{told.words}, says an answer that is not signed")
    return STANDINGS[standing]


def _both(change: Change) -> tuple[str, ...]:
    return change.before + change.after
