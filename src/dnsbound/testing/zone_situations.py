"""DNSSEC situations as data: a small tree of zones, one question, and the answer every validator owes.

A corpus is a directory of TOML files, one per kind of situation. A table of a file is one situation; its zone stands at
`<name>.corpus.`, and `zones.<label>` are zones below it. All of a corpus hangs under one signed root, so that one
resolver can be asked everything.

    [nodata]
    rfc = "RFC 4035 5.4"
    about = "The name exists, the type does not."
    ask = "www TLSA"                    # relative to the situation's zone
    expect = "secure nodata"            # security and outcome; bogus has no outcome
    records = "www A 192.0.2.1"         # then keys, denial, ds, faults as in `zones.ZonePlan.of`

Further words: `detail` (a pattern found in the validator's own explanation), `wildcard = true`, `aliases` (how many are
followed), `anchor` (a private anchor for the situation's zone: `ds`, `dnskey`, `stranger`, or `negative`). Where a peer
reads the standards in another way: `differs` (its judgement), `because` (why both stand), and `repaired = true` if it
passes on something better than it was shown.
"""

import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Self

import dns.name
import dns.rdatatype

from dnsbound.dns.answer import Outcome, Security
from dnsbound.errors import Malformed
from dnsbound.testing.zones import ZonePlan

TOP: Final = "corpus."
ANCHORS: Final = frozenset({"", "ds", "dnskey", "stranger", "negative"})
_ZONE_WORDS: Final = frozenset({"records", "keys", "denial", "ds", "faults"})
_WORDS: Final = _ZONE_WORDS | {
    "rfc",
    "about",
    "ask",
    "expect",
    "detail",
    "wildcard",
    "aliases",
    "zones",
    "anchor",
    "differs",
    "because",
    "repaired",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    """A security state, and what the answer says: nothing where it is bogus, `failed` where none is usable."""

    security: Security
    outcome: Outcome | None

    @classmethod
    def parse(cls, text: str) -> Self:
        """`secure records`, `insecure nxdomain`, `bogus`, `indeterminate failed`; raises Malformed."""
        security, _, outcome = text.partition(" ")
        try:
            judged = cls(security=Security(security), outcome=Outcome(outcome) if outcome else None)
        except ValueError as error:
            raise Malformed(f"judgement {text!r}: {error}") from None
        if (judged.outcome is None) != (judged.security is Security.BOGUS):
            raise Malformed(f"judgement {text!r}: all have an outcome but bogus")
        return judged

    @classmethod
    def of(cls, security: Security, outcome: Outcome) -> Self:
        """The judgement of an answer."""
        return cls(security=security, outcome=None if security is Security.BOGUS else outcome)

    @property
    def to_a_client(self) -> tuple[Security | None, Outcome | None]:
        """What a client of a validating resolver sees of it: SERVFAIL (None, None), or an answer with AD or without."""
        if self.outcome in {None, Outcome.FAILED}:
            return None, None
        return (self.security if self.security is Security.SECURE else Security.INSECURE), self.outcome

    def __str__(self) -> str:
        return self.security.value if self.outcome is None else f"{self.security.value} {self.outcome.value}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Situation:
    """One situation of the corpus."""

    kind: str
    name: str
    rfc: str
    about: str
    question: dns.name.Name
    rdtype: dns.rdatatype.RdataType
    expected: Judgement
    plans: tuple[ZonePlan, ...]
    detail: str = ""
    wildcard: bool = False
    aliases: int = 0
    anchor: str = ""
    differs: Judgement | None = None
    """What a peer says that reads the standard another way; None when all agree."""
    because: str = ""
    repaired_by_peer: bool = False
    """The peer differs because it repairs what it is shown, and passes on what it made."""

    @property
    def origin(self) -> dns.name.Name:
        return self.plans[0].origin

    @classmethod
    def parse(cls, kind: str, name: str, table: Mapping[str, Any]) -> Self:
        """Read one table; raises Malformed for what is missing, unknown or cannot be."""
        _check_words(name, table)
        origin = f"{name}.{TOP}"
        asked, rdtype = table["ask"].split()
        differs = table.get("differs")
        if (differs is None) != ("because" not in table):
            raise Malformed(f"situation {name}: `differs` and `because` come together")
        children = [_plan(f"{label}.{origin}", inner) for label, inner in table.get("zones", {}).items()]
        return cls(
            kind=kind,
            name=name,
            rfc=table["rfc"],
            about=table["about"],
            question=dns.name.from_text(asked, dns.name.from_text(origin)),
            rdtype=dns.rdatatype.from_text(rdtype),
            expected=Judgement.parse(table["expect"]),
            plans=(_plan(origin, {word: table[word] for word in _ZONE_WORDS & set(table)}), *children),
            detail=table.get("detail", ""),
            wildcard=table.get("wildcard", False),
            aliases=table.get("aliases", 0),
            anchor=table.get("anchor", ""),
            differs=None if differs is None else Judgement.parse(differs),
            because=table.get("because", ""),
            repaired_by_peer=table.get("repaired", False),
        )


def read_situations(directory: Path) -> Iterator[Situation]:
    """Every situation of a corpus, files and tables in order."""
    for path in sorted(directory.glob("*.toml")):
        with path.open("rb") as file:
            tables = tomllib.load(file)
        for name, table in tables.items():
            yield Situation.parse(path.stem, name, table)


def _plan(origin: str, table: Mapping[str, Any]) -> ZonePlan:
    if unknown := set(table) - _ZONE_WORDS:
        raise Malformed(f"zone {origin}: unknown words {', '.join(sorted(unknown))}")
    return ZonePlan.of(origin, **table)


def _check_words(name: str, table: Mapping[str, Any]) -> None:
    missing = {"rfc", "about", "ask", "expect"} - set(table)
    unknown = set(table) - _WORDS
    if missing or unknown:
        raise Malformed(f"situation {name}: missing {sorted(missing)}, unknown {sorted(unknown)}")
    if table.get("anchor", "") not in ANCHORS:
        raise Malformed(f"situation {name}: no such anchor: {table['anchor']}")
    judged = Judgement.parse(table["expect"])
    if (judged.security in {Security.BOGUS, Security.INDETERMINATE}) != ("detail" in table):
        raise Malformed(f"situation {name}: bogus and indeterminate ones, and only they, state a detail")
