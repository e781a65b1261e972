"""What a door board and those who ask it say to each other: lines of JSON on a Unix socket, one question a connection.

    {"board": 1, "ask": "who", "name": "*._device.cars.example", "door": "api", "after": 17}
    {"board": 1, "kind": "gate", "label": "mqtt", "pid": 4711, "started": "...", "doors": ["report"]}
    {"name": "...", "door": "report", "since": "...", "until": "...", "source": "...", "protocol": "...", "live": true}
    {"end": "who", "next": 1017}

    {"board": 1, "ask": "forget", "name": "car54._device.cars.example"}
    {"board": 1, "kind": ...}
    {"door": "report", "permitted": true, "dropped": 1, "cut": 2, "kept": 0, "renewed": 0, "carried": 0, "state": ...}
    {"end": "forget"}

    {"error": "..."}

An answer without its `end` is not whole. `next` is there when more would follow: ask again with it as `after`. Keys
that a reader does not know are passed over; another number of `board` is another language.
"""

import json
from dataclasses import asdict, dataclass
from typing import Any, Final, Self

from dnsbound.errors import Malformed
from dnsbound.limits import BOARD_LINE_OCTETS
from dnsbound.names import ClientName
from dnsbound.times import Moment, iso, moment_of_text
from dnsbound.verify.patterns import NamePattern, PatternTree

VERSION: Final = 1
WHO: Final = "who"
FORGET: Final = "forget"

_to_text: Final = json.JSONEncoder(separators=(",", ":")).encode


def to_line(value: dict[str, Any]) -> bytes:
    return _to_text(value).encode("ascii") + b"\n"


def from_line(line: bytes) -> dict[str, Any]:
    """One object; Malformed for anything else, too long a line included."""
    if len(line) > BOARD_LINE_OCTETS.default:
        raise Malformed(f"a line of more than {BOARD_LINE_OCTETS.default} octets")
    try:
        value = json.loads(line)
    except (ValueError, RecursionError):
        raise Malformed("a line is no JSON") from None
    if not isinstance(value, dict):
        raise Malformed("a line is no JSON object")
    return value


class NameFilter:
    """A name, a pattern of an access list, or neither. A wildcard takes any label here."""

    def __init__(self, text: str = "") -> None:
        """Malformed."""
        self.text: Final = text
        self._name = ClientName.parse(text) if text and "*" not in text else None
        self._tree: PatternTree[bool] | None = None
        if "*" in text:
            self._tree = PatternTree(takes_underscores=True)
            self._tree.add(NamePattern.parse(text), value=True)

    def takes(self, name: ClientName) -> bool:
        if self._name is not None:
            return name == self._name
        return self._tree is None or bool(self._tree.matches(name.labels))


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What a board is asked. name: for `who` also a pattern, or empty. after: the number of the last client that is
    known already."""

    ask: str
    name: str = ""
    door: str = ""
    after: int = 0

    def to_line(self) -> bytes:
        return to_line({"board": VERSION, **asdict(self)})

    @classmethod
    def from_line(cls, line: bytes) -> Self:
        """Malformed, in words for whoever asked."""
        value = from_line(line)
        if value.get("board") != VERSION:
            raise Malformed(f"this board speaks version {VERSION}")
        texts = {key: value.get(key, "") for key in ("ask", "name", "door")}
        after = value.get("after", 0)
        if not all(isinstance(text, str) for text in texts.values()) or type(after) is not int:
            raise Malformed("a key of the question is of the wrong type")
        if texts["ask"] not in (WHO, FORGET):
            raise Malformed(f"boards are asked {WHO} or {FORGET}")
        question = cls(**texts, after=after)
        if question.ask == FORGET:
            ClientName.parse(question.name)
        else:
            NameFilter(question.name)
        return question


@dataclass(frozen=True, slots=True, kw_only=True)
class Inside:
    """A client that is in. until: when its evidence ends, unless it is renewed. is_live: a connection or session that
    lasts; otherwise a request that was admitted then."""

    name: ClientName
    door: str
    since: Moment
    until: Moment
    source: str = ""
    protocol: str = ""
    is_live: bool = True

    def to_json(self) -> dict[str, Any]:
        return {
            "name": self.name.canonical,
            "door": self.door,
            "since": iso(self.since),
            "until": iso(self.until),
            "source": self.source,
            "protocol": self.protocol,
            "live": self.is_live,
        }

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> Self:
        """Malformed for what is missing or of the wrong type."""
        texts = {key: value.get(key) for key in ("name", "door", "since", "until", "source", "protocol")}
        live = value.get("live")
        if not all(isinstance(text, str) for text in texts.values()) or not isinstance(live, bool):
            raise Malformed("a client's line lacks something")
        return cls(
            name=ClientName.parse(str(texts["name"])),
            door=str(texts["door"]),
            since=moment_of_text(str(texts["since"])),
            until=moment_of_text(str(texts["until"])),
            source=str(texts["source"]),
            protocol=str(texts["protocol"]),
            is_live=live,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Forgotten:
    """What became of a name at one door of one process.

    permitted: the access list in force lets it try; None where no authenticator was asked. dropped: pieces of evidence
    and remembered requests that are gone. cut, renewed, carried, kept: live sessions by what asking again made of them
    (`session_sweep.Fate`). state: what the DNS says now, as `secure records`; empty where it was not asked. records:
    the TLSA records of that, as texts.
    """

    door: str
    permitted: bool | None = None
    dropped: int = 0
    cut: int = 0
    renewed: int = 0
    carried: int = 0
    kept: int = 0
    state: str = ""
    records: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        return asdict(self) | {"records": list(self.records)}

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> Self:
        """Malformed for what is missing or of the wrong type."""
        counts = {key: value.get(key) for key in ("dropped", "cut", "renewed", "carried", "kept")}
        door, permitted, state, records = (value.get(key) for key in ("door", "permitted", "state", "records"))
        if not (
            all(type(count) is int for count in counts.values())
            and isinstance(door, str)
            and isinstance(permitted, bool | None)
            and isinstance(state, str)
            and isinstance(records, list)
            and all(isinstance(record, str) for record in records)
        ):
            raise Malformed("a door's line lacks something")
        return cls(
            door=door,
            permitted=permitted,
            state=state,
            records=tuple(records),
            **{key: int(str(count)) for key, count in counts.items()},
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Board:
    """Who answers: a process with doors. kind: what it is, such as `radius`; label: which of its kind."""

    kind: str
    label: str
    pid: int
    started: Moment
    doors: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        return {
            "board": VERSION,
            "kind": self.kind,
            "label": self.label,
            "pid": self.pid,
            "started": iso(self.started),
            "doors": list(self.doors),
        }

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> Self:
        """Malformed, also for an answer that says what is wrong with the question."""
        if "error" in value:
            raise Malformed(f"the board says: {str(value['error'])[:200]}")
        if value.get("board") != VERSION:
            raise Malformed(f"no board of version {VERSION}")
        kind, label, pid, started, doors = (value.get(key) for key in ("kind", "label", "pid", "started", "doors"))
        if not (
            isinstance(kind, str)
            and isinstance(label, str)
            and type(pid) is int
            and isinstance(started, str)
            and isinstance(doors, list)
            and all(isinstance(door, str) for door in doors)
        ):
            raise Malformed("a board's first line lacks something")
        return cls(kind=kind, label=label, pid=pid, started=moment_of_text(started), doors=tuple(doors))
