"""Any course of rolls, held against verifiers whose caches keep what they got for all of its TTL, servers that lag,
wall clocks that are set back and forth, and machines that start again: the client is never refused."""

import hashlib

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from dnsbound.provision.errors import RollRefused
from dnsbound.provision.lifecycle import machine
from dnsbound.provision.lifecycle.deployment import Deployment, Parameters
from dnsbound.provision.lifecycle.evidence import Evidence, Reading
from dnsbound.provision.lifecycle.invariant import unmatched
from dnsbound.provision.lifecycle.machine import Behind, RollEvent, RollKind, RollState, Served, Unknown
from dnsbound.provision.lifecycle.plan import make_plan

SERVERS = 3
FORMS = [(Parameters(3, 1, 1),), (Parameters(3, 1, 2),), (Parameters(3, 1, 1), Parameters(3, 1, 2))]


def deployment(number):
    return Deployment(spki=hashlib.sha256(f"key {number}".encode()).digest())


class RollModel(RuleBasedStateMachine):
    """time: true and steady. wall: what the clock on the wall shows. held: what some cache holds, and how long.
    former_ttls: that the RRset had, and when it lost them."""

    def __init__(self):
        super().__init__()
        self.time, self.wall = 0.0, 1_800_000_000.0
        self.boot, self.booted_at = 0, 0.0
        self.keys = 0
        self.device = deployment(0)
        self.standing = frozenset({self.device.record(Parameters(3, 1, 1))})
        self.ttl = 300
        self.primary = (self.standing, self.ttl)
        self.servers = [self.primary] * SERVERS
        self.former_ttls = []
        self.held = {}
        self.state = None

    # The world

    @rule(seconds=st.sampled_from([1.0, 200.0, 299.0, 301.0, 600.0, 7200.0]))
    def time_passes(self, seconds):
        self.time += seconds
        self.wall += seconds
        self.caches_ask()

    def caches_ask(self):
        """Some cache asks every server at every moment, and keeps the answer for as long as it may."""
        for rrset, ttl in self.servers:
            self.held[rrset] = max(self.held.get(rrset, 0.0), self.time + ttl)
        self.held = {rrset: until for rrset, until in self.held.items() if until > self.time}

    @rule(seconds=st.sampled_from([-1e6, -700.0, 700.0, 1e6]))
    def the_wall_clock_is_set(self, seconds):
        self.wall += seconds

    @rule()
    def the_machine_starts_again(self):
        self.boot, self.booted_at = self.boot + 1, self.time

    @rule(server=st.integers(0, SERVERS - 1))
    def a_server_catches_up(self, server):
        self.caches_ask()
        self.servers[server] = self.primary

    @rule()
    def every_server_catches_up(self):
        for server in range(SERVERS):
            self.a_server_catches_up(server)

    # The roll

    @precondition(lambda self: self.state is None)
    @rule(ttl=st.sampled_from([0, 60, 300, 3600]))
    def another_ttl(self, ttl):
        self.former_ttls.append((self.ttl, self.time))
        self.ttl = ttl
        self.primary = (self.standing, ttl)

    @precondition(lambda self: self.state is None)
    @rule(form=st.sampled_from(FORMS), new_key=st.booleans())
    def begin(self, form, new_key):
        self.old = self.device
        self.new = deployment(self.keys + 1) if new_key else self.device
        kind = RollKind.KEY if new_key else RollKind.PARAMETERS
        try:
            self.plan = make_plan(
                kind, standing=self.standing, ours=self.standing, old=self.old, new=self.new, target=form
            )
        except RollRefused:
            assert not new_key
            assert self.standing == frozenset(self.device.record(one) for one in form)
            return
        self.keys += new_key
        remembered = max((ttl for ttl, until in self.former_ttls), default=0)
        self.state, self.evidence = machine.FIRST_STATE[kind], Evidence(old_ttl=remembered)
        self.confirmed = False

    @precondition(lambda self: self.state in machine.ASKED_ABOUT_SERVERS)
    @rule(unreachable=st.sampled_from([False, False, False, True]))
    def look(self, unreachable):
        expected = self.plan.rrset(self.state)
        if unreachable:
            seen = Unknown(server="192.0.2.1", why="no answer")
        elif all(rrset == expected for rrset, _ in self.servers):
            seen = Served(ttl=max(ttl for _, ttl in self.servers))
        else:
            seen = Behind(server="192.0.2.2", why="it serves what stood before")
        steady = Reading(clock=f"boot {self.boot}", seconds=self.time - self.booted_at)
        step = machine.look(
            self.state, self.evidence, seen, same_key=self.new is self.old, now=self.wall, steady=steady
        )
        self.evidence = Evidence.from_text(step.evidence.to_text())
        if step.event is not None:
            self.move(step.event)

    @precondition(lambda self: self.state is RollState.SWITCH)
    @rule()
    def the_device_switches(self):
        self.device = self.new

    @precondition(lambda self: self.state in machine.ASKED_ABOUT_SERVERS)
    @rule()
    def all_goes_well(self):
        self.every_server_catches_up()
        self.look(unreachable=False)

    @precondition(lambda self: self.state is RollState.PREPUBLISH)
    @rule(server=st.integers(0, SERVERS - 1))
    def a_server_is_restored_from_a_backup(self, server):
        self.caches_ask()
        self.servers[server] = (self.plan.before, self.ttl)
        self.look(unreachable=False)

    @precondition(lambda self: self.state is RollState.SWITCH and self.device is self.new)
    @rule()
    def the_device_confirms(self):
        self.confirmed = True
        self.move(RollEvent.CONFIRMED)

    @precondition(
        lambda self: self.state is not None and self.device is self.old and self.state is not RollState.RETIRE
    )
    @rule()
    def cancel(self):
        self.move(RollEvent.CANCELLED)

    def move(self, event):
        self.state = machine.after(self.state, event)
        self.evidence = self.evidence.in_new_state()
        rrset = self.plan.rrset(self.state)
        self.primary = (rrset, self.ttl)
        if self.state not in machine.OPEN:
            self.standing, self.state = rrset, None

    # What must hold

    @invariant()
    def nobody_refuses_the_device(self):
        for rrset, _ in (*self.servers, *self.held.items()):
            assert unmatched(rrset, self.device) == [], (self.state, self.device)

    @invariant()
    def only_word_from_the_device_ends_the_switch(self):
        if self.state is RollState.RETIRE and self.new is not self.old:
            assert self.confirmed


def test_no_course_of_rolls_refuses_the_device():
    run_state_machine_as_test(RollModel, settings=settings(max_examples=800, stateful_step_count=40, deadline=None))
