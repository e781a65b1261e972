"""All publishers keep the one promise of `publisher.Publisher`, each beside its real server."""

import contextlib
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path

import dns.flags
import dns.message
import dns.rdatatype
import pytest

from dnsbound.dns.anchors import TrustAnchors
from dnsbound.edge.authoritative_servers import Observer, ServedEverywhere, wanted_of
from dnsbound.edge.nameservers import ZoneServers
from dnsbound.provision.owner import OwnerName
from dnsbound.provision.publish.publisher import (
    Change,
    OutcomeKind,
    Publisher,
    Served,
    ServerRefused,
    ServerUnclear,
    changes_nothing,
)
from dnsbound.testing.peer_configuration import Stub
from interop import daemon
from interop.primaries import FOREIGN, ZONE, bind, knot, powerdns
from interop.publishers.ways import NEW, OTHER, TTL, Way, applied, change, octodns, powerdns_api, updates

DONE, REFUSED, UNDECIDED = OutcomeKind.DONE, OutcomeKind.REFUSED, OutcomeKind.UNDECIDED
CAR = "car54._device"
TLSA = dns.rdatatype.TLSA

POWERDNS = [pytest.mark.peer("pdns_server"), pytest.mark.peer("pdnsutil")]
BIND_GRANT = "grant upd zonesub TLSA; grant upd zonesub CNAME;"
WAYS = [
    pytest.param(partial(updates, knot), id="knot", marks=[pytest.mark.peer("knotd"), pytest.mark.peer("keymgr")]),
    pytest.param(
        partial(updates, partial(bind, grant=BIND_GRANT)),
        id="bind",
        marks=[pytest.mark.peer("named"), pytest.mark.peer("dnssec-dsfromkey")],
    ),
    pytest.param(partial(updates, powerdns), id="powerdns-updates", marks=POWERDNS),
    pytest.param(powerdns_api, id="powerdns-api", marks=POWERDNS),
    pytest.param(octodns, id="octodns-powerdns", marks=POWERDNS),
]


@pytest.fixture(params=WAYS)
def way(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Way]:
    started: Callable[[Path], AbstractContextManager[Way]] = request.param
    with started(tmp_path) as running:
        yield running


@pytest.fixture
def publisher(way: Way) -> Iterator[Publisher]:
    with way.publisher() as opened:
        yield opened


def of(name: str) -> OwnerName:
    return OwnerName.parse(f"{name}.{ZONE}")


def test_publish_and_revoke(way: Way, publisher: Publisher) -> None:
    before = way.server.transfer()
    assert applied(publisher, change(CAR, after=(NEW, OTHER))) == [DONE]
    assert way.server.tlsa(f"{CAR}.{ZONE}") == {NEW, OTHER}
    assert way.server.transfer()[f"{CAR}.{ZONE}", "TLSA"][0] == TTL
    assert applied(publisher, change(CAR, before=(NEW, OTHER), after=(OTHER,))) == [DONE]
    assert way.server.tlsa(f"{CAR}.{ZONE}") == {OTHER}
    assert applied(publisher, change(CAR, before=(OTHER,))) == [DONE]
    assert way.server.transfer() == before


def test_everything_may_be_sent_again(way: Way, publisher: Publisher) -> None:
    published, revoked = change(CAR, after=(NEW,)), change("car55._device", before=(NEW,))
    for _ in range(2):
        assert applied(publisher, published, revoked) == [DONE, DONE]
        assert way.server.tlsa(f"{CAR}.{ZONE}") == {NEW}


def test_records_of_others_stay(way: Way, publisher: Publisher) -> None:
    before = way.server.transfer()
    assert applied(publisher, change("shared", after=(NEW,), ttl=300)) == [DONE]
    assert way.server.tlsa(f"shared.{ZONE}") == {NEW, FOREIGN}
    assert applied(publisher, change("shared", before=(NEW,), ttl=300)) == [DONE]
    # Ours was never there: nothing of theirs goes in its place.
    assert applied(publisher, change("foreign", before=(NEW,), ttl=300)) == [DONE]
    assert way.server.transfer() == before


def test_an_alias_takes_the_place_of_records_and_back(way: Way, publisher: Publisher) -> None:
    target = f"car1._device.{ZONE}."
    assert applied(publisher, change(CAR, after=(NEW,))) == [DONE]
    leased = (change(CAR, before=(NEW,)), change(CAR, rdtype="CNAME", after=(target,)))
    assert applied(publisher, *leased) == [DONE, DONE]
    zone = way.server.transfer()
    assert zone[f"{CAR}.{ZONE}", "CNAME"] == (TTL, frozenset({target}))
    assert (f"{CAR}.{ZONE}", "TLSA") not in zone
    returned = (change(CAR, rdtype="CNAME", before=(target,)), change(CAR, after=(NEW,)))
    assert applied(publisher, *returned) == [DONE, DONE]
    assert way.server.tlsa(f"{CAR}.{ZONE}") == {NEW}


def test_an_alias_cannot_stand_beside_records_of_others(way: Way, publisher: Publisher) -> None:
    before = way.server.transfer()
    alias = change("foreign", rdtype="CNAME", after=(f"car1.{ZONE}.",))
    beside_alias = change("alias", after=(NEW,))
    good = change(CAR, after=(NEW,))
    assert applied(publisher, good, alias, beside_alias) == [DONE, REFUSED, REFUSED]
    after = way.server.transfer()
    assert after.pop((f"{CAR}.{ZONE}", "TLSA"))
    assert after == before


def test_the_ttl_changes_and_nothing_else(way: Way, publisher: Publisher) -> None:
    assert applied(publisher, change(CAR, after=(NEW, OTHER))) == [DONE]
    assert applied(publisher, change(CAR, before=(NEW, OTHER), after=(NEW, OTHER), ttl=120)) == [DONE]
    assert way.server.transfer()[f"{CAR}.{ZONE}", "TLSA"] == (120, frozenset({NEW, OTHER}))


def test_a_wildcard_record(way: Way, publisher: Publisher) -> None:
    authority = "2 0 1 " + "ef" * 32
    assert applied(publisher, change("*._device", after=(authority,))) == [DONE]
    assert way.server.tlsa(f"anything._device.{ZONE}") == {authority}


def test_more_names_than_fit_a_batch(way: Way, publisher: Publisher) -> None:
    changes = [change(f"car{number}._device", after=(NEW,)) for number in range(450)]
    drawn = []

    def source() -> Iterator[Change]:
        for one in changes:
            drawn.append(one)
            yield one

    outcomes = publisher.apply(source())
    next(outcomes)
    assert len(drawn) < len(changes), "changes are taken as there is room for them"
    assert all(outcome.kind is DONE for outcome in outcomes)
    zone = way.server.transfer()
    assert all((f"car{number}._device.{ZONE}", "TLSA") in zone for number in range(450))


def test_one_bad_name_spoils_no_batch(way: Way, publisher: Publisher) -> None:
    good = [change(f"car{number}._device", after=(NEW,)) for number in range(40)]
    bad = change("foreign", rdtype="CNAME", after=(f"car1.{ZONE}.",))
    kinds = applied(publisher, *good[:17], bad, *good[17:])
    assert kinds == [DONE] * 17 + [REFUSED] + [DONE] * 23
    zone = way.server.transfer()
    assert all((f"car{number}._device.{ZONE}", "TLSA") in zone for number in range(40))


def test_names_outside_the_zone_are_refused_and_nothing_is_sent(way: Way, publisher: Publisher) -> None:
    outside = change("car54._device", after=(NEW,), zone="boats.example")
    inside = change(CAR, after=(NEW,))
    assert applied(publisher, outside, inside) == [REFUSED, DONE]


def test_one_key_for_every_name_is_refused(way: Way, publisher: Publisher) -> None:
    before = way.server.transfer()
    assert applied(publisher, change("*._device", after=(NEW,))) == [REFUSED]
    assert way.server.transfer() == before


def test_a_wrong_secret(way: Way) -> None:
    before = way.server.transfer()
    with way.publisher(right=False) as publisher:
        no = REFUSED if way.knows_refusals else UNDECIDED
        assert applied(publisher, change(CAR, after=(NEW,)), change("car55._device", after=(NEW,))) == [no, no]
        with pytest.raises(ServerRefused if way.knows_refusals else ServerUnclear):
            list(publisher.read([of(CAR)]))
    assert way.server.transfer() == before


def test_a_zone_the_server_does_not_own(way: Way) -> None:
    with way.publisher("boats.example") as publisher:
        assert applied(publisher, change(CAR, after=(NEW,), zone="boats.example")) == [REFUSED]
        with pytest.raises(ServerRefused):
            list(publisher.read([OwnerName.parse("boats.example")]))


def test_trying_a_server_changes_nothing(way: Way, publisher: Publisher) -> None:
    before = way.server.transfer()
    assert applied(publisher, changes_nothing(OwnerName.parse(ZONE))) == [DONE]
    assert way.server.transfer() == before


def test_what_the_primary_holds(way: Way, publisher: Publisher) -> None:
    applied(publisher, change(CAR, after=(OTHER, NEW)), change("shared", after=(NEW,), ttl=300))
    served = list(publisher.read([of("shared"), of(CAR), of("absent"), of("alias"), of("ns")]))
    assert served == [
        Served(owner=of("shared"), rdtype="TLSA", rdatas=(NEW, FOREIGN), ttl=300),
        Served(owner=of(CAR), rdtype="TLSA", rdatas=(NEW, OTHER), ttl=TTL),
        Served(owner=of("alias"), rdtype="CNAME", rdatas=(f"ns.{ZONE}.",), ttl=300),
    ]


@pytest.mark.peer("unbound")
def test_a_validating_resolver_believes_it(way: Way, publisher: Publisher, tmp_path: Path) -> None:
    """Published: secure. Revoked: denied, securely. And the observer says when it is so everywhere."""
    directory = tmp_path / "unbound"
    directory.mkdir()
    servers = ZoneServers.of(ZONE, [way.server.address], anchors=TrustAnchors.from_text(way.server.ds))
    options = ("cache-max-ttl: 0", "cache-max-negative-ttl: 0")
    with contextlib.ExitStack() as running:
        stubs = [Stub(zone=ZONE, port=way.server.port)]
        _, port = running.enter_context(daemon.unbound(directory, anchors=way.server.ds, stubs=stubs, options=options))
        published = change(CAR, after=(NEW,))
        assert applied(publisher, published) == [DONE]
        waited = Observer(servers).wait_until_served_blocking([wanted_of(published)], seconds=20)
        assert waited.is_complete
        assert waited.ttl == TTL
        answer = daemon.ask(port, f"{CAR}.{ZONE}", "TLSA", seconds=10)
        assert "AD" in flags(answer)
        assert {
            rdata.to_text() for rrset in answer.answer if rrset.rdtype == dns.rdatatype.TLSA for rdata in rrset
        } == {NEW}
        revoked = change(CAR, before=(NEW,))
        assert applied(publisher, revoked) == [DONE]
        [seen] = Observer(servers).observe_blocking([wanted_of(revoked)])
        assert isinstance(seen.outcome, ServedEverywhere)
        assert seen.outcome.validated
        daemon.eventually(lambda: not daemon.ask(port, f"{CAR}.{ZONE}", "TLSA", seconds=10).answer, 10)
        denied = daemon.ask(port, f"{CAR}.{ZONE}", "TLSA", seconds=10)
        assert "AD" in flags(denied)


def flags(message: dns.message.Message) -> list[str]:
    return dns.flags.to_text(message.flags).split()
