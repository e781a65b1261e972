"""World: the miniature Internet tells the truth through a validating resolver, and every fault is what it says."""

import asyncio
import os
import socket
import ssl
import stat
import subprocess
import sys
import threading
import time
from importlib.metadata import entry_points
from pathlib import Path

import dns.flags
import dns.message
import dns.query
import dns.rcode
import dns.rdatatype
import pytest
from dns.dnssectypes import Algorithm

from dnsbound.credential.keys import KeyAlgorithm
from dnsbound.dns.answer import Answer, Outcome, Security
from dnsbound.dns.signer import ZoneKeys
from dnsbound.errors import Malformed, Misuse, Reason, Undecided
from dnsbound.iana import MatchingType, Selector, Usage
from dnsbound.records.tlsa import TLSA
from dnsbound.testing import RESOLVER_NAME, Face, Fault, Organisation, Transport, World

CAR = "car54._device.cars.example"
NOW = 1_780_000_000.0


@pytest.fixture
def cars(world: World) -> Organisation:
    return world.organisation("cars.example")


def look_up(world: World, name: str, rdtype: str = "TLSA", **options: object) -> Answer:
    """One lookup with a resolver that has cached nothing."""
    return world.resolver(**options).lookup_blocking(name, rdtype)


def tlsa(answer: Answer) -> set[TLSA]:
    return {TLSA.from_wire(record.to_wire()) for record in answer.records}


def ask(
    world: World, name: str, rdtype: str = "TLSA", *, flags: int = 0, authority: bool = False
) -> dns.message.Message:
    query = dns.message.make_query(name, rdtype, want_dnssec=True)
    query.flags |= flags
    address = world.authority_address if authority else world.resolver_address
    return dns.query.udp(query, address.host, port=address.port, timeout=5)


# The truth


def test_a_device_is_published_under_a_chain_to_the_root(world: World, cars: Organisation) -> None:
    car = cars.device("car54")
    assert car.name.text == CAR
    assert car.credential.name == car.name
    answer = look_up(world, CAR)
    assert (answer.security, answer.outcome) == (Security.SECURE, Outcome.RECORDS)
    assert tlsa(answer) == {car.record}
    assert car.record.parameters == "3 1 1"
    assert [step.owner for step in answer.steps if step.subject == "DNSKEY"] == [".", "example.", "cars.example."]


@pytest.mark.parametrize("kind", ["x509", "raw"])
@pytest.mark.parametrize("algorithm", [KeyAlgorithm.P256, KeyAlgorithm.ED25519])
def test_credentials_of_every_kind(world: World, cars: Organisation, kind: str, algorithm: KeyAlgorithm) -> None:
    car = cars.device("car54", kind=kind, algorithm=algorithm)
    assert bool(car.credential.chain) == (kind == "x509")
    assert tlsa(look_up(world, CAR)) == {car.record}


def test_any_number_of_organisations_under_any_top_level_domain(world: World) -> None:
    names = [f"org{number}.tld{number % 3}" for number in range(12)]
    for name in names:
        world.organisation(name).device("d")
    anchored = {key.tag for name in names for key in world.organisation(name).keys.keys}
    assert len(anchored) > 6  # each zone has keys of its own
    assert all(look_up(world, f"d._device.{name}").security is Security.SECURE for name in names)


def test_an_organisation_is_made_once(world: World, cars: Organisation) -> None:
    assert world.organisation("cars.example") is cars
    assert world.organisation("CARS.example.") is cars
    with pytest.raises(Misuse):
        world.organisation("cars.example", signed=False)


def test_unsigned_organisations_are_insecure(world: World) -> None:
    thing = world.organisation("plain.example", signed=False).device("thing")
    answer = look_up(world, thing.name.text)
    assert (answer.security, tlsa(answer)) == (Security.INSECURE, {thing.record})


def test_delegations(world: World, cars: Organisation) -> None:
    plant = cars.delegate("plant", algorithm=Algorithm.ED25519)
    assert plant.name == "plant.cars.example"
    assert look_up(world, plant.device("robot").name.text).security is Security.SECURE
    old = cars.delegate("old", signed=False)
    assert look_up(world, old.device("thing").name.text).security is Security.INSECURE


def test_names_are_whole_or_relative(world: World, cars: Organisation) -> None:
    cars.publish("host", "TXT one")
    cars.publish("host.cars.example", "TXT two")
    cars.publish("host.cars.example.", "TXT three")
    assert len(look_up(world, "host.cars.example", "TXT").records) == 3
    cars.address("host", "192.0.2.1")
    cars.address("host", "2001:db8::1")
    assert look_up(world, "host.cars.example", "AAAA").records[0].to_text() == "2001:db8::1"


def test_aliases_lead_to_other_organisations(world: World, cars: Organisation) -> None:
    car = cars.device("car54")
    world.organisation("hire.test").cname("rented", CAR)
    answer = look_up(world, "rented.hire.test")
    assert (answer.security, tlsa(answer)) == (Security.SECURE, {car.record})
    world.organisation("plain.test", signed=False).cname("rented", CAR)
    assert look_up(world, "rented.plain.test").security is Security.INSECURE


def test_aliases_lead_into_zones_below_their_own(world: World, cars: Organisation) -> None:
    robot = cars.delegate("plant").device("robot")
    cars.cname("alias", robot.name.text)
    answer = look_up(world, "alias.cars.example")
    assert (answer.security, tlsa(answer)) == (Security.SECURE, {robot.record})
    cars.publish("gone", "NS ns.gone.cars.example.")
    cars.cname("nowhere", "x.gone.cars.example")
    assert look_up(world, "nowhere.cars.example").outcome is Outcome.FAILED
    assert ask(world, "x.gone.cars.example").rcode() == dns.rcode.SERVFAIL


def test_wildcards_are_visible(world: World, cars: Organisation) -> None:
    cars.publish("*._user", f"TLSA 2 0 1 {'ab' * 32}")
    answer = look_up(world, "ann._user.cars.example")
    assert (answer.security, answer.wildcard) == (Security.SECURE, True)
    with pytest.raises(Misuse):
        cars.publish("*._device", TLSA(3, 1, 1, b"\x01" * 32))
    cars.publish("*._device", TLSA(3, 1, 1, b"\x01" * 32), danger_one_key_for_all_names=True)
    assert look_up(world, "any._device.cars.example").wildcard


def test_publish_revoke_renew(world: World, cars: Organisation) -> None:
    car = cars.device("car54", publish=False)
    assert look_up(world, CAR).outcome is Outcome.NXDOMAIN
    car.publish()
    other = car.publish(Usage.DANE_EE, Selector.CERT, MatchingType.SHA2_512)
    assert tlsa(look_up(world, CAR)) == {car.record, other}
    old = car.renew()
    assert old is not car.credential
    assert tlsa(look_up(world, CAR)) == {car.record} != {old.tlsa()}
    assert car.revoke()
    assert not car.revoke()
    assert look_up(world, CAR).outcome is Outcome.NXDOMAIN
    cars.device("car55")
    assert look_up(world, "_device.cars.example").outcome is Outcome.NODATA


def test_a_revoked_name_is_forgotten_when_its_ttl_is_over(world: World, cars: Organisation) -> None:
    moment = [time.time()]
    car = cars.device("car54", ttl=2)
    resolver = world.resolver(clock=lambda: moment[0])
    assert resolver.lookup_blocking(CAR, "TLSA").outcome is Outcome.RECORDS
    car.revoke()
    assert resolver.lookup_blocking(CAR, "TLSA").outcome is Outcome.RECORDS
    moment[0] += 2.1
    assert resolver.lookup_blocking(CAR, "TLSA").outcome is Outcome.NXDOMAIN


def test_key_rolls_stay_secure(world: World, cars: Organisation) -> None:
    cars.device("car54")
    old = cars.keys.keys[0].tag
    new = cars.roll_key().tag
    assert look_up(world, CAR).security is Security.SECURE
    cars.set_keys(cars.keys.with_activated(new))
    assert look_up(world, CAR).security is Security.SECURE
    cars.set_keys(cars.keys.without(old))
    assert look_up(world, CAR).security is Security.SECURE
    cars.set_keys(ZoneKeys.generate(cars.origin), publish_ds=False)
    assert look_up(world, CAR).security is Security.BOGUS


def test_the_anchor_is_worlds_root_alone(world: World, cars: Organisation) -> None:
    cars.device("car54")
    with World() as other:
        other.organisation("cars.example").device("car54")
        assert look_up(other, CAR, anchors=world.anchors).security is Security.BOGUS
        assert look_up(other, CAR).security is Security.SECURE


def test_a_world_of_another_time(tmp_path: Path) -> None:
    with World(clock=lambda: 1_000_000_000.0) as world:
        world.organisation("cars.example").device("car54")
        assert look_up(world, CAR).security is Security.SECURE
        assert look_up(world, CAR, clock=time.time).security is Security.BOGUS


# Faults


@pytest.mark.parametrize(
    ("fault", "security", "detail"),
    [
        (Fault.BOGUS, Security.BOGUS, "does not verify"),
        (Fault.EXPIRED, Security.BOGUS, "expired"),
        (Fault.NOT_YET_VALID, Security.BOGUS, "not valid before"),
        (Fault.STRIPPED, Security.BOGUS, "RRSIG"),
        (Fault.REPLAYED, Security.BOGUS, "expired"),
        (Fault.SERVFAIL, Security.INDETERMINATE, "SERVFAIL"),
        (Fault.DEAD, Security.INDETERMINATE, "no answer"),
        (Fault.SLOW, Security.SECURE, ""),
        (Fault.REPLAYED_IN_TIME, Security.SECURE, ""),
    ],
)
def test_faults_of_a_name(world: World, cars: Organisation, fault: Fault, security: Security, detail: str) -> None:
    cars.device("car54")
    cars.device("car55")
    world.fault(CAR, fault, seconds=0.3)
    started = time.monotonic()
    answer = look_up(world, CAR, deadline=1.5)
    assert answer.security is security
    assert detail in answer.detail
    if fault is Fault.SLOW:
        assert time.monotonic() - started >= 0.3
    assert look_up(world, "car55._device.cars.example").security is Security.SECURE
    world.heal(CAR)
    assert look_up(world, CAR).security is Security.SECURE


@pytest.mark.parametrize("fault", [Fault.BOGUS, Fault.EXPIRED, Fault.NOT_YET_VALID, Fault.STRIPPED])
def test_faults_of_a_zone(world: World, cars: Organisation, fault: Fault) -> None:
    cars.device("car54")
    other = world.organisation("hire.example").device("d")
    cars.fault(fault)
    assert look_up(world, CAR).security is Security.BOGUS
    assert look_up(world, "nope.cars.example").security is Security.BOGUS
    assert look_up(world, other.name.text).security is Security.SECURE
    cars.heal()
    assert look_up(world, CAR).security is Security.SECURE


def test_a_lie_is_told_with_ad_and_is_not_believed(world: World, cars: Organisation) -> None:
    cars.device("car54")
    forged = TLSA(3, 1, 1, b"\x66" * 32)
    world.fault(CAR, Fault.LYING, records=(forged,))
    response = ask(world, CAR, flags=dns.flags.CD)
    assert response.flags & dns.flags.AD
    assert forged.to_text() in response.answer[0].to_text()
    assert look_up(world, CAR).security is Security.BOGUS
    ghost = "ghost._nobody.cars.example"
    world.fault(ghost, Fault.LYING, records=(forged,))
    assert forged.to_text() in ask(world, ghost, flags=dns.flags.CD).answer[0].to_text()
    assert look_up(world, ghost).security is Security.BOGUS


def test_a_lie_about_an_unsigned_zone_claims_to_be_secure(world: World) -> None:
    world.organisation("plain.example", signed=False).device("d")
    world.fault("d._device.plain.example", Fault.LYING)
    assert ask(world, "d._device.plain.example").flags & dns.flags.AD
    assert look_up(world, "d._device.plain.example").security is Security.INSECURE


def test_a_replay_outlives_the_removal_only_while_its_signature_lives(world: World, cars: Organisation) -> None:
    car = cars.device("car54")
    world.fault(CAR, Fault.REPLAYED_IN_TIME)
    car.revoke()
    assert tlsa(look_up(world, CAR)) == {car.record}
    world.heal()
    car.publish()
    world.fault(CAR, Fault.REPLAYED)
    car.revoke()
    assert look_up(world, CAR).security is Security.BOGUS
    world.heal()
    with pytest.raises(Misuse):
        world.fault(CAR, Fault.REPLAYED)


def test_wrong_use_is_told(world: World, cars: Organisation) -> None:
    with pytest.raises(Malformed):
        world.organisation("cars..example")
    with pytest.raises(Malformed):
        cars.publish("a..b", "TXT x")
    with pytest.raises(Malformed):
        cars.publish("host", "TLSA three one one")
    with pytest.raises(Malformed):
        cars.publish("host", "NOTYPE x")
    with pytest.raises(Malformed):
        cars.address("host", "not an address")
    with pytest.raises(Malformed):
        cars.remove("host", "NOTYPE")
    with pytest.raises(Malformed):
        cars.device("a b")
    with pytest.raises(Misuse):
        world.organisation("plain.example", signed=False).roll_key()


# The network face


def test_queries_are_logged_as_they_arrive(world: World, cars: Organisation) -> None:
    assert len(world.queries) == 0
    cars.device("car54")
    look_up(world, CAR)
    [query] = world.queries_for(CAR.upper())[:1]
    assert (query.name, query.rdtype, query.face, query.transport) == (CAR, "TLSA", Face.RESOLVER, Transport.UDP)
    assert world.queries_for("car55._device.cars.example") == ()
    ask(world, CAR, authority=True)
    assert world.queries[-1].face is Face.AUTHORITY
    world.queries.clear()
    assert list(world.queries) == []


def test_dns_over_tls(world: World, cars: Organisation) -> None:
    car = cars.device("car54")
    answer = look_up(world, CAR, transport=Transport.TLS)
    assert tlsa(answer) == {car.record}
    assert {query.transport for query in world.queries} == {Transport.TLS}
    assert world.upstream(Transport.TLS).name == RESOLVER_NAME


def test_asynchronous_lookups(world: World, cars: Organisation) -> None:
    async def both() -> list[Answer]:
        async with world.resolver() as resolver:
            return await asyncio.gather(resolver.lookup(CAR, "TLSA"), resolver.lookup("x.cars.example", "A"))

    cars.device("car54")
    assert [answer.outcome for answer in asyncio.run(both())] == [Outcome.RECORDS, Outcome.NXDOMAIN]


def test_without_cd_worlds_resolver_judges(world: World, cars: Organisation) -> None:
    cars.device("car54")
    thing = world.organisation("plain.example", signed=False).device("thing")
    assert ask(world, CAR).flags & dns.flags.AD
    assert not ask(world, CAR, flags=dns.flags.CD).flags & dns.flags.AD
    assert not ask(world, thing.name.text).flags & dns.flags.AD
    assert ask(world, "nope.cars.example").flags & dns.flags.AD
    cars.set_keys(ZoneKeys.generate(cars.origin), publish_ds=False)
    bogus = ask(world, CAR)
    assert (bogus.rcode(), bogus.answer) == (dns.rcode.SERVFAIL, [])
    passed_on = ask(world, CAR, flags=dns.flags.CD)
    assert (passed_on.rcode(), len(passed_on.answer)) == (dns.rcode.NOERROR, 2)
    assert ask(world, "www.elsewhere").rcode() in (dns.rcode.NXDOMAIN, dns.rcode.NOERROR)


def test_resolver_and_authority_say_what_they_are(world: World, cars: Organisation) -> None:
    cars.device("car54")
    resolved, authoritative = ask(world, CAR), ask(world, CAR, authority=True)
    assert (resolved.flags & dns.flags.RA, resolved.flags & dns.flags.AA) == (dns.flags.RA, 0)
    assert (authoritative.flags & dns.flags.RA, authoritative.flags & dns.flags.AA) == (0, dns.flags.AA)


def test_everything_listens_on_loopback_and_is_gone_afterwards() -> None:
    before = threading.active_count()
    with World() as world:
        endpoints = [world.resolver_address, world.resolver_tls_address, world.authority_address]
        directory = world.directory
        assert {endpoint.host for endpoint in endpoints} == {"127.0.0.1"}
        assert len({endpoint.port for endpoint in endpoints}) == 3
        assert directory.is_dir()
    assert threading.active_count() == before
    assert not directory.exists()
    for endpoint in endpoints:
        with pytest.raises(ConnectionRefusedError), socket.create_connection((endpoint.host, endpoint.port), timeout=2):
            pass


def test_a_closed_world_has_no_addresses() -> None:
    world = World()
    world.organisation("cars.example").device("car54")
    with pytest.raises(Misuse):
        _ = world.resolver_address
    with pytest.raises(Misuse):
        world.resolver()


def test_two_worlds_do_not_disturb_each_other(world: World, cars: Organisation) -> None:
    cars.device("car54")
    with World() as other:
        other.organisation("cars.example")
        assert look_up(other, CAR).outcome is Outcome.NXDOMAIN
        assert look_up(world, CAR).outcome is Outcome.RECORDS


def test_many_threads_may_change_and_ask(world: World, cars: Organisation) -> None:
    failures: list[BaseException] = []

    def live(number: int) -> None:
        try:
            resolver = world.resolver()
            for turn in range(5):
                device = cars.device(f"d{number}x{turn}")
                assert resolver.lookup_blocking(device.name.text, "TLSA").security is Security.SECURE
        except BaseException as error:  # noqa: BLE001 (handed to the test's own thread)
            failures.append(error)

    threads = [threading.Thread(target=live, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert failures == []


# Trust


def test_web_credentials_verify_by_name(world: World, tmp_path: Path) -> None:
    credential = world.web_credential("api.cars.example", "localhost", "127.0.0.1")
    (tmp_path / "server.pem").write_bytes(credential.to_pem())
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(tmp_path / "server.pem")
    client = ssl.create_default_context(cadata=world.web_root_pem.decode())

    async def connect(name: str) -> None:
        listener = await asyncio.start_server(lambda _, writer: writer.close(), "127.0.0.1", 0, ssl=server)
        async with listener:
            port = listener.sockets[0].getsockname()[1]
            _, writer = await asyncio.open_connection("127.0.0.1", port, ssl=client, server_hostname=name)
            writer.close()
            await writer.wait_closed()

    for name in ("api.cars.example", "localhost", "127.0.0.1"):
        asyncio.run(connect(name))
    with pytest.raises(ssl.SSLCertVerificationError):
        asyncio.run(connect("other.cars.example"))
    with pytest.raises(Misuse):
        world.web_credential()


def test_child_processes_are_told_whom_to_trust(world: World, cars: Organisation) -> None:
    car = cars.device("car54")
    environment = world.trust_env()
    program = (
        "import os; from pathlib import Path; from dnsbound import Resolver, TrustAnchors, Upstream\n"
        "anchors = TrustAnchors.from_text(Path(os.environ['DNSBOUND_ANCHORS']).read_text())\n"
        "resolver = Resolver([Upstream.parse(os.environ['DNSBOUND_RESOLVER'])], anchors)\n"
        f"print(resolver.lookup_blocking('{CAR}', 'TLSA').records[0])\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.stdout.lower().split() == car.record.to_text().split(), done.stderr
    assert world.web_root_pem == Path(environment["SSL_CERT_FILE"]).read_bytes()


def test_the_resolvers_key_file_is_private(world: World) -> None:
    assert stat.S_IMODE((world.directory / "resolver.pem").stat().st_mode) == 0o600


def test_the_pytest_plugin_serves_other_peoples_tests(tmp_path: Path) -> None:
    (tmp_path / "test_theirs.py").write_text(
        "def test_a_car_is_published(world):\n"
        "    car = world.organisation('cars.example').device('car54')\n"
        "    assert world.resolver().lookup_blocking(car.name.text, 'TLSA').security == 'secure'\n"
    )
    installed = any(point.name == "dnsbound" for point in entry_points(group="pytest11"))
    plugin = () if installed else ("-p", "dnsbound.testing.pytest_plugin")
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", *plugin, str(tmp_path)],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    assert "1 passed" in done.stdout


def test_chains_need_no_network() -> None:
    world = World(clock=lambda: NOW)
    car = world.organisation("cars.example").device("car54")
    chain = world.chain(car.name.text)
    assert [record.to_text() for record in chain.answer.records] == [car.record.to_text()]
    assert len(world.queries) == 0
    assert chain.answer.validated_at == NOW


def test_chains_of_another_time_and_another_life() -> None:
    world = World(clock=lambda: NOW)
    name = world.organisation("cars.example").device("car54").name.text
    for at in (NOW - 86_400, NOW + 86_400):
        chain = world.chain(name, at=at, validity=600)
        assert chain.answer.earliest_expiry is not None
        assert at < chain.answer.earliest_expiry <= at + 600
    lasting = world.chain(name, validity=86_400).answer.earliest_expiry
    assert lasting is not None
    assert lasting > NOW + 80_000


@pytest.mark.parametrize("fault", [Fault.EXPIRED, Fault.STRIPPED, Fault.SERVFAIL])
def test_no_chain_of_what_is_broken(fault: Fault) -> None:
    world = World(clock=lambda: NOW)
    name = world.organisation("cars.example").device("car54").name.text
    world.fault(name, fault)
    with pytest.raises(Undecided) as caught:
        world.chain(name)
    assert caught.value.reason is (Reason.DNS_FAILED if fault is Fault.SERVFAIL else Reason.BOGUS)
    world.heal()
    assert world.chain(name).answer.security is Security.SECURE
