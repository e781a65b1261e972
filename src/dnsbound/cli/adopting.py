"""One run of `dnsbound id adopt`: reading, the plan or carrying it out, and what is said about it."""

import secrets
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Final

from dnsbound.cli.adoption_output import Plan, Rejects, Tally
from dnsbound.cli.configuration import actor
from dnsbound.cli.exit_codes import ExitCode, printable
from dnsbound.cli.opened import opened_inventory
from dnsbound.cli.output import advise, emit, say
from dnsbound.cli.progress import progress_bar
from dnsbound.errors import Misuse
from dnsbound.limits import ADOPTION_LISTED
from dnsbound.provision.adoption.accepting import Accepted, Terms, accepted
from dnsbound.provision.adoption.adoptions import Doing, Left, Undone
from dnsbound.provision.adoption.candidate import BadRow, Candidate, Row
from dnsbound.provision.adoption.completeness import Completeness, RemovalLimit
from dnsbound.provision.adoption.formats import Format
from dnsbound.provision.adoption.plan import Action, Judged
from dnsbound.provision.adoption.rollback import RollbackFile
from dnsbound.provision.adoption.source import ReadingRules
from dnsbound.provision.adoption.sources import octets_in, rows
from dnsbound.provision.adoption.staging import Staging
from dnsbound.provision.errors import InventoryMissing, RemovalsRefused

if TYPE_CHECKING:
    from dnsbound.provision.inventory import Inventory

_STAGED_AT_ONCE: Final = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """What was said on the command line."""

    sources: tuple[str, ...]
    rules: ReadingRules
    format_: Format | None
    terms: Terms
    complete: Completeness | None
    limit: RemovalLimit
    rollback: Path | None
    resume: bool
    rejects: Path | None
    reason: str
    as_json: bool

    def plan(self, place: str | None) -> ExitCode:
        """Print what would be done."""
        tally = Tally()
        with Rejects(self.rejects) as rejects, Staging() as staging, _inventory_of_plan(place) as store:
            self._read(staging, tally, rejects)
            shown = Plan(as_json=self.as_json)
            with progress_bar("planning", staging.usable) as bar:
                for judged in store.adoptions.plan(staging, self.terms):
                    _count(judged, tally, rejects, shown)
                    bar(1)
            refused = self._plan_removals(store, staging, tally, rejects, shown)
            return self._told(tally, rejects, None, refused=refused, dry_run=True)

    def carry_out(self, place: str | None) -> ExitCode:
        """Do it."""
        if self.resume and self.rollback is None:
            raise Misuse("--resume needs --rollback: which file is to be gone on with?")
        tally = Tally()
        path = self.rollback or _new_rollback_path()
        with Rejects(self.rejects) as rejects, Staging() as staging:
            self._read(staging, tally, rejects)
            with opened_inventory(place, create=True) as store:
                # Before anything is changed: a list with a fault is no reason to do half of what it says.
                self._check_removals(store, staging, tally)
                with RollbackFile(path, resume=self.resume) as rollback:
                    self._carry_out(store, staging, tally, rejects, rollback)
                    changed = rollback.used
            return self._told(tally, rejects, path if changed else None, refused=False)

    def _read(self, staging: Staging, tally: Tally, rejects: Rejects) -> None:
        batch: list[Accepted] = []
        with progress_bar("reading", octets_in(self.sources)) as bar:
            for row in rows(self.sources, self.rules, format_=self.format_, read=bar):
                tally.read += 1
                named: Row | Accepted = row
                if isinstance(row, Candidate):
                    tally.unchecked += row.unchecked
                    named = accepted(row, self.terms)
                if isinstance(named, BadRow):
                    tally.unusable += 1
                    rejects.add(named)
                elif isinstance(named, Accepted):
                    batch.append(named)
                else:
                    tally.passed_over += 1
                if len(batch) >= _STAGED_AT_ONCE:
                    staging.add(batch)
                    batch = []
        staging.add(batch)
        staging.settle(danger_shared_keys=self.terms.danger_shared_keys)
        tally.repeated = staging.repeated
        for conflict in staging.conflicts():
            rejects.add(conflict)

    def _check_removals(self, store: "Inventory", staging: Staging, tally: Tally) -> None:
        if self.complete is None:
            return
        if tally.unusable and next(store.adoptions.removals(staging, self.complete), None) is not None:
            raise RemovalsRefused(
                f"{tally.unusable} rows could not be used, and what the source lacks may be one of them: nothing was "
                "changed (repair them, or leave --complete away)"
            )
        store.adoptions.check_removals(staging, self.complete, self.limit)

    def _plan_removals(self, store: "Inventory", staging: Staging, tally: Tally, rejects: Rejects, shown: Plan) -> bool:
        """Whether carrying the plan out would be refused."""
        if self.complete is None:
            return False
        for step in store.adoptions.removals(staging, self.complete):
            _count(step, tally, rejects, shown)
        try:
            self._check_removals(store, staging, tally)
        except RemovalsRefused as refusal:
            advise(str(refusal))
            return True
        return False

    def _carry_out(
        self, store: "Inventory", staging: Staging, tally: Tally, rejects: Rejects, rollback: RollbackFile
    ) -> None:
        reason = self.reason or f"adopted from {', '.join(self.sources)}"[:_REASON]
        doing = Doing(actor=actor(), reason=printable(reason), clock=time.time, rollback=rollback)
        with _interruptible(tally), progress_bar("adopting", staging.usable) as bar:
            for judged in store.adoptions.carry_out(staging, self.terms, doing):
                _count(judged, tally, rejects, None)
                bar(1)
            if self.complete is not None:
                for step in store.adoptions.carry_out_removals(staging, self.complete, doing):
                    _count(step, tally, rejects, None)

    def _told(
        self, tally: Tally, rejects: Rejects, rollback: Path | None, *, refused: bool, dry_run: bool = False
    ) -> ExitCode:
        rejects.finish()
        if self.as_json:
            path = None if rollback is None else str(rollback)
            emit(tally.facts(rejects) | {"dry_run": dry_run, "rollback": path})
        else:
            for line in tally.lines(rejects):
                say(line)
        if rollback is not None and not self.as_json:
            advise(f"`dnsbound id adopt --undo {rollback}` takes this back.")
        if tally.unchecked:
            advise("Nobody checked who signed the manifest: --manifest-signer names its signer's certificate.")
        return ExitCode.NO if rejects.count or refused else ExitCode.YES


@contextmanager
def _inventory_of_plan(place: str | None) -> Iterator["Inventory"]:
    """The inventory; an empty one for the time of the plan where there is none, because a plan makes nothing."""
    with ExitStack() as held:
        try:
            store = held.enter_context(opened_inventory(place))
        except InventoryMissing as missing:
            advise(f"{missing}. The plan is for a new one.")
            passing = Path(held.enter_context(TemporaryDirectory())) / "inventory.db"
            store = held.enter_context(opened_inventory(str(passing), create=True))
        yield store


def _new_rollback_path() -> Path:
    stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
    return Path(f"adoption-{stamp}-{secrets.token_hex(3)}.rollback")


_REASON: Final = 200
"""Characters of a reason that nobody gave."""


def _count(judged: Judged, tally: Tally, rejects: Rejects, shown: Plan | None) -> None:
    if isinstance(judged, BadRow):
        rejects.add(judged)
        return
    tally.actions[judged.action.value] += 1
    if shown is not None and judged.action is not Action.UNCHANGED:
        shown.add(judged)


@contextmanager
def _interruptible(tally: Tally) -> Iterator[None]:
    try:
        yield
    except KeyboardInterrupt:
        done = sum(tally.actions.values())
        advise(f"Interrupted after {done} clients: they stay adopted, and the same command goes on with the rest.")
        raise


def undo(
    path: Path, limit: RemovalLimit, *, dry_run: bool, reason: str, inventory: str | None, as_json: bool
) -> ExitCode:
    """Take an adoption back, or say what that would do."""
    left: Counter[str] = Counter()
    actions: Counter[str] = Counter()
    with opened_inventory(inventory) as store:
        if dry_run:
            undone = store.adoptions.plan_to_undo(path)
        else:
            store.adoptions.check_undo(path, limit)
            undone = store.adoptions.undo(path, actor=actor(), reason=reason or f"undone: {path}", clock=time.time)
        with progress_bar("taking back", None) as bar:
            for one in undone:
                bar(1)
                _tell_undone(one, left, as_json=as_json)
                if one.left is None:
                    actions[one.entry.undo.value] += 1
    if as_json:
        emit({"dry_run": dry_run, "actions": dict(actions), "left": dict(left)})
    else:
        for what, number in [*sorted(actions.items()), *((f"left: {why}", many) for why, many in sorted(left.items()))]:
            say(f"{number:>9}  {what}")
    return ExitCode.NO if left.keys() - {Left.NOT_THERE.value} else ExitCode.YES


def _tell_undone(undone: Undone, left: "Counter[str]", *, as_json: bool) -> None:
    entry, why = undone.entry, undone.left
    if why is not None:
        left[why.value] += 1
    if as_json:
        emit({"undo": entry.undo.value, "name": entry.name.canonical, "left": why})
    elif why is not None and left[why.value] <= ADOPTION_LISTED.default:
        advise(f"{entry.name}: left as it is: {why.value}")
