"""The line protocol, version 1, for scripts and for servers that can write a line to a socket: one JSON object in a line
is a question, one in a line is its answer, in the order they were asked.

    {"v": 1, "id": "7", "certificate": "-----BEGIN ...", "name": "car54._device.cars.example", "source": "192.0.2.7"}
    {"v": 1, "id": "7", "verdict": "allowed", "name": "car54._device.cars.example", "door": "api", "grants": {},
     "valid_until": "2026-11-23T02:30:00Z"}

Members of a question: `v`, which is 1; at most one of `certificate` (PEM, or base64 of DER; further certificates behind
it in PEM), `public_key` (base64 of a DER SubjectPublicKeyInfo) and `digests` (hexadecimal: `spki_sha256`,
`certificate_sha256`, `spki_sha512`, `certificate_sha512`); `name`, which is claimed; `source` and `protocol`, for the
log; `id`, which comes back. Any other is an error. Verdicts: `allowed`, `refused` and `undecided`, the latter two with
`reason`; `malformed` with `detail` for a line that is none. Only `allowed` is a yes.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Final, Self

from dnsbound.errors import LimitExceeded, Malformed, Reason
from dnsbound.limits import FRONT_JSON_OCTETS, FRONT_WORD_CHARACTERS
from dnsbound.protocols.json_object import JsonMembers

VERSION: Final = 1
DIGEST_OCTETS: Final[Mapping[str, int]] = MappingProxyType(
    {"spki_sha256": 32, "certificate_sha256": 32, "spki_sha512": 64, "certificate_sha512": 64}
)
_WHAT: Final = "question"


@dataclass(frozen=True, slots=True, kw_only=True)
class LineQuestion:
    """One line. certificate, public_key: as they were written; what they are is the reader's of credentials."""

    id: str = ""
    certificate: str = ""
    public_key: str = ""
    digests: Mapping[str, bytes] = field(default_factory=dict)
    name: str | None = None
    source: str = ""
    protocol: str = ""

    @classmethod
    def from_wire(cls, line: bytes) -> Self:
        """Malformed, LimitExceeded."""
        members = JsonMembers.from_wire(line, _WHAT)
        if members.number("v", 0) != VERSION:
            raise Malformed(f"{_WHAT}: v is {VERSION}")
        digests = members.below("digests")
        question = cls(
            id=_short(members, "id"),
            certificate=members.text("certificate"),
            public_key=members.text("public_key"),
            digests={word: _digest(digests, word) for word in DIGEST_OCTETS if word in digests},
            name=members.text("name") if "name" in members else None,
            source=_short(members, "source"),
            protocol=_short(members, "protocol"),
        )
        digests.done()
        members.done()
        if sum((bool(question.certificate), bool(question.public_key), bool(question.digests))) > 1:
            raise Malformed(f"{_WHAT}: certificate, public_key and digests are told one at a time")
        return question

    def to_wire(self) -> bytes:
        """With the newline that ends it."""
        shown: dict[str, Any] = {"v": VERSION, "id": self.id, "certificate": self.certificate}
        shown |= {"public_key": self.public_key, "name": self.name, "source": self.source, "protocol": self.protocol}
        shown["digests"] = {word: digest.hex() for word, digest in self.digests.items()}
        return _line({member: value for member, value in shown.items() if value not in ("", None, {})})


def _short(members: JsonMembers, member: str) -> str:
    text = members.text(member)
    if len(text) > FRONT_WORD_CHARACTERS.default or not text.isprintable():
        raise Malformed(f"{_WHAT}: {member} is too long, or not printable")
    return text


def _digest(digests: JsonMembers, word: str) -> bytes:
    text = digests.text(word)
    try:
        octets = bytes.fromhex(text)
    except ValueError:
        raise Malformed(f"{_WHAT}: {word} is not hexadecimal") from None
    if len(octets) != DIGEST_OCTETS[word]:
        raise Malformed(f"{_WHAT}: {word} has {DIGEST_OCTETS[word]} octets, not {len(octets)}")
    return octets


class Lines:
    """Octets of one connection in, whole lines out, without their ends; empty ones are passed over."""

    def __init__(self) -> None:
        self._pending = bytearray()
        self._searched = 0

    def feed(self, octets: bytes) -> Iterator[bytes]:
        """LimitExceeded when a line does not end."""
        self._pending += octets
        while (end := self._pending.find(b"\n", self._searched)) >= 0:
            line = bytes(self._pending[:end]).strip(b" \t\r")
            del self._pending[: end + 1]
            self._searched = 0
            if line:
                yield line
        self._searched = len(self._pending)
        if self._searched > FRONT_JSON_OCTETS.default:
            raise LimitExceeded(FRONT_JSON_OCTETS.name, "a line does not end")

    @property
    def is_between(self) -> bool:
        """No line has begun."""
        return not self._pending


def allowed_line(question: LineQuestion, *, name: str, door: str, grants: Mapping[str, Any], valid_until: str) -> bytes:
    """valid_until: RFC 3339."""
    shown = {"v": VERSION, "id": question.id, "verdict": "allowed", "name": name, "door": door}
    return _line({**shown, "grants": dict(grants), "valid_until": valid_until})


def denied_line(question: LineQuestion, *, verdict: str, reason: Reason) -> bytes:
    """verdict: `refused` or `undecided`."""
    return _line({"v": VERSION, "id": question.id, "verdict": verdict, "reason": reason.value})


def malformed_line(detail: str) -> bytes:
    """To a line that is no question, and therefore has no id."""
    return _line({"v": VERSION, "verdict": "malformed", "detail": detail})


def _line(shown: dict[str, Any]) -> bytes:
    return json.dumps(shown, separators=(",", ":"), default=_plain).encode("ascii") + b"\n"


def _plain(value: object) -> object:
    """Grants are frozen: mappings and tuples of plain values."""
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError(type(value).__name__)
