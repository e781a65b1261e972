"""`dnsbound publish --wait`: until every authoritative server of a zone serves, signed, what was published.

What was published goes through a temporary file: a million names do not belong into memory.
"""

import json
import tempfile
from collections.abc import Callable, Iterator
from typing import IO, TYPE_CHECKING

from dnsbound.cli.exit_codes import ExitCode
from dnsbound.cli.output import advise, emit, say
from dnsbound.cli.progress import progress_bar
from dnsbound.dns.served import Wanted
from dnsbound.edge.authoritative_servers import NotYet, Observer, Progress, ServedEverywhere, Waited, wanted_of
from dnsbound.edge.nameservers import find_servers_blocking
from dnsbound.times import Seconds

if TYPE_CHECKING:
    from dnsbound.edge.resolver import Resolver
    from dnsbound.provision.publish.outbox import Claim
    from dnsbound.provision.publish.publisher import Change
    from dnsbound.provision.publish.targets import Target

_SHOWN = 10


class Waits:
    """Keeps what was published of one zone after the other, and waits for it. seconds: for each zone."""

    def __init__(self, seconds: Seconds, resolver: "Resolver") -> None:
        self._seconds = seconds
        self._resolver = resolver
        self._kept: IO[str] | None = None

    def keeper(self) -> "Callable[[Claim], None]":
        """What to call with each name that is published from now on."""
        self._kept = kept = tempfile.TemporaryFile("w+", encoding="ascii")  # noqa: SIM115 (closed by `wait`)

        def keep(claim: "Claim") -> None:
            for change in claim.changes:
                kept.write(json.dumps([change.owner.text, change.rdtype, change.after, change.removed, change.ttl]))
                kept.write("\n")

        return keep

    def close(self) -> None:
        """What was kept of a zone that nobody waited for is not needed any more."""
        if self._kept is not None:
            self._kept.close()

    def wait(self, target: "Target", all_changes: "Iterator[Change]", *, as_json: bool) -> ExitCode:
        """Wait, tell what came of it, and what that is as an exit code. Arguments as of `waited`."""
        waited = self.waited(target, all_changes)
        _tell(target, waited, as_json=as_json)
        if waited.is_complete:
            return ExitCode.YES
        decided = any(isinstance(one.outcome, NotYet) for one in waited.missing)
        return ExitCode.NO if decided else ExitCode.UNDECIDED

    def waited(self, target: "Target", all_changes: "Iterator[Change]") -> Waited:
        """all_changes: what should stand at every name, for targets that publish all at once and tell no names."""
        assert self._kept is not None
        with self._kept as kept:
            wanted = _kept_wanted(kept) if kept.tell() else map(wanted_of, all_changes)
            servers = find_servers_blocking(
                target.zone.absolute, resolver=self._resolver, servers=[str(server) for server in target.servers]
            )
            with progress_bar(f"{target.zone} served", None) as progress:
                seen = 0

                def through(now: Progress) -> None:
                    nonlocal seen
                    progress(now.served - seen)
                    seen = now.served

                return Observer(servers).wait_until_served_blocking(wanted, seconds=self._seconds, progress=through)


def _kept_wanted(kept: IO[str]) -> Iterator[Wanted]:
    kept.seek(0)
    for line in kept:
        owner, rdtype, present, absent, ttl = json.loads(line)
        yield Wanted.from_text(owner, rdtype, present=present, absent=absent, ttl=ttl if present else None)


def _tell(target: "Target", waited: Waited, *, as_json: bool) -> None:
    late = []
    for one in waited.missing[:_SHOWN]:
        outcome = one.outcome
        assert not isinstance(outcome, ServedEverywhere)
        late.append(f"{one.wanted.name.to_text()} {outcome.server}: {outcome.why}")
    if as_json:
        emit(
            {
                "zone": target.zone.text,
                "served_everywhere": waited.served,
                "not_yet": len(waited.missing),
                "largest_ttl": waited.ttl,
                "late": late,
            }
        )
        return
    say(f"{target.zone}  {waited.served} served by every server" + (f", {len(waited.missing)} not" if late else ""))
    for line in late:
        advise(line)
