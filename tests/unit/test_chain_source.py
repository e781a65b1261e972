"""Chains from a resolver, and the source that keeps one fresh: on World's zones, over its network."""

import asyncio
import os
import threading
import time
from collections.abc import Iterator

import dns.name
import dns.rdatatype
import pytest

from dnsbound.dns.answer import Outcome, Security
from dnsbound.dns.chain_building import BuiltChain
from dnsbound.dns.chain_judging import judge_chain
from dnsbound.edge.chain_source import FixedChain, ResolvedChain
from dnsbound.edge.resolver import Resolver
from dnsbound.errors import LimitExceeded, Misuse, Reason, Undecided
from dnsbound.testing import World
from dnsbound.testing.faults import Fault
from dnsbound.testing.organisation import Organisation

NAME = "car54._device.cars.example"
OWNER = dns.name.from_text(NAME)


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    with World() as world:
        yield world


@pytest.fixture(scope="module")
def cars(world: World) -> Organisation:
    cars = world.organisation("cars.example")
    cars.device("car54")
    return cars


@pytest.fixture(params=["asyncio", "blocking"])
def mode(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def build(resolver: Resolver, mode: str, name: str = NAME, **options: float) -> BuiltChain:
    if mode == "blocking":
        return resolver.chain_blocking(name, **options)  # type: ignore[arg-type]

    async def asked() -> BuiltChain:
        async with resolver:
            return await resolver.chain(name, **options)  # type: ignore[arg-type]

    return asyncio.run(asked())


def undecided(resolver: Resolver, mode: str, name: str = NAME, **options: float) -> Reason:
    with pytest.raises(Undecided) as caught:
        build(resolver, mode, name, **options)
    return caught.value.reason


def test_a_chain_is_built_and_judged_before_it_is_given_out(world: World, cars: Organisation, mode: str) -> None:
    built = build(world.resolver(), mode)
    assert (built.answer.security, built.answer.outcome) == (Security.SECURE, Outcome.RECORDS)
    judged = judge_chain(built.octets, OWNER, dns.rdatatype.TLSA, anchors=world.anchors, now=time.time())
    assert judged.records == built.answer.records
    assert built.valid_until <= time.time() + 2


def test_a_full_cache_changes_nothing(world: World, cars: Organisation, mode: str) -> None:
    """What other lookups have proved must be in the chain all the same."""
    resolver = world.resolver()
    cold = build(resolver, mode)
    assert resolver.lookup_blocking(NAME, "TLSA").security is Security.SECURE
    warm = build(resolver, mode)
    assert [record[0] for record in warm.chain.records] == [record[0] for record in cold.chain.records]
    assert resolver.cached(NAME, "TLSA") is not None


def test_a_chain_enters_no_cache(world: World, cars: Organisation, mode: str) -> None:
    resolver = world.resolver()
    build(resolver, mode)
    assert resolver.cached(NAME, "TLSA") is None


def test_a_denial_is_a_chain_too(world: World, cars: Organisation, mode: str) -> None:
    assert build(world.resolver(), mode, "none.cars.example").answer.outcome is Outcome.NXDOMAIN


@pytest.mark.parametrize(
    ("fault", "reason"),
    [(Fault.EXPIRED, Reason.BOGUS), (Fault.SERVFAIL, Reason.DNS_FAILED), (Fault.DEAD, Reason.DNS_FAILED)],
)
def test_no_chain_of_what_does_not_validate(
    world: World, cars: Organisation, mode: str, fault: Fault, reason: Reason
) -> None:
    world.fault(NAME, fault)
    try:
        assert undecided(world.resolver(), mode, deadline=0.5) is reason
    finally:
        world.heal(NAME)


def test_a_chain_may_be_too_long_and_a_question_wrong(world: World, cars: Organisation, mode: str) -> None:
    with pytest.raises(LimitExceeded):
        build(world.resolver(), mode, octets=1024)
    with pytest.raises(Misuse):
        build(world.resolver(), mode, "a..b")
    with pytest.raises(Misuse):
        build(world.resolver(), mode, deadline=0)


def test_a_resolver_that_is_closed_meanwhile(world: World, cars: Organisation) -> None:
    world.fault(NAME, Fault.DEAD)

    async def scenario() -> None:
        resolver = world.resolver()
        waiting = asyncio.create_task(resolver.chain(NAME))
        await asyncio.sleep(0)
        await resolver.aclose()
        with pytest.raises(Undecided) as caught:
            await waiting
        assert caught.value.reason is Reason.DNS_FAILED

    try:
        asyncio.run(scenario())
    finally:
        world.heal(NAME)


# Sources.


def until(seen: threading.Event) -> None:
    assert seen.wait(20), "nothing happened"


class Builder:
    """Builds the chains of a World by hand, each time as told."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.built: list[BuiltChain] = []
        self.fails = False
        self.again = threading.Event()
        self.failed = threading.Event()

    def chain_blocking(
        self, name: dns.name.Name | str, rdtype: dns.rdatatype.RdataType | str = dns.rdatatype.TLSA
    ) -> BuiltChain:
        assert rdtype == dns.rdatatype.TLSA
        if self.fails:
            self.failed.set()
            raise Undecided(Reason.DNS_FAILED)
        self.built.append(self.world.chain(str(name)))
        if len(self.built) > 1:
            self.again.set()
        return self.built[-1]


@pytest.fixture
def builder(world: World, cars: Organisation) -> Builder:
    return Builder(world)


def test_a_fixed_chain() -> None:
    assert FixedChain(b"octets").current() == b"octets"


def test_nothing_before_the_first_chain(builder: Builder) -> None:
    assert ResolvedChain(builder, NAME).current() is None


def test_a_server_s_own_name(builder: Builder) -> None:
    source = ResolvedChain.of_server(builder, "www.cars.example", 443)
    assert source.refresh().answer.name.to_text() == "_443._tcp.www.cars.example."


def test_the_chain_is_built_anew_before_it_ends(builder: Builder) -> None:
    with ResolvedChain(builder, NAME) as source:
        assert source.current() == builder.built[0].octets
        until(builder.again)
    assert source.current() == builder.built[-1].octets
    assert source.built is builder.built[-1]


def test_a_chain_is_not_built_before_it_must_be(builder: Builder, world: World) -> None:
    with ResolvedChain(builder, NAME, clock=lambda: time.time() - 3600):
        assert not builder.again.wait(1.5)


def test_the_last_chain_stays_while_none_can_be_built(builder: Builder) -> None:
    with ResolvedChain(builder, NAME) as source:
        builder.fails = True
        until(builder.failed)
        assert source.current() == builder.built[-1].octets
        builder.fails = False
        builder.again.clear()
        until(builder.again)


def test_it_does_not_start_without_a_chain(builder: Builder) -> None:
    builder.fails = True
    with pytest.raises(Undecided), ResolvedChain(builder, NAME):
        pass


def test_it_ends_at_once(builder: Builder) -> None:
    before = threading.active_count()
    with ResolvedChain(builder, NAME, clock=lambda: time.time() - 3600):
        threads = [thread for thread in threading.enumerate() if thread.name == "dnsbound-chain"]
        assert threads
    for thread in threads:
        thread.join(10)
    assert threading.active_count() <= before


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_a_forked_child_keeps_it_fresh_by_itself(builder: Builder) -> None:
    reader, writer = os.pipe()
    with ResolvedChain(builder, NAME) as source:
        child = os.fork()
        if child == 0:
            builder.again = threading.Event()
            said = b"no"
            try:
                if source.current() is not None and builder.again.wait(20):
                    said = b"ok"
            finally:
                os.write(writer, said)
                os._exit(0)
        os.close(writer)
        try:
            assert os.read(reader, 2) == b"ok"
        finally:
            os.close(reader)
            os.waitpid(child, 0)
