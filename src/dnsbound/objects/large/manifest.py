"""The digest manifest: which files, of which size and digest, a name signs at once; and comparing content with it.

    {"made": "2026-11-22T16:00:00Z",
     "files": [{"path": "route/1.mp4", "size": 1048576, "sha256": "<64 hexadecimal digits>", "type": "video/mp4",
                "modified": "2026-11-22T15:58:00Z", "begin": "2026-11-22T15:00:00Z", "end": "2026-11-22T15:58:00Z"}]}

It is the payload of an ordinary signed object whose type (`typ`) is MANIFEST_TYPE, so every signature algorithm signs
content of any size. A path says what the signer calls a file and is never how one is found (`paths`). The digest is
SHA-256 in hexadecimal, as `sha256sum` prints it. Type, times and order of files are the signer's word alone.
"""

import json
from dataclasses import dataclass
from hashlib import sha256
from typing import Final, Self

from dnsbound.errors import LimitExceeded, Malformed, Misuse, Reason, Refused
from dnsbound.object_limits import MANIFEST_FILES, MANIFEST_OCTETS
from dnsbound.objects.large.members import Members, checked_media_type, moments
from dnsbound.objects.large.paths import checked_path
from dnsbound.times import Moment, iso

MANIFEST_TYPE: Final = "dnsbound-manifest"
_WHAT: Final = "manifest"
_ENTRY: Final = "file in a manifest"


@dataclass(frozen=True, slots=True, kw_only=True)
class ManifestEntry:
    """One file as its signer describes it. Malformed where a part of it could not be read back."""

    path: str
    size: int
    """Octets."""
    sha256: bytes
    media_type: str | None = None
    modified: Moment | None = None
    begin: Moment | None = None
    """When what it records began, and ended."""
    end: Moment | None = None

    def __post_init__(self) -> None:
        checked_path(self.path)
        if self.media_type is not None:
            checked_media_type(self.media_type)

    @classmethod
    def parse(cls, value: object) -> Self:
        members = Members(value, _ENTRY)
        entry = cls(
            path=members.text("path"),
            size=members.number("size"),
            sha256=members.digest("sha256"),
            media_type=members.media_type("type"),
            modified=members.moment_or_none("modified"),
            begin=members.moment_or_none("begin"),
            end=members.moment_or_none("end"),
        )
        members.done()
        return entry

    def to_json(self) -> dict[str, object]:
        described = {} if self.media_type is None else {"type": self.media_type}
        times = moments(modified=self.modified, begin=self.begin, end=self.end)
        return {"path": self.path, "size": self.size, "sha256": self.sha256.hex(), **described, **times}


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """The files that were signed together, each path once. Misuse without files, or with one path twice."""

    made: Moment
    """Whole seconds."""
    files: tuple[ManifestEntry, ...]

    def __post_init__(self) -> None:
        if not self.files:
            raise Misuse("a manifest names one file at least")
        if len({entry.path for entry in self.files}) < len(self.files):
            raise Misuse("a manifest names a path twice")

    @classmethod
    def from_wire(cls, payload: bytes) -> Self:
        """Read the payload of a signed manifest. Malformed, LimitExceeded."""
        members = Members.from_wire(payload, _WHAT, MANIFEST_OCTETS)
        made = members.moment("made")
        files = tuple(ManifestEntry.parse(value) for value in members.entries("files", most=MANIFEST_FILES.maximum))
        members.done()
        try:
            return cls(made=made, files=files)
        except Misuse as error:
            raise Malformed(str(error)) from None

    def to_wire(self) -> bytes:
        """The payload. LimitExceeded for more files than a manifest holds."""
        if len(self.files) > MANIFEST_FILES.default:
            raise LimitExceeded(MANIFEST_FILES.name, f"{len(self.files)} files; sign them in several manifests")
        # One by one: as objects all entries together take ten times the room of their text.
        files = b",".join(_text(entry.to_json()) for entry in self.files)
        octets = b'{"made":' + _text(iso(self.made)) + b',"files":[' + files + b"]}"
        if len(octets) > MANIFEST_OCTETS.default:
            raise LimitExceeded(MANIFEST_OCTETS.name, f"{len(octets)} octets; sign the files in several manifests")
        return octets


def _text(value: object) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode("utf-8")


class DigestCheck:
    """Compares content, given in pieces, with a size and a digest."""

    __slots__ = ("_digest", "_hash", "_size", "octets")

    def __init__(self, size: int, digest: bytes) -> None:
        self._size = size
        self._digest = digest
        self._hash = sha256()
        self.octets = 0
        """That were given so far."""

    @classmethod
    def of(cls, entry: ManifestEntry) -> Self:
        return cls(entry.size, entry.sha256)

    def update(self, octets: bytes | memoryview) -> None:
        """Refused as soon as there is more than was signed."""
        self.octets += len(octets)
        if self.octets > self._size:
            raise Refused(Reason.CONTENT_MISMATCH, f"more than the {self._size} octets that were signed")
        self._hash.update(octets)

    def finish(self) -> None:
        """Refused unless the content is what was signed."""
        if self.octets < self._size:
            raise Refused(Reason.CONTENT_MISMATCH, f"{self.octets} of the {self._size} octets that were signed")
        if self._hash.digest() != self._digest:
            raise Refused(Reason.CONTENT_MISMATCH, "the digest is another than the one that was signed")
