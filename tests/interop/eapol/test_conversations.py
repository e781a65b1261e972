"""How wpa_supplicant's own EAP peer is answered: fragments, sessions that are resumed, networks, identities."""

import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from dnsbound.edge.radius_audit import AccessVerdict
from dnsbound.errors import Reason
from interop.radius_devices import device_of_shape
from interop.radius_eapol import (
    CHARGEABLE_USER_IDENTITY,
    EAP_KEY_NAME,
    RESUMING,
    TLS12,
    TLS13,
    TUNNEL_MEDIUM_TYPE,
    TUNNEL_PRIVATE_GROUP_ID,
    TUNNEL_TYPE,
    VERSIONS,
    eapol_test,
    pinned,
)
from interop.radius_examples import Pem
from interop.radius_server import PUBLIC_SSID, STAFF_SSID, RadiusSite, radius_site, write

pytestmark = pytest.mark.peer("eapol_test")

FRAGMENTS = (100, 253, 576, 1000, 1400)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RadiusSite]:
    with radius_site(tmp_path_factory.mktemp("site")) as made:
        yield made


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("octets", FRAGMENTS)
def test_the_device_may_send_fragments_of_any_size(site: RadiusSite, tmp_path: Path, octets: int, version: str) -> None:
    """The certificate and the signature of RSA-4096 make dozens of the smallest."""
    credential = device_of_shape(site.cars, f"sends{octets}-{version[-1]}", "RSA-4096", now=site.world.now())
    supplicant = site.supplicant(credential, phase1=VERSIONS[version], fragment_octets=octets)
    seen = eapol_test(tmp_path, supplicant, port=site.port, secret=site.secret)
    assert seen.admitted, seen.output


@pytest.mark.parametrize("version", VERSIONS)
def test_the_server_sends_fragments_of_the_size_that_is_set(tmp_path: Path, version: str) -> None:
    challenges = []
    for octets in FRAGMENTS:
        directory = tmp_path / str(octets)
        directory.mkdir()
        with radius_site(directory, settings=f"fragment_octets = {octets}") as site:
            supplicant = site.supplicant(site.car, phase1=VERSIONS[version])
            seen = eapol_test(tmp_path, supplicant, port=site.port, secret=site.secret)
            assert seen.admitted, seen.output
            challenges.append(seen.challenges)
    assert challenges == sorted(challenges, reverse=True)
    assert challenges[0] >= challenges[-1] + 5


def test_a_session_is_resumed_with_new_keys(tmp_path: Path) -> None:
    with radius_site(tmp_path, settings="ticket_seconds = 3600") as site:
        device = site.cars.device("car57", ttl=300)  # a ticket lives no longer
        supplicant = site.supplicant(device, phase1=TLS13)
        seen = eapol_test(tmp_path, supplicant, port=site.port, secret=site.secret, again=2)
        assert seen.admitted, seen.output
        assert (seen.resumed, seen.keys_ok) == ((False, True, True), 3)
        assert [event.resumed for event in site.events] == [False, True, True]
        assert {event.name for event in site.events} == {device.name.text}


def test_without_tickets_every_handshake_is_whole(tmp_path: Path) -> None:
    with radius_site(tmp_path, settings="ticket_seconds = 0") as site:
        supplicant = site.supplicant(site.car, phase1=TLS13)
        seen = eapol_test(tmp_path, supplicant, port=site.port, secret=site.secret, again=1)
        assert seen.admitted, seen.output
        assert (seen.resumed, seen.keys_ok) == ((False, False), 2)


def test_tls12_is_never_resumed(site: RadiusSite, tmp_path: Path) -> None:
    supplicant = site.supplicant(site.car, phase1=TLS12 + RESUMING)
    seen = eapol_test(tmp_path, supplicant, port=site.port, secret=site.secret, again=1)
    assert seen.admitted, seen.output
    assert (seen.resumed, seen.keys_ok) == ((False, False), 2)


def test_each_network_has_its_list_and_its_vlan(site: RadiusSite, tmp_path: Path) -> None:
    guest = site.cars.device("guest")
    for device, called, vlan in (
        (site.car, PUBLIC_SSID, "visitors"),
        (site.car, STAFF_SSID, "12"),
        (guest, PUBLIC_SSID, "visitors"),
        (guest, STAFF_SSID, None),
    ):
        site.events.clear()
        attributes = [f"30:s:{called}"]
        supplicant = site.supplicant(device)
        seen = eapol_test(tmp_path, supplicant, port=site.port, secret=site.secret, attributes=attributes)
        (event,) = site.events
        assert event.ssid == called.partition(":")[2]
        if vlan is None:
            assert (seen.verdict, event.reason) == ("refused", Reason.NOT_PERMITTED.value), seen.output
            assert seen.of(TUNNEL_PRIVATE_GROUP_ID) == ()
            continue
        assert seen.admitted, seen.output
        assert seen.of(TUNNEL_PRIVATE_GROUP_ID) == (vlan.encode().hex(),)
        assert (seen.of(TUNNEL_TYPE), seen.of(TUNNEL_MEDIUM_TYPE)) == (("0000000d",), ("00000006",))


@pytest.mark.parametrize("identity", ["@cars.example", "anonymous@cars.example", "car99._device.cars.example", "x"])
@pytest.mark.parametrize("version", VERSIONS)
def test_the_name_is_that_of_the_key_whatever_the_identity_says(
    site: RadiusSite, tmp_path: Path, identity: str, version: str
) -> None:
    site.events.clear()
    supplicant = site.supplicant(site.car, identity=identity, phase1=VERSIONS[version])
    assert eapol_test(tmp_path, supplicant, port=site.port, secret=site.secret).admitted
    (event,) = site.events
    assert (event.name, event.identity) == (site.car.name.text, identity)


def test_an_identity_that_is_on_the_list_does_not_help_a_stranger(site: RadiusSite, tmp_path: Path) -> None:
    site.events.clear()
    supplicant = site.supplicant(site.stranger, identity=site.car.name.text)
    assert eapol_test(tmp_path, supplicant, port=site.port, secret=site.secret).verdict == "refused"
    (event,) = site.events
    assert (event.verdict, event.reason) == (AccessVerdict.REFUSED, Reason.NOT_PERMITTED.value)


def test_a_server_that_is_pinned_is_believed_and_no_other(site: RadiusSite, tmp_path: Path) -> None:
    """What TLSA 3 0 1 says, written into the supplicant's configuration."""
    server = Pem(certificate=site.directory / "server.pem", key=site.directory / "server.pem")
    for believed, verdict in ((server, "admitted"), (Pem.write(tmp_path, "car", site.car.credential), "refused")):
        site.events.clear()
        supplicant = site.supplicant(site.car, server=None)
        seen = eapol_test(tmp_path, replace(supplicant, authority=pinned(believed)), port=site.port, secret=site.secret)
        assert seen.verdict == verdict, seen.output
    (event,) = site.events
    assert event.verdict is AccessVerdict.FAILED


def test_stations_are_told_apart(site: RadiusSite, tmp_path: Path) -> None:
    site.events.clear()
    station = "02:11:22:33:44:55"
    seen = eapol_test(tmp_path, site.supplicant(site.car), port=site.port, secret=site.secret, station=station)
    assert seen.admitted
    (event,) = site.events
    assert event.calling_station.lower().replace("-", ":") == station


@pytest.mark.parametrize("version", VERSIONS)
def test_the_session_id_is_told_where_it_is_asked_for(site: RadiusSite, tmp_path: Path, version: str) -> None:
    supplicant = site.supplicant(site.car, phase1=VERSIONS[version])
    seen = eapol_test(tmp_path, supplicant, port=site.port, secret=site.secret, asks_key_name=True)
    assert seen.admitted, seen.output
    (own,) = set(re.findall(r"EAP: Session-Id - hexdump\(len=65\): ([0-9a-f ]+)", seen.output))
    assert seen.of(EAP_KEY_NAME) == (own.replace(" ", ""),)
    unasked = eapol_test(tmp_path, supplicant, port=site.port, secret=site.secret)
    assert unasked.of(EAP_KEY_NAME) == ()


def test_an_identity_to_charge_is_told_where_it_is_asked_for(tmp_path: Path) -> None:
    """The same each time, and not the name (RFC 4372)."""
    write(tmp_path / "handles.key", "k" * 32)
    with radius_site(tmp_path, settings='handle_key_file = "handles.key"') as site:
        told = []
        for asked in ([], [f"{CHARGEABLE_USER_IDENTITY}:x:00"], [f"{CHARGEABLE_USER_IDENTITY}:x:00"]):
            supplicant = site.supplicant(site.car)
            seen = eapol_test(tmp_path, supplicant, port=site.port, secret=site.secret, attributes=asked)
            assert seen.admitted, seen.output
            told.append(seen.of(CHARGEABLE_USER_IDENTITY))
    assert told[0] == ()
    assert len(told[1]) == 1
    assert told[1] == told[2]
    assert site.car.name.text.encode().hex() not in told[1][0]
