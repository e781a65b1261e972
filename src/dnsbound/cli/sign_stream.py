"""`dnsbound sign --stream`: signing while it is recorded, from a pipe or a file that grows.

Ctrl-C and SIGTERM end it between two reads: what has come is signed, the stream is left open, and --resume goes on with
it. When its writer ends it, or a file has not grown for as long as --follow says, the last record says so.
"""

import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from dnsbound.cli.output import advise, emit
from dnsbound.cli.signing import STANDARD_INPUT, Signing
from dnsbound.errors import Misuse
from dnsbound.times import Seconds, iso

if TYPE_CHECKING:
    from dnsbound.edge.segment_files import GrowingInput
    from dnsbound.edge.segment_signing import SegmentFile
    from dnsbound.objects.large.segments import SegmentCutter, SegmentRecord

_SUFFIX = ".segments"


@dataclass(frozen=True, slots=True, kw_only=True)
class Recording:
    """What is said of a stream alone."""

    patience: Seconds
    copy: Path | None
    octets: int
    seconds: Seconds


def sign_stream_of(source: str, out: str | None, signing: Signing, recording: Recording) -> None:
    """Sign a pipe, standard input or a growing file to its end, or until a signal comes: KeyboardInterrupt then."""
    from dnsbound.edge.segment_files import GrowingInput
    from dnsbound.edge.segment_signing import sign_rest, sign_stream
    from dnsbound.objects.large.segments import SegmentCutter

    if signing.format.name != "jws":
        raise Misuse("--stream makes records in --format jws alone")
    if not signing.key_in_band:
        raise Misuse("--stream puts the key into each record: a verifier of a live stream has no time to look for it")
    target = out or (None if source == STANDARD_INPUT else source + _SUFFIX)
    if target is None or target == STANDARD_INPUT:
        raise Misuse("--stream writes its records to a file: --out says which")
    cutter = SegmentCutter(octets=recording.octets, seconds=recording.seconds)
    with ExitStack() as held:
        # Whoever waits for a named pipe's writer can still be interrupted as always.
        descriptor = _opened_source(source, held)
        records = _records(Path(target), signing)
        held.callback(records.close)
        stopped = held.enter_context(_stopped_by_signals())
        growing = GrowingInput(descriptor, patience=recording.patience, stopped=stopped)
        _skip_signed(growing, source, records.position.offset)
        copied, write = _copy(source, records.position.offset, recording, held)
        try:
            if copied is not None:
                _sign_copied(copied, cutter, records)
            for record in sign_stream(growing, records, cutter, copy=write):
                _tell(record, target, signing)
        except BaseException:
            if (rest := sign_rest(records, cutter, now=time.time())) is not None:
                _tell(rest, target, signing)
            raise


def _records(path: Path, signing: Signing) -> "SegmentFile":
    from dnsbound.edge.segment_signing import SegmentFile

    if signing.resume and path.exists():
        return SegmentFile.resume(path, signing.credential)
    if signing.force:
        path.unlink(missing_ok=True)
    try:
        return SegmentFile.begin(path, signing.credential)
    except FileExistsError:
        raise Misuse(f"{path}: exists already (--resume goes on with it, --force replaces it)") from None


def _opened_source(source: str, held: ExitStack) -> int:
    if source == STANDARD_INPUT:
        return sys.stdin.fileno()
    descriptor = os.open(source, os.O_RDONLY | os.O_CLOEXEC)
    held.callback(os.close, descriptor)
    return descriptor


def _skip_signed(growing: "GrowingInput", source: str, offset: int) -> None:
    """A file that an interrupted run has signed some of. A pipe's next octets are what comes next."""
    if source == STANDARD_INPUT or not growing.is_file:
        return
    if os.fstat(growing.descriptor).st_size < offset:
        raise Misuse(f"{source}: shorter than what was signed of it")
    os.lseek(growing.descriptor, offset, os.SEEK_SET)


def _copy(
    source: str, offset: int, recording: Recording, held: ExitStack
) -> "tuple[GrowingInput | None, Callable[[bytes], None]]":
    """Where standard input is written as well; and what an interrupted run had written there and not signed."""
    from dnsbound.edge.segment_files import GrowingInput

    if recording.copy is None:
        return None, lambda _octets: None
    if source != STANDARD_INPUT:
        raise Misuse("--copy is for standard input: a file is there already")
    flags = os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | (0 if offset else os.O_EXCL)
    descriptor = os.open(recording.copy, flags, 0o644)
    file = held.enter_context(os.fdopen(descriptor, "ab", buffering=0))
    if os.fstat(descriptor).st_size < offset:
        raise Misuse(f"{recording.copy}: shorter than what was signed of it")
    reading = os.open(recording.copy, os.O_RDONLY | os.O_CLOEXEC)
    held.callback(os.close, reading)
    os.lseek(reading, offset, os.SEEK_SET)

    def write(octets: bytes) -> None:
        while octets:
            octets = octets[file.write(octets) :]

    return GrowingInput(reading), write


def _sign_copied(copied: "GrowingInput", cutter: "SegmentCutter", records: "SegmentFile") -> None:
    """What an interrupted run had copied and not signed."""
    while octets := copied.read(cutter.room):
        cutter.update(octets, now=time.time())
        if cutter.is_due(time.time()):
            records.append(cutter.cut(records.position, now=time.time()))


@contextmanager
def _stopped_by_signals() -> Iterator[Callable[[], bool]]:
    """Whether Ctrl-C or SIGTERM has come. The second signal of a kind does what it always does."""
    came: list[int] = []

    def end(number: int, _frame: object) -> None:
        came.append(number)
        signal.signal(number, before[signal.Signals(number)])

    before = {number: signal.signal(number, end) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield lambda: bool(came)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _tell(record: "SegmentRecord", target: str, signing: Signing) -> None:
    if signing.as_json:
        facts = {"signature": target, "stream": record.stream, "seq": record.seq, "offset": record.offset}
        emit(facts | {"size": record.size, "at": iso(record.at), "last": record.last})
    elif record.last:
        octets = record.offset + record.size
        advise(f"{target}: {record.seq + 1} segments, {octets} octets, signed by {signing.credential.name}")
