"""The access list: which names each door lets in, and what it grants them. Read from TOML; an empty one permits nobody.

    [door.api]
    allow = [
        "car54._device.cars.example",
        "*._device.trucks.example",
        { names = ["**.robots.example"], grants = { vlan = 12, topic = "robots/" } },
    ]
    deny = ["truck13._device.trucks.example"]

An entry is an exact name or a pattern (`dnsbound.verify.patterns`), or a mailbox, or `*@` and a domain for all of its
mailboxes; a deny entry with wildcard labels keeps no mailbox out. A pattern ends in at least two literal labels,
unless the door says `danger_short_patterns = true`. A deny entry wins over every allow entry. Grants are free keys; all
entries that match a name add theirs, the more specific one winning key by key: an exact name over any pattern, more
literal labels over fewer, `*` over `**`, and between equals the later entry. Nothing here looks at the DNS.
"""

from collections.abc import Iterable, Iterator, Mapping
from hashlib import sha256
from itertools import count
from types import MappingProxyType
from typing import Final, Protocol, Self

from dnsbound.errors import Malformed, Reason, Refused
from dnsbound.limits import PATTERN_LITERAL_LABELS
from dnsbound.names import ClientName, MailboxName
from dnsbound.verify.access_text import NO_GRANTS, Grants, fault, frozen_grants, read_doors
from dnsbound.verify.patterns import ONE_LABEL, NamePattern, PatternTree

_generations: Final = count(1)


class Permit:
    """A name may come in at a door: what it is granted, and which entry says so."""

    __slots__ = ("grants", "pattern")

    def __init__(self, grants: Grants, pattern: NamePattern | None) -> None:
        self.grants = grants
        self.pattern = pattern
        """None when an exact entry names the client; otherwise the most specific pattern."""


class AccessSource(Protocol):
    """What knows the access list in force: a list itself, or a file that is read again when it changes."""

    def current(self) -> "AccessList": ...


class AccessList:
    """An immutable list. `generation` differs between any two lists of one process; `digest` says what was read."""

    __slots__ = ("_doors", "digest", "generation")

    def __init__(self, doors: Mapping[str, "_Door"], digest: str) -> None:
        self._doors = doors
        self.digest = digest
        self.generation = next(_generations)

    @classmethod
    def from_toml(cls, text: str) -> Self:
        """Read a list; Malformed with the line number when anything in it is not understood."""
        doors = {}
        for written in read_doors(text):
            doors[written.name] = door = _Door()
            try:
                for word, grants in written.allow:
                    door.allow(word, grants, short_patterns=written.danger_short_patterns)
                for word in written.deny:
                    door.deny(word)
            except Malformed as error:
                raise fault(text, f"{word!r}: {error.what}", door=written.name, word=word) from None
        return cls(doors, sha256(text.encode()).hexdigest())

    @classmethod
    def allowing(cls, door: str, names: Iterable[str], *, grants: Grants = NO_GRANTS) -> Self:
        """A list with one door that lets in these names and patterns, for programs and tests."""
        entry = _Door()
        frozen = frozen_grants(grants)
        digest = sha256(door.encode())
        for name in names:
            try:
                entry.allow(name, frozen, short_patterns=False)
            except Malformed as error:
                raise Malformed(f"access list, door {door!r}: {name!r}: {error.what}") from None
            digest.update(b"\n" + name.encode())
        return cls({door: entry}, digest.hexdigest())

    def current(self) -> Self:
        return self

    @property
    def doors(self) -> tuple[str, ...]:
        return tuple(self._doors)

    def entries(self, door: str) -> int:
        """Names, patterns and mailboxes that let in at one door; none at a door that is not there."""
        entry = self._doors.get(door)
        return 0 if entry is None else len(entry)

    def grants(self, door: str) -> Iterator[tuple[str, Grants]]:
        """Each name and pattern that lets in at one door, and what it adds to what is granted. Not its mailboxes, which
        connect to nothing."""
        entry = self._doors.get(door)
        return iter(()) if entry is None else entry.grants()

    def permit(self, door: str, name: ClientName) -> Permit:
        """What the name is granted at the door; Refused(NOT_PERMITTED) when it is not on the list."""
        entry = self._doors.get(door)
        if entry is None:
            raise Refused(Reason.NOT_PERMITTED, f"the access list has no door {door!r}")
        return entry.permit(name)

    def __len__(self) -> int:
        """Exact names and patterns that let in, over all doors."""
        return sum(len(door) for door in self._doors.values())

    def __repr__(self) -> str:
        return f"<AccessList {len(self)} entries, {len(self._doors)} doors, generation {self.generation}>"


class _Door:
    __slots__ = (
        "_allowed",
        "_allowed_patterns",
        "_denied",
        "_denied_patterns",
        "_denies_patterns",
        "_mailboxes",
        "_patterns",
    )

    def __init__(self) -> None:
        self._allowed: dict[str, Grants] = {}
        self._mailboxes: dict[str, Grants] = {}
        self._denied: set[str] = set()
        self._allowed_patterns: PatternTree[tuple[NamePattern, Grants]] = PatternTree(takes_underscores=False)
        self._denied_patterns: PatternTree[NamePattern] = PatternTree(takes_underscores=True)
        self._patterns = 0
        """How many patterns let in."""
        self._denies_patterns = False

    def __len__(self) -> int:
        return len(self._allowed) + self._patterns + len(self._mailboxes)

    def grants(self) -> Iterator[tuple[str, Grants]]:
        yield from self._allowed.items()
        for pattern, grants in self._allowed_patterns:
            yield str(pattern), grants

    def allow(self, text: str, grants: Grants, *, short_patterns: bool) -> None:
        if "@" in text:
            mailbox = _mailbox_entry(text)
            self._mailboxes[mailbox] = _merged(self._mailboxes.get(mailbox, NO_GRANTS), grants)
            return
        if "*" not in text:
            name = ClientName.parse(text).canonical
            # Keeping the text itself where it is canonical halves the memory of a long list.
            name = text if name == text else name
            self._allowed[name] = _merged(self._allowed.get(name, NO_GRANTS), grants)
            return
        pattern = NamePattern.parse(text)
        if len(pattern.suffix) < PATTERN_LITERAL_LABELS.default and not short_patterns:
            raise Malformed(
                f"the pattern ends in fewer than {PATTERN_LITERAL_LABELS.default} literal labels;"
                " danger_short_patterns would allow it"
            )
        known = self._allowed_patterns.find(pattern)
        self._patterns += known is None
        self._allowed_patterns.add(pattern, (pattern, _merged(known[1] if known else NO_GRANTS, grants)))

    def deny(self, text: str) -> None:
        if "@" in text:
            self._denied.add(_mailbox_entry(text))
        elif "*" not in text:
            self._denied.add(ClientName.parse(text).canonical)
        elif text in ("*", "**"):
            raise Malformed("a deny entry spells at least one label; to let nobody in, leave the door empty")
        else:
            pattern = NamePattern.parse(text)
            self._denied_patterns.add(pattern, pattern)
            self._denies_patterns = True

    def permit(self, name: ClientName) -> Permit:
        if isinstance(name, MailboxName):
            return self._permit_mailbox(name)
        text = name.canonical
        exact = self._allowed.get(text)
        if text in self._denied:
            raise Refused(Reason.NOT_PERMITTED, f"{text} is denied")
        if exact is None and not self._patterns:
            raise Refused(Reason.NOT_PERMITTED, f"{text} is not on the access list")
        if not self._patterns and not self._denies_patterns:
            return Permit(exact or NO_GRANTS, None)
        labels = name.labels
        for denied in self._denied_patterns.matches(labels) if self._denies_patterns else ():
            raise Refused(Reason.NOT_PERMITTED, f"{text} is denied by {denied}")
        found = self._allowed_patterns.matches(labels) if self._patterns else []
        if not found:
            if exact is None:
                raise Refused(Reason.NOT_PERMITTED, f"{text} is not on the access list")
            return Permit(exact, None)
        if len(found) == 1 and exact is None:
            return Permit(found[0][1], found[0][0])
        found.sort(key=_specificity)
        grants = NO_GRANTS
        for _, added in found:
            grants = _merged(grants, added)
        if exact is not None:
            return Permit(_merged(grants, exact), None)
        return Permit(grants, found[-1][0])

    def _permit_mailbox(self, name: MailboxName) -> Permit:
        """Entries with wildcard labels are about hosts, and let no mailbox in, nor keep one out."""
        everybody = f"*@{name.domain.canonical}"
        for text in (name.canonical, everybody):
            if text in self._denied:
                raise Refused(Reason.NOT_PERMITTED, f"{name.canonical} is denied by {text}")
        exact, domain = self._mailboxes.get(name.canonical), self._mailboxes.get(everybody)
        if exact is None and domain is None:
            raise Refused(Reason.NOT_PERMITTED, f"{name.canonical} is not on the access list")
        grants = _merged(domain or NO_GRANTS, exact or NO_GRANTS)
        return Permit(grants, None if exact is not None else NamePattern((ONE_LABEL, *name.domain.labels)))


def _mailbox_entry(text: str) -> str:
    """How a mailbox, or `*@` for all mailboxes of a domain, is kept."""
    local, _, domain = text.rpartition("@")
    return f"*@{ClientName.parse(domain).canonical}" if local == "*" else MailboxName.parse(text).canonical


def _specificity(match: tuple[NamePattern, Grants]) -> tuple[int, int]:
    return match[0].rank


def _merged(under: Grants, over: Grants) -> Grants:
    if not over:
        return under
    return MappingProxyType({**under, **over}) if under else over
