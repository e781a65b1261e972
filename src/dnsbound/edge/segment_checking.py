"""Verifying a live stream while it comes: each segment when its record and its octets are there.

    for segment in check_stream(data, records, verifier):     # stops with Refused at the first one that is not right
        segment.record, segment.verified

Each record is verified by itself, with DNS evidence that holds then: a name whose record is removed while it streams is
refused from the moment its evidence ends. Octets are handed on only after their segment was verified.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from hashlib import sha256
from typing import TYPE_CHECKING

from dnsbound.edge.object_verifier import ObjectVerifier
from dnsbound.edge.segment_files import GrowingInput, RecordLines
from dnsbound.errors import Reason, Refused, Undecided
from dnsbound.object_limits import SEGMENT_OCTETS
from dnsbound.objects.jose.jws import parse
from dnsbound.objects.large.segments import SEGMENT_TYPE, SegmentChain, SegmentRecord
from dnsbound.objects.signed import VerifiedObject
from dnsbound.times import Seconds, iso

if TYPE_CHECKING:
    from dnsbound.names import ClientName


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifiedSegment:
    """One segment that is what its signer signed, in its place."""

    record: SegmentRecord
    verified: VerifiedObject


def check_stream(
    data: GrowingInput,
    records: RecordLines,
    verifier: ObjectVerifier,
    *,
    stream: str | None = None,
    max_age: Seconds | None = None,
    release: Callable[[bytes], None] | None = None,
) -> Iterator[VerifiedSegment]:
    """Every segment, to the last one. Refused at the first that is not signed, not permitted, out of place or not what
    was signed; Undecided where that cannot be found out, or the stream breaks off; octets after its end are refused.

    stream: the one that is expected. max_age: seconds by the verifier's clock since a record was signed, for streams
    that must be live: an old one shown again is refused. release: given the octets of each segment that is right.
    """
    chain = SegmentChain(stream=stream)
    signer: ClientName | None = None
    while not chain.is_ended and (token := records.next()) is not None:
        signed = parse(token, typ=SEGMENT_TYPE)
        if signer is not None and signed.name != signer:
            raise Refused(Reason.STREAM_BROKEN, f"a segment is signed by {signed.name}, the others by {signer}")
        verified = verifier.verify_blocking(signed)
        signer = verified.name
        record = SegmentRecord.from_wire(verified.payload)
        chain.accept(record, token)
        _expect_young(record, verifier.now(), max_age)
        _expect_octets(data, record, release)
        yield VerifiedSegment(record=record, verified=verified)
    chain.finish()
    if data.read(1):
        raise Refused(Reason.CONTENT_MISMATCH, "octets after the end of the stream that nobody signed")


def _expect_young(record: SegmentRecord, now: float, max_age: Seconds | None) -> None:
    if max_age is not None and abs(now - record.at) > max_age:
        raise Refused(Reason.STALE, f"segment {record.seq} was signed at {iso(record.at)}, not now")


def _expect_octets(data: GrowingInput, record: SegmentRecord, release: Callable[[bytes], None] | None) -> None:
    """Read exactly the octets of one segment. The record's size is within the limit."""
    assert record.size <= SEGMENT_OCTETS.maximum
    held: list[bytes] = []
    running = sha256()
    left = record.size
    while left:
        octets = data.read(left)
        if not octets:
            said = f"segment {record.seq}: {left} of its {record.size} octets are missing"
            raise Undecided(Reason.INCOMPLETE, said)
        running.update(octets)
        left -= len(octets)
        if release is not None:
            held.append(octets)
    if running.digest() != record.sha256:
        raise Refused(Reason.CONTENT_MISMATCH, f"segment {record.seq}: other octets than the ones that were signed")
    if release is not None:
        release(b"".join(held))
