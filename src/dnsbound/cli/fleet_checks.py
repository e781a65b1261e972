"""What `dnsbound check` looks at: zones as the world sees them, held against what the inventory says.

Each check gives findings and never raises for what it finds. Names are streamed, thousands of them being asked about at
a time; what is wrong with many of them is counted, and the first few are shown.

Sections: RFC 7671 sections 8 (records match the key) and 13 (lifetimes of signatures), RFC 4034 section 3.1.5.
"""

import random
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from dnsbound.cli.checks import Finding, Level
from dnsbound.dns.answer import Outcome, Security
from dnsbound.dns.exposure import DenialStyle
from dnsbound.dns.served import Lacking, Wanted
from dnsbound.edge.authoritative_servers import CouldNotTell, NotYet, Observer, ServedEverywhere
from dnsbound.edge.nameservers import ZoneServers, find_servers_blocking
from dnsbound.edge.stranger import Stranger
from dnsbound.errors import DnsboundError
from dnsbound.times import Moment, Seconds, iso

if TYPE_CHECKING:
    from dnsbound.edge.resolver import Resolver
    from dnsbound.provision.publish.publisher import Change
    from dnsbound.provision.publish.targets import Target

DAY: Final = 86_400
SHOWN: Final = 10
"""Names of one zone that are told one by one; the others are counted."""
_LONG_TTL: Final = DAY
_SHORT_TTL: Final = 30
_LONG_SIGNATURE: Final = 31 * DAY
_LONG_DENIAL: Final = 3600
_LATE: Final = 8
"""A signature is late when less than this part of its life is left: servers make new ones before that."""


@dataclass(slots=True, kw_only=True)
class ZoneFacts:
    """What was counted of one zone, for metrics."""

    names: int = 0
    served: int = 0
    behind: int = 0
    unknown: int = 0
    signed_until: Moment | None = None
    """When the first signature that was seen ends."""
    smallest_ttl: int | None = None
    largest_ttl: int | None = None

    def note_ttl(self, ttl: int) -> None:
        self.smallest_ttl = ttl if self.smallest_ttl is None else min(self.smallest_ttl, ttl)
        self.largest_ttl = ttl if self.largest_ttl is None else max(self.largest_ttl, ttl)

    def note_signed_until(self, moment: Moment) -> None:
        self.signed_until = moment if self.signed_until is None else min(self.signed_until, moment)


@dataclass(frozen=True, slots=True, kw_only=True)
class ZoneCheck:
    """One zone, checked. warn: seconds of signature that must be left. share: of the names, that are asked about."""

    target: "Target"
    resolver: "Resolver"
    changes: Callable[[], Iterable["Change"]]
    """What shall stand at each name, and what of ours shall not."""
    progress: Callable[[int], None]
    warn: Seconds
    share: float = 1.0
    facts: ZoneFacts = field(default_factory=ZoneFacts)

    @property
    def _zone(self) -> str:
        return self.target.zone.text

    def findings(self) -> Iterator[Finding]:
        """Everything about the zone."""
        yield from self._chain()
        servers = None
        with _told(f"servers of {self._zone}") as problems:
            named = [str(server) for server in self.target.servers]
            servers = find_servers_blocking(self.target.zone.absolute, resolver=self.resolver, servers=named)
        yield from problems
        if servers is None:
            return
        yield from self._servers(servers)
        with _told(f"names of {self._zone}") as problems:
            yield from self._names(servers)
        yield from problems
        yield from self._ttls()
        with _told(f"denials of {self._zone}") as problems:
            yield from self._denials(servers)
        yield from problems

    def _chain(self) -> Iterator[Finding]:
        """From the trust anchor to the zone, as every door judges it."""
        check = f"chain to {self._zone}"
        answer = self.resolver.lookup_blocking(self.target.zone.absolute, "SOA")
        if answer.security is Security.SECURE:
            yield Finding(check=check, level=Level.OK, found="secure")
        elif answer.outcome is Outcome.FAILED and answer.security is not Security.BOGUS:
            found = answer.detail or "no answer"
            yield Finding(check=check, level=Level.UNKNOWN, found=found, remedy="see `dnsbound doctor`")
        elif answer.security is Security.INDETERMINATE:
            found = answer.detail or "no trust anchor leads there"
            yield Finding(check=check, level=Level.UNKNOWN, found=found, remedy="see `dnsbound doctor`")
        else:
            remedy = "give the zone's DS to its parent, and see `dnsbound explain`"
            found = f"{answer.security.value}: {answer.detail}"
            yield Finding(check=check, level=Level.FAIL, found=found, remedy=remedy)

    def _servers(self, servers: ZoneServers) -> Iterator[Finding]:
        """Each answers with authority, and all with the same serial."""
        serials: dict[str, int] = {}
        for label, said in Observer(servers).serials_blocking().items():
            check = f"server {label} of {self._zone}"
            if isinstance(said, Lacking):
                level = Level.UNKNOWN if said.is_undecided else Level.FAIL
                yield Finding(check=check, level=level, found=str(said), remedy="mend or take it out of the NS records")
            else:
                serials[label] = said
                yield Finding(check=check, level=Level.OK, found=f"serial {said}")
        if len(set(serials.values())) > 1:
            told = ", ".join(f"{label} {serial}" for label, serial in serials.items())
            remedy = "look at transfers and notifications between them; wait, if something was published just now"
            yield Finding(check=f"serials of {self._zone}", level=Level.WARN, found=told, remedy=remedy)

    def _names(self, servers: ZoneServers) -> Iterator[Finding]:
        """Every name with records of ours, at every server: exactly those records, signed for long enough."""
        shown = 0
        ending: dict[str, Moment] = {}
        for seen in Observer(servers).observe_blocking(self._wanted()):
            self.progress(1)
            self.facts.names += 1
            name, outcome = seen.wanted.name.to_text(omit_final_dot=True), seen.outcome
            if isinstance(outcome, ServedEverywhere):
                self.facts.served += 1
                self.facts.note_signed_until(outcome.signed_until)
                if outcome.signed_until - time.time() < self.warn and len(ending) < SHOWN:
                    ending[name] = outcome.signed_until
                continue
            if isinstance(outcome, NotYet):
                self.facts.behind += 1
            else:
                self.facts.unknown += 1
            shown += 1
            if shown <= SHOWN:
                yield _lacking(name, outcome)
        yield self._counted()
        yield from self._signatures(servers, ending)

    def _wanted(self) -> Iterator[Wanted]:
        for change in self.changes():
            if change.after:
                self.facts.note_ttl(change.ttl)
            if self.share < 1 and random.random() >= self.share:  # noqa: S311 (which names are sampled is no secret)
                continue
            # Somebody else's TLSA beside ours lets somebody else in under the name.
            ttl = change.ttl if change.after else None
            yield Wanted.from_text(
                change.owner.absolute,
                change.rdtype,
                present=change.after,
                absent=change.removed,
                exactly=bool(change.after),
                ttl=ttl,
            )

    def _counted(self) -> Finding:
        facts, check = self.facts, f"names of {self._zone}"
        sampled = "" if self.share >= 1 else f" (a sample of {self.share:.0%})"
        if facts.behind or facts.unknown:
            level = Level.FAIL if facts.behind else Level.UNKNOWN
            found = f"{facts.behind} of {facts.names} are not served as they should be, {facts.unknown} not found out"
            return Finding(check=check, level=level, found=found + sampled, remedy="dnsbound publish --check, --fix")
        found = f"all {facts.names} served by every server, signed" if facts.names else "none has records"
        return Finding(check=check, level=Level.OK, found=found + sampled)

    def _signatures(self, servers: ZoneServers, ending: dict[str, Moment]) -> Iterator[Finding]:
        """Whether they are renewed in time. Servers that sign each answer make short ones; that is no fault."""
        check = f"signatures of {self._zone}"
        life = self._signature_life(servers)
        if life is None:
            return
        now = time.time()
        left = None if self.facts.signed_until is None else self.facts.signed_until - now
        if left is not None and left < min(self.warn, life / _LATE):
            name = next(iter(ending), "")
            end = iso(self.facts.signed_until or now)
            found = f"the first ends {end}{f', of {name}' if name else ''}; {_span(left)} left of {_span(life)}"
            remedy = "the signer is late: look at its log before names stop working"
            yield Finding(check=check, level=Level.FAIL, found=found, remedy=remedy)
        elif life > _LONG_SIGNATURE:
            found = f"they hold for {_span(life)}: a removed record can be replayed as long (RFC 7671 section 13)"
            yield Finding(check=check, level=Level.WARN, found=found, remedy="sign for days or a few weeks")
        else:
            until = "" if self.facts.signed_until is None else f"; the first ends {iso(self.facts.signed_until)}"
            yield Finding(check=check, level=Level.OK, found=f"they hold for {_span(life)}{until}")

    def _signature_life(self, servers: ZoneServers) -> Seconds | None:
        """From inception to expiration of the signatures over the top of the zone, the longest."""
        lives = []
        for server in servers.servers:
            try:
                lives += Stranger(server, servers.zone).signature_lives()
            except (OSError, DnsboundError):
                continue  # Told of by `_servers`.
        return max(lives, default=None)

    def _ttls(self) -> Iterator[Finding]:
        check, facts = f"TTLs of {self._zone}", self.facts
        if facts.largest_ttl is None or facts.smallest_ttl is None:
            return
        told = f"from {facts.smallest_ttl} to {facts.largest_ttl} seconds"
        if facts.largest_ttl > _LONG_TTL:
            found = f"{told}: a revoked client may get in for so long"
            yield Finding(check=check, level=Level.WARN, found=found, remedy="minutes to an hour")
        elif facts.smallest_ttl < _SHORT_TTL:
            found = f"{told}: no outage of the zone's servers is survived, and they see every login"
            yield Finding(check=check, level=Level.WARN, found=found, remedy="minutes to an hour")
        else:
            yield Finding(check=check, level=Level.OK, found=told)

    def _denials(self, servers: ZoneServers) -> Iterator[Finding]:
        """What a stranger can list, and how long an absence is remembered."""
        if not servers.servers:
            return
        check = f"denials of {self._zone}"
        stranger = Stranger(servers.servers[0], servers.zone)
        style = stranger.denied().style
        if style in (DenialStyle.NSEC, DenialStyle.NSEC3):
            found = f"strangers can list the zone ({style.value})"
            remedy = f"dnsbound privacy report {self._zone}"
            yield Finding(check=check, level=Level.WARN, found=found, remedy=remedy)
        elif style is DenialStyle.UNSIGNED:
            yield Finding(check=check, level=Level.FAIL, found="not signed", remedy="sign the zone")
        else:
            yield Finding(check=check, level=Level.OK, found=f"made for each question ({style.value})")
        kept = stranger.denial_ttl()
        if kept is not None and kept > _LONG_DENIAL:
            found = f"an absence is remembered for {kept} seconds: a new client stays unknown as long"
            yield Finding(check=check, level=Level.WARN, found=found, remedy="an SOA minimum of a minute or less")


def _lacking(name: str, outcome: "NotYet | CouldNotTell") -> Finding:
    level = Level.FAIL if isinstance(outcome, NotYet) else Level.UNKNOWN
    return Finding(check=name, level=level, found=f"{outcome.server}: {outcome.why}")


def _span(seconds: Seconds) -> str:
    return f"{seconds / DAY:.1f} days" if seconds >= 2 * DAY else f"{max(seconds, 0) / 3600:.1f} h"


@contextmanager
def _told(check: str) -> Iterator[list[Finding]]:
    """What could not be done becomes the one finding of the list."""
    problems: list[Finding] = []
    try:
        yield problems
    except (OSError, DnsboundError) as error:
        problems.append(Finding(check=check, level=Level.UNKNOWN, found=str(error), remedy="see `dnsbound doctor`"))
