"""`dnsbound publish`: bringing the DNS servers of zones to what the inventory holds, and seeing where they differ."""

from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import typer

from dnsbound.cli.configuration import actor
from dnsbound.cli.exit_codes import ExitCode, exit_code_of_error, line_of_error
from dnsbound.cli.opened import opened_inventory, opened_resolver, publish_targets
from dnsbound.cli.options import AnchorsOption, InventoryOption, JsonOption, ReasonOption, ResolverOption, TargetsOption
from dnsbound.cli.output import advise, emit, say
from dnsbound.cli.progress import progress_bar
from dnsbound.errors import DnsboundError, Misuse
from dnsbound.limits import PUBLISH_CLAIM_SECONDS, PUBLISH_REMOVALS

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from dnsbound.cli.publish_wait import Waits
    from dnsbound.provision.publish.moving import Manner, Moved
    from dnsbound.provision.publish.reconcile import Publishing
    from dnsbound.provision.publish.targets import Target

_WORST = (ExitCode.YES, ExitCode.UNDECIDED, ExitCode.NO, ExitCode.USAGE)
"""Codes by how much they have to say: a decided no outweighs what could not be found out."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Run:
    """What the commands below work with."""

    publishing: "Publishing"
    targets: "list[Target]"
    as_json: bool
    reason: str

    def each(self, do: "Callable[[Target], ExitCode]") -> ExitCode:
        """For every target; one that fails does not hold up the others."""
        worst = ExitCode.YES
        for target in self.targets:
            try:
                code = do(target)
            except DnsboundError as error:
                code = exit_code_of_error(error)
                self.tell_failure(target, error)
            worst = max(worst, code, key=_WORST.index)
        return worst

    def tell_failure(self, target: "Target", error: DnsboundError) -> None:
        line = line_of_error(error)
        if self.as_json:
            emit({"zone": target.zone.text, "to": target.kind, "error": line})
        else:
            advise(line if target.zone.text in line else f"{target.zone}: {line}")


def publish(
    zones: Annotated[
        list[str] | None, typer.Argument(metavar="[ZONE]...", help="Zones to publish.", show_default="all")
    ] = None,
    *,
    test: Annotated[
        bool, typer.Option("--test", help="Only see whether the server would take changes: key, rights, zone.")
    ] = False,
    check: Annotated[bool, typer.Option("--check", help="Only show where servers differ from the inventory.")] = False,
    fix: Annotated[bool, typer.Option("--fix", help="Mend the differences that are ours.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print what would be sent.")] = False,
    wait: Annotated[
        float | None,
        typer.Option("--wait", metavar="SECONDS", min=1, help="Until every authoritative server serves it, signed."),
    ] = None,
    removals: Annotated[
        int | None,
        typer.Option(
            "--limit",
            min=0,
            help="Names that may lose all their records unasked.",
            show_default=f"the target's, or {PUBLISH_REMOVALS.default}; or a tenth",
        ),
    ] = None,
    allow_removals: Annotated[
        bool, typer.Option("--allow-removals", help="Any number of names may lose all their records.")
    ] = False,
    claim: Annotated[
        int, typer.Option("--claim", metavar="SECONDS", help="How long names belong to this run, should it be killed.")
    ] = PUBLISH_CLAIM_SECONDS.default,
    targets: TargetsOption = None,
    resolver: ResolverOption = None,
    anchors: AnchorsOption = None,
    reason: ReasonOption = "",
    inventory: InventoryOption = None,
    as_json: JsonOption = False,
) -> None:
    """Publish what waits in the inventory to the DNS servers of its zones; with options: try, compare, mend.

    Nothing but records of this inventory is ever changed or removed there. It may be ended and begun again at any time.
    """
    if sum((test, check and not fix, fix, dry_run)) > 1:
        raise Misuse("--test, --check, --fix and --dry-run are four different things")
    if wait is not None and (test or dry_run or (check and not fix)):
        raise Misuse("--wait goes with publishing")
    from dnsbound.edge.publishers import open_publisher
    from dnsbound.provision.publish.moving import Manner
    from dnsbound.provision.publish.reconcile import Publishing, chosen

    manner = Manner(allow_removals=allow_removals, claim_seconds=PUBLISH_CLAIM_SECONDS.checked(claim))
    with opened_inventory(inventory) as store, ExitStack() as held:
        publishing = Publishing(store, _limited(publish_targets(targets), removals), open_publisher)
        run = _Run(
            publishing=publishing, targets=chosen(publishing.targets, zones or ()), as_json=as_json, reason=reason
        )
        if test:
            raise typer.Exit(run.each(lambda target: _try_out(run, target)))
        if dry_run:
            raise typer.Exit(run.each(lambda target: _show(run, target)))
        if check and not fix:
            raise typer.Exit(run.each(lambda target: _check(run, target, mend=False)))
        waits = None
        if wait is not None:
            from dnsbound.cli.publish_wait import Waits

            waits = Waits(wait, held.enter_context(opened_resolver(resolver, anchors)))
            held.callback(waits.close)
        if fix:
            code = run.each(lambda target: _fix(run, target, manner, waits))
        else:
            code = run.each(lambda target: _publish(run, target, manner, waits))
            if not zones:
                code = max(code, _tell_homeless(run), key=_WORST.index)
    raise typer.Exit(code)


def _limited(targets: "Mapping[str, Target]", removals: int | None) -> "Mapping[str, Target]":
    from dataclasses import replace

    if removals is None:
        return targets
    return {name: replace(target, removals=removals) for name, target in targets.items()}


def _publish(run: _Run, target: "Target", manner: "Manner", waits: "Waits | None") -> ExitCode:
    from dnsbound.provision.publish.targets import EmbeddedTarget

    total = run.publishing.waiting(target).names
    keep = waits.keeper() if waits is not None else None
    with progress_bar(target.zone.text, total) as progress:
        if keep is None:
            moved = run.publishing.publish(target, manner, progress)
        else:
            moved = run.publishing.publish(target, manner, progress, keep)
    run.publishing.tell(target, moved, actor=actor(), reason=run.reason)
    embedded = isinstance(target, EmbeddedTarget)
    _tell_moved(run, target, moved, embedded=embedded)
    code = code_of(moved)
    if waits is not None and not embedded:
        served = waits.wait(target, run.publishing.standing(target), as_json=run.as_json)
        code = max(code, served, key=_WORST.index)
    return code


def code_of(moved: "Moved") -> ExitCode:
    """Of a run: a refusal outweighs what could not be found out."""
    if moved.refused or moved.held_back:
        return ExitCode.NO
    return ExitCode.UNDECIDED if moved.undecided or moved.more else ExitCode.YES


def _tell_moved(run: _Run, target: "Target", moved: "Moved", *, embedded: bool) -> None:
    if run.as_json:
        facts: dict[str, object] = {
            "zone": target.zone.text,
            "to": target.kind,
            "done": moved.done,
            "refused": moved.refused,
            "undecided": moved.undecided,
            "held_back": moved.held_back,
            "problems": moved.lines,
        }
        emit(facts)
        return
    if embedded:
        say(f"{target.zone}  embedded: every change is published at once")
    else:
        counts = [f"{moved.done} published"]
        counts += [f"{moved.refused} refused"] if moved.refused else []
        counts += [f"{moved.undecided} undecided"] if moved.undecided else []
        counts += [f"{moved.held_back} held back"] if moved.held_back else []
        say(f"{target.zone}  {', '.join(counts)}")
    for line in moved.lines:
        advise(line)


def _try_out(run: _Run, target: "Target") -> ExitCode:
    from dnsbound.provision.publish.publisher import OutcomeKind

    outcome = run.publishing.try_out(target)
    kind = OutcomeKind.DONE if outcome is None else outcome.kind
    line = "no server to ask" if outcome is None else outcome.line or "the server takes changes with this key"
    if run.as_json:
        emit({"zone": target.zone.text, "to": target.kind, "outcome": kind.value, "line": line})
    else:
        say(f"{target.zone}  {line}")
    return {
        OutcomeKind.DONE: ExitCode.YES,
        OutcomeKind.REFUSED: ExitCode.NO,
        OutcomeKind.UNDECIDED: ExitCode.UNDECIDED,
    }[kind]


def _show(run: _Run, target: "Target") -> ExitCode:
    for change in run.publishing.pending(target):
        facts: dict[str, object] = {
            "zone": target.zone.text,
            "owner": change.owner.text,
            "type": change.rdtype,
            "ttl": change.ttl,
        }
        for sign, word, rdatas in (("-", "remove", change.removed), ("+", "add", change.after)):
            for rdata in rdatas:
                if run.as_json:
                    emit(facts | {"change": word, "data": rdata})
                else:
                    say(f"{sign} {change.owner.absolute} {change.ttl} IN {change.rdtype} {rdata}")
    return ExitCode.YES


def _check(run: _Run, target: "Target", *, mend: bool) -> ExitCode:
    count = 0
    with progress_bar(target.zone.text, None) as progress:
        for found in run.publishing.drifts(target, progress):
            count += len(found)
            for drift in found:
                if run.as_json:
                    emit(drift.facts())
                else:
                    say(drift.to_text())
            if mend:
                run.publishing.again(found)
    if not run.as_json and not mend:
        advise(f"{target.zone}: {f'{count} differences' if count else 'as it should be'}")
    return ExitCode.NO if count else ExitCode.YES


def _fix(run: _Run, target: "Target", manner: "Manner", waits: "Waits | None") -> ExitCode:
    _check(run, target, mend=True)
    return _publish(run, target, manner, waits)


def _tell_homeless(run: _Run) -> ExitCode:
    count, name = run.publishing.homeless()
    if not count:
        return ExitCode.YES
    if run.as_json:
        emit({"zone": None, "waiting": count, "example": name})
    else:
        advise(f"{count} names wait that lie in no zone with a target, {name} for one: see docs/howto/publish.md")
    return ExitCode.NO
