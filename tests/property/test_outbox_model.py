"""The outbox under publishers that work at the same time, fail, are killed, and come back late.

Always: what stands on the server of ours is known to be ours. In the end: the server holds what the inventory holds,
and what others put there.
"""

from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import select

from dnsbound.provision import publication, schema
from dnsbound.provision.inventory import Inventory
from dnsbound.provision.owner import OwnerName
from dnsbound.provision.publish.outbox import Claim, Outbox, Settled
from dnsbound.provision.publish.publisher import Change, OutcomeKind
from dnsbound.provision.publish.scope import Scope

ZONE = OwnerName.parse("cars.example")
NAMES = ["car54.cars.example"]
"""One name, so that everything meets there."""
DATA = [f"3 1 1 {number:064x}" for number in range(1, 3)]
ALIAS = "elsewhere.example."
FOREIGN = "3 1 1 " + "fe" * 32
CLAIM = 90

Place = tuple[str, str, str]


@dataclass
class Process:
    """A publisher: the claims it holds, and which of them it has sent."""

    claims: list[Claim] = field(default_factory=list)
    sent: set[str] = field(default_factory=set)
    is_late: bool = False
    """It sent something when its claim had ended, and has not written that down yet."""


class Publishers:
    def __init__(self) -> None:
        self.directory = TemporaryDirectory()
        self.inventory = Inventory.open(Path(self.directory.name) / "inventory.db", create=True)
        self.outbox = Outbox(self.inventory.database)
        self.scope = Scope.of(ZONE, [])
        self.now = 1_800_000_000.0
        self.server: set[Place] = {(name, "TLSA", FOREIGN) for name in NAMES}
        self.processes = [Process(), Process()]

    def close(self) -> None:
        self.inventory.close()
        self.directory.cleanup()

    # The inventory changes.

    def records(self, name: str, data: str, ttl: int) -> None:
        owner = OwnerName.parse(name)
        with self.inventory.database.writing() as connection:
            publication.remove(connection, owner, frozenset({"CNAME"}), now=self.now)
            publication.remove(connection, owner, frozenset({"TLSA"}), data, now=self.now)
            record = publication.parse_record(owner, "TLSA", data, ttl)
            publication.add(connection, record, now=self.now)

    def alias(self, name: str) -> None:
        owner = OwnerName.parse(name)
        with self.inventory.database.writing() as connection:
            publication.remove(connection, owner, frozenset({"CNAME", "TLSA"}), now=self.now)
            publication.add(connection, publication.parse_record(owner, "CNAME", ALIAS, 60), now=self.now)

    def nothing(self, name: str, data: str | None) -> None:
        with self.inventory.database.writing() as connection:
            kinds = frozenset({"CNAME", "TLSA"} if data is None else {"TLSA"})
            publication.remove(connection, OwnerName.parse(name), kinds, data, now=self.now)

    # Publishers work.

    def take(self, which: int, impatient: bool) -> None:
        claims = self.outbox.claim(
            self.scope,
            after="",
            limit=10,
            now=self.now,
            seconds=CLAIM,
            impatient=impatient,
            keep_names=False,
        )
        self.processes[which].claims += claims

    def send(self, which: int) -> None:
        process = self.processes[which]
        for claim in process.claims:
            process.is_late |= self.now >= claim.until
            for change in claim.changes:
                self.apply(change)
            process.sent.add(claim.owner.text)

    def settle(self, which: int, lost: bool, refused: bool) -> None:
        """lost: the answers, so that nobody knows what was done."""
        process, self.processes[which] = self.processes[which], Process()
        failed = OutcomeKind.REFUSED if refused else OutcomeKind.UNDECIDED
        settled = [
            Settled(claim=claim, kind=OutcomeKind.DONE)
            if claim.owner.text in process.sent and not lost
            else Settled(claim=claim, kind=failed, line="it did not work")
            for claim in process.claims
        ]
        self.outbox.settle(settled, now=self.now)

    def give_back(self, which: int) -> None:
        process = self.processes[which]
        self.outbox.release([claim for claim in process.claims if claim.owner.text not in process.sent], now=self.now)
        process.claims = [claim for claim in process.claims if claim.owner.text in process.sent]

    def kill(self, which: int) -> None:
        if not self.processes[which].is_late:
            self.processes[which] = Process()

    def time_passes(self, seconds: float) -> None:
        self.now += seconds

    # What must hold.

    def what_is_ours_on_the_server_is_known(self) -> None:
        if not any(process.is_late for process in self.processes):
            assert self.server - self.foreign <= self.rows(schema.published)
        assert self.foreign <= self.server

    def everything_gets_there(self) -> None:
        self.now += 10_000
        for _ in range(3):
            claims = self.outbox.claim(
                self.scope, after="", limit=10, now=self.now, seconds=CLAIM, impatient=True, keep_names=False
            )
            for claim in claims:
                for change in claim.changes:
                    self.apply(change)
            self.outbox.settle([Settled(claim=claim, kind=OutcomeKind.DONE) for claim in claims], now=self.now)
        assert self.server - self.foreign == self.rows(schema.records)
        assert self.rows(schema.published) == self.rows(schema.records)
        assert self.outbox.waiting(self.scope, now=self.now).names == 0

    def apply(self, change: Change) -> None:
        place = change.owner.text, change.rdtype
        self.server -= {(*place, data) for data in change.removed}
        self.server |= {(*place, data) for data in change.after}

    @property
    def foreign(self) -> set[Place]:
        return {(name, "TLSA", FOREIGN) for name in NAMES}

    def rows(self, table: object) -> set[Place]:
        with self.inventory.database.reading() as connection:
            return {tuple(row) for row in connection.execute(select(table.c.owner, table.c.rdtype, table.c.rdata))}


WHICH = [0, 1]
STEPS = [
    *[("records", NAMES[0], data, ttl) for data in DATA for ttl in (60, 300)],
    ("alias", NAMES[0]),
    *[("nothing", NAMES[0], data) for data in (*DATA, None)],
    *[("take", which, impatient) for which in WHICH for impatient in (True, True, False)],
    *[("send", which) for which in WHICH for _ in range(3)],
    *[("settle", which, lost, False) for which in WHICH for lost in (False, False, True)],
    *[("settle", which, True, True) for which in WHICH],
    *[(step, which) for which in WHICH for step in ("give_back", "kill")],
    *[("time_passes", seconds) for seconds in (1, CLAIM / 2, CLAIM, 4000)],
]


@settings(max_examples=150, deadline=None)
@given(st.lists(st.sampled_from(STEPS), min_size=6, max_size=20))
def test_whatever_happens_nothing_is_lost(steps: list[tuple[object, ...]]) -> None:
    publishers = Publishers()
    try:
        publishers.records(NAMES[0], DATA[0], 60)
        for step, *arguments in steps:
            getattr(publishers, str(step))(*arguments)
            publishers.what_is_ours_on_the_server_is_known()
        for which in WHICH:
            publishers.settle(which, lost=True, refused=False)
        publishers.everything_gets_there()
    finally:
        publishers.close()
