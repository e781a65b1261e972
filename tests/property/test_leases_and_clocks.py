"""Whatever is done with leases in whatever order, and wherever the clock is set to: no alias outlives its end."""

import tempfile
from pathlib import Path

import hypothesis.strategies as st
from hypothesis import settings
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from sqlalchemy import select

from dnsbound.errors import DnsboundError
from dnsbound.names import ClientName
from dnsbound.provision import schema
from dnsbound.provision.inventory import Inventory
from dnsbound.provision.lifecycle.evidence import Reading
from dnsbound.provision.ownership.lease import OPEN, LeaseState
from dnsbound.provision.ownership.leases import Leases
from dnsbound.provision.ownership.movers import LeaseMover

NOW = 1_800_000_000.0
HOUR = 3600.0
NAMES = [ClientName.parse(f"van{number}._device.hire.example") for number in range(2)]
DEVICES = [ClientName.parse(f"car{number}._device.cars.example") for number in range(2)]
SPANS = st.sampled_from([HOUR, 5 * HOUR, 30 * HOUR])
WANDERINGS = st.sampled_from([0.0, -200 * HOUR, -3 * HOUR, 3 * HOUR])


class LeasesUnderAWanderingClock(RuleBasedStateMachine):
    """`real` goes on as time does; `wall` is what the machine's clock shows, which somebody sets."""

    @initialize()
    def begin(self):
        self.directory = tempfile.TemporaryDirectory()
        self.inventory = Inventory.open(Path(self.directory.name) / "inventory.db", create=True)
        self.real, self.wall = 0.0, NOW
        self.leases = Leases(self.inventory.database, steady=lambda: Reading(clock="one", seconds=self.real))
        self.mover = LeaseMover(self.leases, lambda _target: None, actor="runner")
        self.told: dict[int, float] = {}
        """By lease: the end that was told last, in real time."""

    def teardown(self):
        if hasattr(self, "inventory"):
            self.inventory.close()
            self.directory.cleanup()

    @rule(name=st.sampled_from(NAMES), device=st.sampled_from(DEVICES), wait=st.just(0.0) | SPANS, span=SPANS)
    def grant(self, name, device, wait, span):
        starts_at = self.wall + wait
        try:
            lease = self.leases.grant(
                name, device, starts_at=starts_at, ends_at=starts_at + span, now=self.wall, actor="operations"
            )
        except DnsboundError:
            return
        self.told[lease.number] = self.real + wait + span

    @rule(name=st.sampled_from(NAMES), span=SPANS)
    def extend(self, name, span):
        try:
            lease = self.leases.extend(name, ends_at=self.wall + span, now=self.wall, actor="operations")
        except DnsboundError:
            return
        self.told[lease.number] = self.real + span

    @rule(name=st.sampled_from(NAMES))
    def end(self, name):
        try:
            lease = self.leases.end(name, now=self.wall, actor="operations")
        except DnsboundError:
            return
        assert lease.state not in OPEN

    @rule(span=SPANS, set_by=WANDERINGS)
    def time_passes_and_the_runner_runs(self, span, set_by):
        """set_by: where somebody sets the clock to meanwhile."""
        self.real += span
        self.wall += span + set_by
        while self.mover.advance(self.wall, 10).moved:
            pass
        for lease in self.leases.all():
            if lease.state in OPEN:
                assert self.real < self.told[lease.number]

    @invariant()
    def aliases_are_those_of_active_leases(self):
        if not hasattr(self, "inventory"):
            return
        rows = schema.records.c
        with self.inventory.database.reading() as connection:
            found = {(row.owner, row.rdata) for row in connection.execute(select(rows.owner, rows.rdata))}
        active = [lease for lease in self.leases.all() if lease.state is LeaseState.ACTIVE]
        assert found == {(lease.name.canonical, f"{lease.target.canonical}.") for lease in active}
        assert len({lease.name for lease in active}) == len(active)


TestLeasesUnderAWanderingClock = LeasesUnderAWanderingClock.TestCase
TestLeasesUnderAWanderingClock.settings = settings(max_examples=20, stateful_step_count=20, deadline=None)
