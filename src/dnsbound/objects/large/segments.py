"""The segment chain: a live stream signed as it is made, segment by segment, and verified as it comes.

    {"stream": "<32 hexadecimal digits>", "seq": 7, "offset": 7340032, "size": 1048576, "sha256": "<64>",
     "at": "2026-11-22T16:00:07Z", "prev": "<64: SHA-256 of the record before, as it was sent>", "last": true}

Each record is the payload of a signed object of type SEGMENT_TYPE, and the octets of that object are what the next
record's `prev` is the digest of; the first record, number 0, has none. `last` is there, and true, in the record that
ends the stream. So a segment that is left out, moved, sent again or taken from another stream breaks the chain, and a
stream that was cut off has no last record. A record proves nothing of how old the stream is: `at` is the signer's word,
which a verifier of live streams compares with its own clock.
"""

import json
import re
from dataclasses import dataclass
from hashlib import sha256
from typing import Final, Self

from dnsbound.errors import Malformed, Misuse, Reason, Refused, Undecided
from dnsbound.object_limits import SEGMENT_OCTETS, SEGMENT_RECORD_OCTETS
from dnsbound.objects.large.members import Members
from dnsbound.times import Moment, iso

SEGMENT_TYPE: Final = "dnsbound-segment"
STREAM_ID_OCTETS: Final = 16
_WHAT: Final = "segment record"
_STREAM_ID: Final = re.compile(r"[0-9a-f]{32}")


@dataclass(frozen=True, slots=True, kw_only=True)
class SegmentRecord:
    """What is signed of one segment. Malformed where its parts do not fit together."""

    stream: str
    """32 hexadecimal digits, chosen at random for each stream."""
    seq: int
    offset: int
    """Octets of the stream before this segment."""
    size: int
    sha256: bytes
    at: Moment
    """Whole seconds: when it was signed."""
    prev: bytes | None
    last: bool = False

    def __post_init__(self) -> None:
        if _STREAM_ID.fullmatch(self.stream) is None:
            raise Malformed(f"{_WHAT}: stream is not 32 hexadecimal digits")
        if (self.prev is None) != (self.seq == 0):
            raise Malformed(f"{_WHAT}: the first record alone has none before it")
        if self.size > SEGMENT_OCTETS.maximum:
            raise Malformed(f"{_WHAT}: a segment of {self.size} octets")
        if self.size == 0 and not self.last:
            raise Malformed(f"{_WHAT}: an empty segment that does not end the stream")

    @classmethod
    def from_wire(cls, payload: bytes) -> Self:
        """Read the payload of a signed record. Malformed, LimitExceeded."""
        members = Members.from_wire(payload, _WHAT, SEGMENT_RECORD_OCTETS)
        record = cls(
            stream=members.text("stream"),
            seq=members.number("seq"),
            offset=members.number("offset"),
            size=members.number("size"),
            sha256=members.digest("sha256"),
            at=members.moment("at"),
            prev=members.digest("prev") if "prev" in members else None,
            last=members.true("last"),
        )
        members.done()
        return record

    def to_wire(self) -> bytes:
        """The payload."""
        listed: dict[str, object] = {
            "stream": self.stream,
            "seq": self.seq,
            "offset": self.offset,
            "size": self.size,
            "sha256": self.sha256.hex(),
            "at": iso(self.at),
        }
        if self.prev is not None:
            listed["prev"] = self.prev.hex()
        if self.last:
            listed["last"] = True
        return json.dumps(listed, separators=(",", ":")).encode("ascii")


@dataclass(frozen=True, slots=True, kw_only=True)
class ChainPosition:
    """Where a chain stands after a record: what the next one must continue."""

    stream: str
    seq: int
    """Of the record that comes next."""
    offset: int
    prev: bytes | None

    @classmethod
    def start(cls, stream: str) -> Self:
        return cls(stream=stream, seq=0, offset=0, prev=None)

    @classmethod
    def after(cls, record: SegmentRecord, token: bytes) -> Self:
        """token: the signed object as it was sent, without a line's end."""
        offset = record.offset + record.size
        return cls(stream=record.stream, seq=record.seq + 1, offset=offset, prev=sha256(token).digest())


class SegmentCutter:
    """Cuts a stream into segments: by size, and by how long the first octet of one has waited."""

    __slots__ = ("_began", "_hash", "_octets", "_seconds", "_size")

    def __init__(self, *, octets: int | None = None, seconds: float | None = None) -> None:
        """octets, seconds: after which a segment ends, whatever comes first."""
        self._octets = SEGMENT_OCTETS.checked(octets)
        self._seconds = seconds
        self._hash = sha256()
        self._size = 0
        self._began: Moment | None = None

    @property
    def room(self) -> int:
        """Octets that still fit the segment."""
        return self._octets - self._size

    @property
    def is_empty(self) -> bool:
        return self._size == 0

    def update(self, octets: bytes | memoryview, *, now: Moment) -> None:
        """Misuse for more than there is room for."""
        if len(octets) > self.room:
            raise Misuse("more octets than the segment has room for")
        if self._began is None:
            self._began = now
        self._hash.update(octets)
        self._size += len(octets)

    def is_due(self, now: Moment) -> bool:
        """Whether the segment has all it gets."""
        if self._began is None:
            return False
        return self.room == 0 or (self._seconds is not None and now - self._began >= self._seconds)

    def due_at(self) -> Moment | None:
        """When the segment ends though nothing more comes; None while it is empty, or is cut by size alone."""
        return None if self._began is None or self._seconds is None else self._began + self._seconds

    def cut(self, position: ChainPosition, *, now: Moment, last: bool = False) -> SegmentRecord:
        """The record of what was given since the last one."""
        record = SegmentRecord(
            stream=position.stream,
            seq=position.seq,
            offset=position.offset,
            size=self._size,
            sha256=self._hash.digest(),
            at=float(int(now)),
            prev=position.prev,
            last=last,
        )
        self._hash = sha256()
        self._size = 0
        self._began = None
        return record


class SegmentChain:
    """The order of a stream's records, whose signatures were verified before they are given here."""

    __slots__ = ("_expected", "_position", "is_ended")

    def __init__(self, *, stream: str | None = None) -> None:
        """stream: the one that is expected; any, with the first record, without it."""
        self._expected = stream
        self._position: ChainPosition | None = None
        self.is_ended = False

    @property
    def position(self) -> ChainPosition | None:
        """None before the first record."""
        return self._position

    def accept(self, record: SegmentRecord, token: bytes) -> None:
        """Refused(STREAM_BROKEN) unless the record continues the chain. token: as it was sent."""
        position = self._position or ChainPosition.start(self._expected or record.stream)
        wrong = "it comes after the last one" if self.is_ended else _why_not_next(record, position)
        if wrong:
            raise Refused(Reason.STREAM_BROKEN, f"segment {record.seq}: {wrong}")
        self._position = ChainPosition.after(record, token)
        self.is_ended = record.last

    def finish(self) -> None:
        """Undecided(INCOMPLETE) unless the last record has come."""
        if not self.is_ended:
            at = 0 if self._position is None else self._position.offset
            raise Undecided(Reason.INCOMPLETE, f"the stream breaks off after {at} octets: its last record is missing")


def _why_not_next(record: SegmentRecord, position: ChainPosition) -> str:
    if record.stream != position.stream:
        return "it is of another stream"
    if record.seq < position.seq:
        return "it was there before"
    if record.seq > position.seq:
        return f"{record.seq - position.seq} before it are missing"
    if record.prev != position.prev:
        return "it follows another record than the one that came before it"
    if record.offset != position.offset:
        return f"it begins at {record.offset}, not at {position.offset}"
    return ""
