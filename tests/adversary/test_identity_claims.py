"""Claims that must not hold, brought to a real door: an Authenticator over a Resolver over World.

Each thief fails with a reason of their own, and nobody who is not on the list makes a query leave the house.
"""

import asyncio
import time
from collections.abc import Iterator
from itertools import count
from threading import Thread

import dns.rdata
import dns.rdataclass
import dns.rdatatype
import pytest

from dnsbound.credential.issuer import CertificateAuthority
from dnsbound.edge.authenticator import Authenticator
from dnsbound.edge.resolver import Resolver
from dnsbound.errors import Reason, Refused, Undecided
from dnsbound.iana import MatchingType, Selector, Usage
from dnsbound.limits import LOOKUPS_PER_SOURCE
from dnsbound.names import ClientName
from dnsbound.testing import World
from dnsbound.testing.faults import Fault
from dnsbound.testing.organisation import Device, Organisation
from dnsbound.verify.access import AccessList
from dnsbound.verify.claim import ABSENT, Claim, NameSource, Possession, Presented, Proved
from dnsbound.verify.lookup_budget import LookupBudget
from dnsbound.verify.peer import VerifiedPeer
from dnsbound.verify.sessions import Action

DOOR = "api"
PROVED = Proved("test")


@pytest.fixture(scope="module")
def shared() -> Iterator[World]:
    with World() as opened:
        yield opened


NUMBERS = count(1)


@pytest.fixture
def cars(shared: World) -> Organisation:
    """An organisation of this test's own."""
    return shared.organisation(f"cars{next(NUMBERS)}.example")


@pytest.fixture
def resolver(shared: World) -> Iterator[Resolver]:
    made = shared.resolver(deadline=1.0)
    yield made
    made.close()


def claim(device: Device, *, name: str | None = None, presented: Presented | None = None, **fields: object) -> Claim:
    possession = fields.get("possession", PROVED)
    assert isinstance(possession, Possession)
    return Claim(
        name=ClientName.parse(name) if name else device.name,
        name_source=NameSource.EXTENSION,
        presented=presented or device.credential.presented,
        possession=possession,
        door=DOOR,
        source=str(fields.get("source", "192.0.2.7")),
    )


def door(resolver: Resolver, *names: str, **options: object) -> Authenticator:
    return Authenticator(AccessList.allowing(DOOR, names), resolver, door=DOOR, deadline=1.0, **options)  # type: ignore[arg-type]


def reason(authenticator: Authenticator, made: Claim) -> Reason:
    with pytest.raises((Refused, Undecided)) as caught:
        authenticator.authenticate_blocking(made)
    return caught.value.reason


def admitted(authenticator: Authenticator, made: Claim) -> VerifiedPeer:
    return authenticator.authenticate_blocking(made)


def test_the_owner_comes_in_with_certificate_and_with_raw_key(cars: Organisation, resolver: Resolver) -> None:
    car = cars.device("car54")
    authenticator = door(resolver, car.name.text)
    for presented in (car.credential.presented, car.credential.as_raw_key().presented):
        peer = admitted(authenticator, claim(car, presented=presented))
        assert (peer.name, peer.record) == (car.name, car.record)
        assert asyncio.run(authenticator.authenticate(claim(car, presented=presented))).record == car.record


def test_who_is_not_on_the_list_makes_no_query(shared: World, cars: Organisation, resolver: Resolver) -> None:
    car, stranger = cars.device("car54"), cars.device("stranger")
    authenticator = door(resolver, car.name.text)
    before = len(shared.queries)
    assert reason(authenticator, claim(stranger)) is Reason.NOT_PERMITTED
    assert reason(authenticator, claim(car, name="car54.elsewhere.example")) is Reason.NOT_PERMITTED
    assert reason(authenticator, claim(car, possession=ABSENT)) is Reason.NO_POSSESSION
    assert reason(authenticator, claim(car, presented=Presented((b"",)), possession=ABSENT)) is Reason.NO_POSSESSION
    assert len(shared.queries) == before
    assert shared.queries_for(stranger.name.text) == ()


def test_a_permitted_name_with_another_key(cars: Organisation, resolver: Resolver) -> None:
    car, thief = cars.device("car54"), cars.device("thief")
    authenticator = door(resolver, car.name.text)
    assert reason(authenticator, claim(car, presented=thief.credential.presented)) is Reason.TLSA_MISMATCH
    # The thief's certificate may even show the name: usage 3 looks at the key.
    forged = CertificateAuthority.create("Thieves", now=time.time()).issue(car.name, now=time.time())
    assert reason(authenticator, claim(car, presented=forged.presented)) is Reason.TLSA_MISMATCH
    assert admitted(authenticator, claim(car)).name == car.name


def test_a_neighbour_under_the_same_authority(cars: Organisation, resolver: Resolver) -> None:
    now = time.time()
    authority = CertificateAuthority.create("Cars", now=now)
    car, neighbour = cars.device("car54", publish=False), cars.device("car55", publish=False)
    for device in (car, neighbour):
        cars.publish(device.name.text, authority.tlsa())
    authenticator = door(resolver, car.name.text, neighbour.name.text)
    of_neighbour = authority.issue(neighbour.name, now=now).presented
    assert reason(authenticator, claim(car, presented=of_neighbour)) is Reason.NAME_NOT_IN_CERTIFICATE
    assert admitted(authenticator, claim(neighbour, presented=of_neighbour)).name == neighbour.name
    expired = authority.issue(car.name, now=now - 1000, lifetime=10).presented
    assert reason(authenticator, claim(car, presented=expired)) is Reason.CHAIN_INVALID


def test_one_key_at_a_wildcard_is_every_name_and_therefore_nobody(cars: Organisation, resolver: Resolver) -> None:
    thief = cars.device("thief", publish=False)
    cars.publish("*._device", thief.record, danger_one_key_for_all_names=True)
    victim = f"anything._device.{cars.name}"
    authenticator = door(resolver, victim)
    assert reason(authenticator, claim(thief, name=victim)) is Reason.WILDCARD_KEY


def test_an_authority_at_a_wildcard_vouches_for_the_names_in_its_certificates(
    cars: Organisation, resolver: Resolver
) -> None:
    now = time.time()
    authority = CertificateAuthority.create("Cars", now=now)
    cars.publish("*._device", authority.tlsa())
    car = cars.device("car54", publish=False)
    issued = authority.issue(car.name, now=now)
    assert admitted(door(resolver, car.name.text), claim(car, presented=issued.presented)).record == authority.tlsa()


@pytest.mark.parametrize(
    ("fault", "expected"),
    [
        (Fault.BOGUS, Reason.BOGUS),
        (Fault.EXPIRED, Reason.BOGUS),
        (Fault.NOT_YET_VALID, Reason.BOGUS),
        (Fault.STRIPPED, Reason.BOGUS),
        (Fault.REPLAYED, Reason.BOGUS),
        (Fault.SERVFAIL, Reason.DNS_FAILED),
        (Fault.DEAD, Reason.DNS_FAILED),
    ],
)
def test_what_the_dns_gets_wrong_is_never_a_yes_and_never_a_no(
    shared: World, cars: Organisation, resolver: Resolver, fault: Fault, expected: Reason
) -> None:
    car = cars.device("car54")
    shared.fault(car.name.text, fault)
    assert reason(door(resolver, car.name.text), claim(car)) is expected


def test_a_lie_with_the_ad_bit_set_is_bogus(shared: World, cars: Organisation, resolver: Resolver) -> None:
    car, thief = cars.device("car54"), cars.device("thief")
    shared.fault(car.name.text, Fault.LYING, records=(thief.record,))
    forged = claim(car, presented=thief.credential.presented)
    assert reason(door(resolver, car.name.text), forged) is Reason.BOGUS


def test_an_unsigned_zone_proves_nothing(shared: World, resolver: Resolver) -> None:
    plain = shared.organisation("unsigned-cars.example", signed=False)
    car = plain.device("car54")
    assert reason(door(resolver, car.name.text), claim(car)) is Reason.INSECURE


def test_never_published_and_revoked_are_the_same_no(cars: Organisation, resolver: Resolver) -> None:
    car, never = cars.device("car54", ttl=0), cars.device("never", publish=False)
    authenticator = door(resolver, car.name.text, never.name.text)
    assert reason(authenticator, claim(never)) is Reason.NO_TLSA
    assert admitted(authenticator, claim(car)).name == car.name
    assert car.revoke()
    assert reason(authenticator, claim(car)) is Reason.NO_TLSA


def test_records_nobody_can_use(cars: Organisation, resolver: Resolver) -> None:
    car = cars.device("car54", publish=False)
    digest = car.record.data.hex()
    too_short = dns.rdata.GenericRdata(dns.rdataclass.IN, dns.rdatatype.TLSA, car.record.to_wire()[:-1])
    cars.publish(car.name.text, f"TLSA 4 1 1 {digest}", f"TLSA 3 2 1 {digest}", f"TLSA 1 1 1 {digest}", too_short)
    assert reason(door(resolver, car.name.text), claim(car)) is Reason.TLSA_UNUSABLE
    cars.publish(car.name.text, car.record)
    assert reason(door(resolver, car.name.text), claim(car)) is Reason.TLSA_UNUSABLE  # what is at hand still holds
    resolver.lookup_blocking(car.name.text, "TLSA", refresh=True)
    assert admitted(door(resolver, car.name.text), claim(car)).record == car.record


@pytest.mark.parametrize("selector", list(Selector))
@pytest.mark.parametrize("matching_type", list(MatchingType))
def test_every_form_of_usage_3_goes_through_the_dns(
    cars: Organisation, resolver: Resolver, selector: Selector, matching_type: MatchingType
) -> None:
    car = cars.device("car54", publish=False)
    record = car.publish(Usage.DANE_EE, selector, matching_type)
    assert admitted(door(resolver, car.name.text), claim(car)).record == record


def test_names_chosen_by_the_peer_run_out_of_lookups(shared: World, cars: Organisation, resolver: Resolver) -> None:
    car = cars.device("car54")
    lookups = LookupBudget(per_source=5)
    authenticator = door(resolver, f"*._device.{cars.name}", lookups=lookups)
    before = len(shared.queries)
    reasons = [reason(authenticator, claim(car, name=f"x{index}._device.{cars.name}")) for index in range(20)]
    assert reasons[:5] == [Reason.NO_TLSA] * 5
    assert set(reasons[5:]) == {Reason.LOOKUP_BUDGET}
    asked = [query for query in list(shared.queries)[before:] if query.name.startswith("x")]
    assert len({query.name for query in asked}) == 5
    assert admitted(authenticator, claim(car, source="198.51.100.1")).name == car.name
    assert LOOKUPS_PER_SOURCE.default > 5


def test_an_alias_to_somebody_elses_key_needs_the_owners_signature(
    shared: World, cars: Organisation, resolver: Resolver
) -> None:
    car, keys = cars.device("car54", publish=False), shared.organisation("keys.example")
    keys.publish("car54", car.record)
    cars.cname(car.name.text, f"car54.{keys.name}")
    assert admitted(door(resolver, car.name.text), claim(car)).record == car.record
    plain = shared.organisation("plain-keys.example", signed=False)
    other = cars.device("car55", publish=False)
    plain.publish("car55", other.record)
    cars.cname(other.name.text, f"car55.{plain.name}")
    assert reason(door(resolver, other.name.text), claim(other)) is Reason.INSECURE


def test_a_live_session_ends_with_its_record(cars: Organisation, resolver: Resolver) -> None:
    car = cars.device("car54", ttl=2)
    reasons: list[tuple[bool, Reason | None]] = []
    authenticator = door(resolver, car.name.text, on_decision=lambda seen: reasons.append((seen.again, seen.reason)))
    made = claim(car)
    session = authenticator.sessions.register(admitted(authenticator, made), made, None, now=authenticator.now())
    assert _recheck(authenticator, session.claim, session) is Action.KEEP
    car.revoke()
    assert _recheck(authenticator, session.claim, session) is Action.CUT
    assert len(authenticator.sessions) == 0
    assert reasons == [(False, None), (True, None), (True, Reason.NO_TLSA)]


def _recheck(authenticator: Authenticator, made: Claim, session: object) -> Action:
    outcome: VerifiedPeer | Refused | Undecided
    try:
        outcome = authenticator.authenticate_blocking(made, again=True)
    except (Refused, Undecided) as error:
        outcome = error
    return authenticator.sessions.settle(session, outcome, now=authenticator.now())  # type: ignore[arg-type]


def test_many_threads_at_one_door_get_each_their_own_verdict(cars: Organisation, resolver: Resolver) -> None:
    devices = [cars.device(f"car{index}") for index in range(6)]
    authenticator = door(resolver, *(device.name.text for device in devices[:3]))
    verdicts: dict[str, object] = {}

    def knock(device: Device) -> None:
        for _ in range(5):
            try:
                verdicts[device.name.text] = admitted(authenticator, claim(device)).record
            except Refused as error:
                verdicts[device.name.text] = error.reason

    threads = [Thread(target=knock, args=(device,)) for device in devices]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    expected = [device.record for device in devices[:3]] + [Reason.NOT_PERMITTED] * 3
    assert [verdicts[device.name.text] for device in devices] == expected
