"""Signing a live stream while it is recorded: a line with a signed record for each segment, in a file beside it.

    stream of octets ──► segments of N octets or N seconds ──► records, appended one line each

A record is written after the octets it is of, and as one write, so that an interruption loses the record of a segment
and never leaves one of octets that are not there. `SegmentFile.resume` goes on after the last record that is whole.
"""

import errno
import os
import secrets
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final, Self

from dnsbound.credential.credential import Credential
from dnsbound.credential.keys import public_key_from_spki
from dnsbound.credential.signature import BadSignature
from dnsbound.edge.segment_files import GrowingInput
from dnsbound.errors import Malformed, Misuse
from dnsbound.object_limits import SEGMENT_RECORD_OCTETS
from dnsbound.objects.jose.jws import parse, sign
from dnsbound.objects.large.segments import (
    SEGMENT_TYPE,
    STREAM_ID_OCTETS,
    ChainPosition,
    SegmentCutter,
    SegmentRecord,
)
from dnsbound.times import Moment

_NEW: Final = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC
_OLD: Final = os.O_RDWR | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC


class SegmentFile:
    """The file of a stream's records, open for the next one."""

    def __init__(self, descriptor: int, credential: Credential, position: ChainPosition) -> None:
        self._descriptor = descriptor
        self._credential = credential
        self.position = position
        """Where the next segment goes on."""

    @classmethod
    def begin(cls, path: Path, credential: Credential) -> Self:
        """A stream that begins. FileExistsError where records are there already."""
        stream = secrets.token_hex(STREAM_ID_OCTETS)
        return cls(os.open(path, _NEW, 0o644), credential, ChainPosition.start(stream))

    @classmethod
    def resume(cls, path: Path, credential: Credential) -> Self:
        """A stream that was interrupted. Misuse when its last record is another's, or says that it has ended."""
        descriptor = os.open(path, _OLD)
        try:
            return cls(descriptor, credential, _position(descriptor, path, credential))
        except BaseException:
            os.close(descriptor)
            raise

    def append(self, record: SegmentRecord) -> None:
        """Sign the record and write it down."""
        token = sign(record.to_wire(), self._credential, typ=SEGMENT_TYPE).encode("ascii")
        line = token + b"\n"
        if os.write(self._descriptor, line) < len(line):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        self.position = ChainPosition.after(record, token)

    def close(self) -> None:
        """What was written survives a power cut too."""
        os.fsync(self._descriptor)
        os.close(self._descriptor)


def sign_stream(
    source: GrowingInput,
    records: SegmentFile,
    cutter: SegmentCutter,
    *,
    clock: Callable[[], Moment] = time.time,
    copy: Callable[[bytes], None] = lambda _octets: None,
) -> Iterator[SegmentRecord]:
    """Sign what comes until it ends, and that it has ended; each record as it is written. copy: given the octets before
    they are signed. KeyboardInterrupt where the source is stopped: what has come by then is for `sign_rest`."""
    while True:
        due = cutter.due_at()
        octets = source.read(cutter.room, within=None if due is None else due - clock())
        if octets == b"":
            yield _cut(cutter, records, clock(), last=True)
            return
        if octets:
            copy(octets)
            cutter.update(octets, now=clock())
        if cutter.is_due(clock()):
            yield _cut(cutter, records, clock(), last=False)


def sign_rest(records: SegmentFile, cutter: SegmentCutter, *, now: Moment) -> SegmentRecord | None:
    """A record of what came before an interruption, so that nothing is lost; None where nothing had."""
    return None if cutter.is_empty else _cut(cutter, records, now, last=False)


def _cut(cutter: SegmentCutter, records: SegmentFile, now: Moment, *, last: bool) -> SegmentRecord:
    record = cutter.cut(records.position, now=now, last=last)
    records.append(record)
    return record


def _position(descriptor: int, path: Path, credential: Credential) -> ChainPosition:
    """After the last whole line; what a torn one left behind it is cut off."""
    size = os.fstat(descriptor).st_size
    start = max(0, size - 2 * SEGMENT_RECORD_OCTETS.default)
    tail = os.pread(descriptor, size - start, start)
    whole, _, torn = tail.rpartition(b"\n")
    if not whole:
        raise Misuse(f"{path}: holds no segment record to go on after")
    token = whole.rpartition(b"\n")[2]
    try:
        signed = parse(token, typ=SEGMENT_TYPE)
        signed.check(public_key_from_spki(credential.spki))
        assert signed.payload is not None
        record = SegmentRecord.from_wire(signed.payload)
    except (Malformed, BadSignature) as error:
        raise Misuse(f"{path}: its last record is not one of this credential: {error}") from None
    if signed.name != credential.name:
        raise Misuse(f"{path}: its last record is of {signed.name}")
    if record.last:
        raise Misuse(f"{path}: the stream has ended, and nothing goes on after that")
    os.truncate(descriptor, size - len(torn))
    return ChainPosition.after(record, token)
