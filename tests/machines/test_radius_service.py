"""The RADIUS service as its clients meet it: who is admitted to which network, with what, and what is answered to all
the rest."""

import asyncio
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from dnsbound.edge.radius_audit import GRANTS_UNUSABLE, NO_NETWORK, AccessVerdict
from dnsbound.errors import Reason
from dnsbound.iana import RadiusAttribute, RadiusCode
from dnsbound.protocols.eap_peer import PeerDone, PeerFailed
from dnsbound.protocols.radius_keys import read_mppe_keys
from dnsbound.testing.faults import Fault
from dnsbound.testing.world import World
from machines.radius_pairs import STAFF, Served, served, supplicant, supplicant_context, value

pytestmark = pytest.mark.timeout(60)

VERSIONS = ["TLSv1.2", "TLSv1.3"]


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    with World() as made:
        made.organisation("cars.example")
        yield made


@pytest.fixture(scope="module")
def car(world):
    return world.organisation("cars.example").device("car54")


@pytest.fixture
def site(tmp_path: Path, world: World) -> Iterator[Served]:
    with served(tmp_path, world) as made:
        yield made


@pytest.mark.parametrize("version", VERSIONS)
def test_a_device_is_admitted_with_the_keys_of_its_handshake_into_its_vlan(site, world, car, version):
    nas = site.nas()
    ended = asyncio.run(nas.authenticate(supplicant(world, car.credential, version=version)))
    assert isinstance(ended.heard, PeerDone)
    assert ended.code is RadiusCode.ACCESS_ACCEPT
    keys = read_mppe_keys(ended.answer.attributes, ended.request[4:20], nas.secret)
    assert keys.recv + keys.send == ended.heard.keys.msk
    assert ended.answer.first(RadiusAttribute.TUNNEL_PRIVATE_GROUP_ID) == b"visitors"
    assert ended.answer.first(RadiusAttribute.USER_NAME) == car.name.canonical.encode()
    assert value(ended.answer, RadiusAttribute.SESSION_TIMEOUT) == 3600
    assert value(ended.answer, RadiusAttribute.TERMINATION_ACTION) == 1
    assert ended.answer.attributes[0][0] == RadiusAttribute.MESSAGE_AUTHENTICATOR
    (event,) = site.events
    assert (event.verdict, event.network, event.name) == (AccessVerdict.ADMITTED, "public", car.name.canonical)
    assert (event.tls_version, event.resumed, event.ssid) == (version, False, "public")
    assert "Session-Timeout" in event.reply


def test_the_network_is_chosen_by_the_ssid_and_grants_what_its_door_grants(site, world, car):
    ended = asyncio.run(site.nas(called=STAFF).authenticate(supplicant(world, car.credential)))
    assert ended.answer.first(RadiusAttribute.TUNNEL_PRIVATE_GROUP_ID) == b"12"
    assert site.events[-1].network == "staff"


def test_a_raw_key_is_admitted(site, world):
    raw = world.organisation("cars.example").device("car77", kind="raw")
    ended = asyncio.run(site.nas().authenticate(supplicant(world, raw.credential)))
    assert ended.code is RadiusCode.ACCESS_ACCEPT
    assert site.events[-1].name == raw.name.canonical


@pytest.mark.parametrize("identity", [b"", b"car99._device.cars.example", b"@elsewhere.example", b"\xff\x00"])
def test_the_identity_is_no_name(site, world, car, identity):
    """Whatever it says, the certificate counts."""
    ended = asyncio.run(site.nas().authenticate(supplicant(world, car.credential, identity=identity)))
    assert ended.code is RadiusCode.ACCESS_ACCEPT
    assert site.events[-1].name == car.name.canonical


REALMS = """
[network.staff]
door = "wireless.isp.example"
nas_identifier = ["ap7"]
realm = ["cars.example"]

[network.public]
door = "public.isp.example"
realm = [""]
"""


@pytest.mark.parametrize(
    "asked",
    [
        (b"@Cars.Example", b"ap7", "staff"),
        (b"@cars.example", b"ap8", None),
        (b"anonymous", b"ap7", "public"),
        (b"@trucks.example", b"ap7", None),
    ],
)
def test_networks_are_chosen_by_realm_and_nas(tmp_path, world, car, asked):
    identity, identifier, network = asked
    with served(tmp_path, world, networks=REALMS) as site:
        nas = site.nas(more=((RadiusAttribute.NAS_IDENTIFIER, identifier),))
        ended = asyncio.run(nas.authenticate(supplicant(world, car.credential, identity=identity)))
        admitted = ended.code is RadiusCode.ACCESS_ACCEPT
        assert (site.events[-1].network, admitted) == (network or "", network is not None)


def test_where_no_network_is_for_it_there_is_no_tls_and_no_dns(tmp_path, world):
    stranger = world.organisation("cars.example").device("car60")
    with served(tmp_path, world, networks='[network.x]\ndoor = "public.isp.example"\nssid = "other"\n') as site:
        ended = asyncio.run(site.nas().authenticate(supplicant(world, stranger.credential)))
        assert ended.code is RadiusCode.ACCESS_REJECT
        assert value(ended.answer, RadiusAttribute.STATE) is None
        (event,) = site.events
        assert (event.verdict, event.reason, event.round_trips) == (AccessVerdict.REFUSED, NO_NETWORK, 0)
    assert not world.queries_for(stranger.name.text)


def test_a_flood_of_identities_that_no_network_is_for_is_counted_and_not_written(tmp_path, world, car, caplog):
    caplog.set_level("INFO", logger="dnsbound.radius")
    flood = 200
    with served(tmp_path, world, networks='[network.x]\ndoor = "public.isp.example"\nssid = "other"\n') as site:
        for number in range(flood):
            peer = supplicant(world, car.credential, identity=b"@realm%d.example" % number)
            assert asyncio.run(site.nas().authenticate(peer)).code is RadiusCode.ACCESS_REJECT
        assert len(site.events) == flood
        counted = site.service.counters.authentications
        assert counted["", AccessVerdict.REFUSED.value, NO_NETWORK] == flood
        written = [record for record in caplog.records if hasattr(record, "access")]
        assert [record.access["identity"] for record in written] == ["@realm0.example"]


# --- refusals


@pytest.mark.parametrize("version", VERSIONS)
def test_a_name_on_no_list_is_refused_without_a_question_to_the_dns(site, world, version):
    truck = world.organisation("trucks.example").device(f"truck{version[-1]}")
    ended = asyncio.run(site.nas().authenticate(supplicant(world, truck.credential, version=version)))
    assert ended.code is RadiusCode.ACCESS_REJECT
    assert isinstance(ended.heard, PeerFailed)
    assert [(event.verdict, event.reason) for event in site.events] == [
        (AccessVerdict.REFUSED, Reason.NOT_PERMITTED.value)
    ]
    assert not world.queries_for(truck.name.text)


def test_a_name_without_a_record_and_one_with_anothers_are_refused(site, world):
    cars = world.organisation("cars.example")
    unknown = cars.device("car61", publish=False)
    changed = cars.device("car62")
    former = changed.renew()
    for credential in (unknown.credential, former):
        assert asyncio.run(site.nas().authenticate(supplicant(world, credential))).code is RadiusCode.ACCESS_REJECT
    assert [event.reason for event in site.events] == [Reason.NO_TLSA.value, Reason.TLSA_MISMATCH.value]


def test_an_undecided_name_looks_like_a_refused_one_on_the_wire(site, world):
    cars = world.organisation("cars.example")
    lost, gone = cars.device("car63"), cars.device("car64", publish=False)
    world.fault(lost.name.text, Fault.SERVFAIL)
    try:
        ends = [asyncio.run(site.nas().authenticate(supplicant(world, one.credential))) for one in (lost, gone)]
    finally:
        world.heal(lost.name.text)
    shapes = [[(number, len(octets)) for number, octets in end.answer.attributes] for end in ends]
    assert shapes[0] == shapes[1]
    assert type(ends[0].heard.reason) is type(ends[1].heard.reason)
    assert [(event.verdict, event.reason) for event in site.events] == [
        (AccessVerdict.UNDECIDED, Reason.DNS_FAILED.value),
        (AccessVerdict.REFUSED, Reason.NO_TLSA.value),
    ]


def test_grants_that_radius_cannot_say_let_nobody_in(tmp_path, world, car, caplog):
    access = """
        [door."public.isp.example"]
        allow = [{ names = ["*._device.cars.example"], grants = { vlans = 7 } }]
        [door."wireless.isp.example"]
    """
    with served(tmp_path, world, access=access) as site:
        ended = asyncio.run(site.nas().authenticate(supplicant(world, car.credential)))
        assert ended.code is RadiusCode.ACCESS_REJECT
        assert [(event.verdict, event.reason) for event in site.events] == [(AccessVerdict.REFUSED, GRANTS_UNUSABLE)]
    assert "vlans" in caplog.text


# --- when the DNS is asked


def test_the_dns_is_asked_once_possession_is_proved_and_not_before(site, world):
    device = world.organisation("cars.example").device("car65")
    for length in range(1, 4):
        ended = asyncio.run(
            site.nas(station=bytes([length]) * 6).authenticate(
                supplicant(world, device.credential, fragment_octets=400), stop_after=length
            )
        )
        assert ended.code is RadiusCode.ACCESS_CHALLENGE
    assert not world.queries_for(device.name.text)
    assert asyncio.run(site.nas().authenticate(supplicant(world, device.credential))).code is RadiusCode.ACCESS_ACCEPT
    assert world.queries_for(device.name.text)


# --- resumption


def test_a_resumed_session_is_judged_again(tmp_path):
    later = 0.0
    with (
        World(clock=lambda: time.time() + later) as world,
        served(tmp_path, world, settings="ticket_seconds = 3600") as site,
    ):
        device = world.organisation("cars.example").device("car66", ttl=60)  # a ticket lives no longer
        context = supplicant_context(world, device.credential)
        first = asyncio.run(site.nas().authenticate(supplicant(world, device.credential, context=context)))
        session = first.heard.session
        assert session is not None
        again = supplicant(world, device.credential, context=context, session=session)
        ended = asyncio.run(site.nas().authenticate(again))
        assert ended.code is RadiusCode.ACCESS_ACCEPT
        assert [event.resumed for event in site.events] == [False, True]
        device.revoke()
        later = 120.0
        once_more = supplicant(world, device.credential, context=context, session=session)
        assert asyncio.run(site.nas().authenticate(once_more)).code is RadiusCode.ACCESS_REJECT
        assert (site.events[-1].reason, site.events[-1].resumed) == (Reason.NO_TLSA.value, True)


def test_there_are_no_tickets_unless_they_are_asked_for(site, world, car):
    ended = asyncio.run(site.nas().authenticate(supplicant(world, car.credential)))
    assert ended.heard.session is None
