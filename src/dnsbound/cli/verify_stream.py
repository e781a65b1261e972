"""`dnsbound verify` of a stream: each segment as it comes, from a recording that may still grow, or a pipe."""

import os
import stat
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from dnsbound.cli.output import emit
from dnsbound.cli.verified import Outcome
from dnsbound.errors import Misuse, Refused, Undecided
from dnsbound.times import iso

if TYPE_CHECKING:
    from dnsbound.cli.verifying import Asked
    from dnsbound.edge.object_verifier import ObjectVerifier
    from dnsbound.edge.segment_checking import VerifiedSegment
    from dnsbound.edge.segment_files import GrowingInput

STANDARD_INPUT = "-"
_HEAD = 1 << 16


def is_stream(signature: str) -> bool:
    """Whether a file begins with a segment record. Of a pipe nothing is read: it could not be read again."""
    from dnsbound.errors import DnsboundError
    from dnsbound.objects.jose.header import read_header
    from dnsbound.objects.large.segments import SEGMENT_TYPE

    if signature == STANDARD_INPUT or not stat.S_ISREG(Path(signature).stat().st_mode):
        return False
    with Path(signature).open("rb") as file:
        head = file.read(_HEAD)
    try:
        return read_header(head.partition(b".")[0]).typ == SEGMENT_TYPE
    except DnsboundError:
        return False


def verify_stream(signature: str, source: str, asked: "Asked", verifier: "ObjectVerifier") -> Iterator[Outcome]:
    """One outcome, of the whole stream; each segment is told as it comes with --json."""
    from dnsbound.edge.segment_checking import check_stream
    from dnsbound.edge.segment_files import RecordLines

    if STANDARD_INPUT == signature == source:
        raise Misuse("standard input is either the stream or its records")
    last: VerifiedSegment | None = None
    with ExitStack() as held:
        data = _growing(source, asked, held)
        records = RecordLines(_growing(signature, asked, held))
        release = _release(asked, held)
        try:
            for segment in check_stream(
                data, records, verifier, stream=asked.stream, max_age=asked.max_age, release=release
            ):
                last = segment
                if asked.as_json and asked.output != STANDARD_INPUT:
                    emit(_facts(segment))
        except (Refused, Undecided) as error:
            yield _whole(source, last, error)
            return
    assert last is not None
    yield _whole(source, last, None) if asked.output != STANDARD_INPUT else _whole(source, last, None).silently()


def _whole(source: str, last: "VerifiedSegment | None", error: Refused | Undecided | None) -> Outcome:
    if last is None:
        assert error is not None
        return Outcome(file=source, error=error, size=0)
    record = last.record
    facts = {"stream": record.stream, "segments": record.seq + 1}
    return Outcome(file=source, verified=last.verified, error=error, size=record.offset + record.size, facts=facts)


def _facts(segment: "VerifiedSegment") -> dict[str, object]:
    record, verified = segment.record, segment.verified
    place = {"stream": record.stream, "seq": record.seq, "offset": record.offset, "size": record.size}
    who = {"name": str(verified.name), "until": iso(verified.peer.valid_until)}
    return {"segment": place, "at": iso(record.at), "last": record.last} | who


def _growing(source: str, asked: "Asked", held: ExitStack) -> "GrowingInput":
    from dnsbound.edge.segment_files import GrowingInput

    if source == STANDARD_INPUT:
        return GrowingInput(sys.stdin.fileno())
    descriptor = os.open(source, os.O_RDONLY | os.O_CLOEXEC)
    held.callback(os.close, descriptor)
    return GrowingInput(descriptor, patience=asked.patience or 0.0)


def _release(asked: "Asked", held: ExitStack) -> "Callable[[bytes], None] | None":
    """Where verified octets go; None for nowhere."""
    if asked.output is None:
        return None
    if asked.output == STANDARD_INPUT:
        return _writer(sys.stdout.buffer)
    descriptor = os.open(asked.output, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)
    return _writer(held.enter_context(os.fdopen(descriptor, "wb")))


def _writer(file: BinaryIO) -> "Callable[[bytes], None]":
    def write(octets: bytes) -> None:
        file.write(octets)
        file.flush()

    return write
