"""The line protocol, version 1, for scripts and for servers that can write a line to a socket.

One JSON object in a line is a question, one in a line is its answer, in the order they were asked:

    {"v": 1, "id": "7", "certificate": "-----BEGIN ...", "name": "car54._device.cars.example", "source": "192.0.2.7"}
    {"v": 1, "id": "7", "verdict": "allowed", "name": "car54._device.cars.example", "door": "api", "grants": {},
     "valid_until": "2026-11-23T02:30:00Z"}

Members of a question: `v`, which is 1; at most one of `certificate` (PEM, or base64 of DER; further certificates behind
it in PEM), `public_key` (PEM, or base64 of a DER SubjectPublicKeyInfo) and `digests` (hexadecimal: `spki_sha256`,
`certificate_sha256`, `spki_sha512`, `certificate_sha512`); `name`, which is claimed; `source` and `protocol`, for the
log; `id`, which comes back. Any other is an error. Verdicts: `allowed`, `refused` and `undecided`, the latter two with
`reason`; `malformed` with `detail` for a line that is none. Only `allowed` is a yes.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, Self

from dnsbound.credential.presented import Presented
from dnsbound.door_limits import FRONT_JSON_OCTETS, FRONT_WORD_CHARACTERS
from dnsbound.errors import LimitExceeded, Malformed
from dnsbound.protocols.identity_headers import grants_text
from dnsbound.protocols.json_object import JsonMembers
from dnsbound.protocols.presented_by_fronts import digests_of_texts, presented_of_body
from dnsbound.times import Moment, iso

VERSION: Final = 1
_WHAT: Final = "question"
_CREDENTIALS: Final = ("certificate", "public_key", "digests")
_PEM_KEY: Final = "-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n"


@dataclass(frozen=True, slots=True, kw_only=True)
class LineQuestion:
    """One line. name: claimed; None where the credential is to show it."""

    id: str = ""
    presented: Presented
    name: str | None = None
    source: str = ""
    protocol: str = ""

    @classmethod
    def from_wire(cls, line: bytes) -> Self:
        """Malformed, LimitExceeded."""
        members = JsonMembers.from_wire(line, _WHAT)
        if members.number("v", 0) != VERSION:
            raise Malformed(f"{_WHAT}: v is {VERSION}")
        if sum(credential in members for credential in _CREDENTIALS) > 1:
            raise Malformed(f"{_WHAT}: {', '.join(_CREDENTIALS)} are told one at a time")
        question = cls(
            id=_short(members, "id"),
            presented=_presented(members),
            name=members.text("name") if "name" in members else None,
            source=_short(members, "source"),
            protocol=_short(members, "protocol"),
        )
        members.done()
        return question


def _presented(members: JsonMembers) -> Presented:
    if "digests" in members:
        return Presented(digests=digests_of_texts(members.below("digests").all_texts()))
    if "public_key" in members:
        text = members.text("public_key")
        return presented_of_body((text if "-----" in text else _PEM_KEY.format(text)).encode())
    return presented_of_body(members.text("certificate").encode())


def _short(members: JsonMembers, member: str) -> str:
    text = members.text(member)
    if len(text) > FRONT_WORD_CHARACTERS.default or not text.isprintable():
        raise Malformed(f"{_WHAT}: {member} is too long, or not printable")
    return text


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


def allowed_line(
    question: LineQuestion, *, name: str, door: str, grants: Mapping[str, Any], valid_until: Moment
) -> bytes:
    """name: canonical."""
    shown = {"v": VERSION, "id": question.id, "verdict": "allowed", "name": name, "door": door}
    return _line({**shown, "grants": json.loads(grants_text(grants)), "valid_until": iso(valid_until)})


def denied_line(question: LineQuestion, *, verdict: str, reason: str) -> bytes:
    """verdict: `refused` or `undecided`. reason: a word of `Reason`, or `malformed`."""
    return _line({"v": VERSION, "id": question.id, "verdict": verdict, "reason": reason})


def malformed_line(detail: str) -> bytes:
    """To a line that is no question, and therefore has no id."""
    return _line({"v": VERSION, "verdict": "malformed", "detail": detail})


def _line(shown: dict[str, Any]) -> bytes:
    return json.dumps(shown, separators=(",", ":")).encode("ascii") + b"\n"
