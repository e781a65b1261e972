"""A wired port that asks our server: the whole of network access without radio, with programs nobody changed."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from dnsbound.edge.radius_audit import AccessVerdict
from dnsbound.errors import Reason
from interop.daemon import free_port
from interop.radius_eapol import VERSIONS
from interop.radius_server import CLIENTS, RadiusSite, radius_site
from interop.radius_wired import authenticator, port_and_device, wired_supplicant

pytestmark = pytest.mark.peer("hostapd", "hostapd_cli", "wpa_supplicant", "ip")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RadiusSite]:
    with radius_site(tmp_path_factory.mktemp("site")) as made:
        yield made


@pytest.mark.parametrize("version", VERSIONS)
def test_the_port_opens_for_a_name(site: RadiusSite, tmp_path: Path, version: str) -> None:
    site.events.clear()
    device = site.supplicant(site.car, phase1=VERSIONS[version])
    with (
        port_and_device() as (port, plug),
        authenticator(tmp_path, port, port=site.port, secret=site.secret, accounting=site.accounting_port) as switch,
        wired_supplicant(tmp_path, plug, device) as supplicant,
    ):
        supplicant.wait_for_event("CONNECTED")
        switch.daemon.wait_for(switch.authorised, "the port is open")
        ((station, facts),) = switch.stations().items()
    (event,) = site.events
    assert (event.verdict, event.name) == (AccessVerdict.ADMITTED, site.car.name.text)
    assert (event.tls_version, event.nas) == (version, "switch1.isp.example")
    assert event.calling_station.lower().replace("-", ":") == station
    assert facts["dot1xAuthSessionUserName"] == site.car.name.text


def test_the_port_stays_shut_for_a_stranger(site: RadiusSite, tmp_path: Path) -> None:
    site.events.clear()
    with (
        port_and_device() as (port, plug),
        authenticator(tmp_path, port, port=site.port, secret=site.secret) as switch,
        wired_supplicant(tmp_path, plug, site.supplicant(site.stranger)) as supplicant,
    ):
        supplicant.wait_for_event("EAP-FAILURE")
        assert not switch.authorised()
    assert {event.reason for event in site.events} == {Reason.NOT_PERMITTED.value}


@pytest.mark.parametrize("version", VERSIONS)
def test_the_port_shuts_when_the_record_of_its_device_disappears(tmp_path: Path, version: str) -> None:
    disconnect_port = free_port()
    told = f'{CLIENTS}dynamic_authorisation = "127.0.0.1:{disconnect_port}"\n'
    with radius_site(tmp_path, clients=told, supervise=True) as site:
        device = site.supplicant(site.car, phase1=VERSIONS[version])
        with (
            port_and_device() as (port, plug),
            authenticator(
                tmp_path,
                port,
                port=site.port,
                secret=site.secret,
                accounting=site.accounting_port,
                disconnect_port=disconnect_port,
            ) as switch,
            wired_supplicant(tmp_path, plug, device) as supplicant,
        ):
            supplicant.wait_for_event("CONNECTED")
            switch.daemon.wait_for(switch.authorised, "the port is open")
            (station,) = switch.stations()
            assert "AP-STA-DISCONNECTED" not in switch.daemon.output.read_text()
            site.car.revoke()
            switch.daemon.wait_for(
                lambda: f"AP-STA-DISCONNECTED {station}" in switch.daemon.output.read_text(), "the port is shut"
            )
            assert not switch.authorised()
