"""hostapd and wpa_supplicant at two ends of a cable, with a RADIUS server that is not ours: the tests' own wiring."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from interop.daemon import free_port, program, run, started
from interop.radius_eapol import VERSIONS, Supplicant
from interop.radius_examples import example
from interop.radius_freeradius import AuthoritySite, authority_site
from interop.radius_radclient import radclient
from interop.radius_wired import authenticator, port_and_device, wired_supplicant

pytestmark = pytest.mark.peer("freeradius", "hostapd", "hostapd_cli", "wpa_supplicant", "ip")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AuthoritySite]:
    with authority_site(tmp_path_factory.mktemp("site")) as made:
        yield made


@pytest.mark.parametrize("version", ["TLSv1.2", "TLSv1.3"])
def test_the_port_opens_for_a_device_that_is_let_in(site: AuthoritySite, tmp_path: Path, version: str) -> None:
    device = Supplicant(client=site.car, authority=str(site.root), phase1=VERSIONS[version])
    with (
        port_and_device() as (port, plug),
        authenticator(tmp_path, port, port=site.radius.port, secret=site.radius.secret) as switch,
        wired_supplicant(tmp_path, plug, device) as supplicant,
    ):
        supplicant.wait_for_event("CONNECTED")
        switch.daemon.wait_for(switch.authorised, "the port is open")


def test_the_port_stays_shut_for_a_device_that_is_refused(site: AuthoritySite, tmp_path: Path) -> None:
    device = Supplicant(client=site.stranger, authority=str(site.root))
    with (
        port_and_device() as (port, plug),
        authenticator(tmp_path, port, port=site.radius.port, secret=site.radius.secret) as switch,
        wired_supplicant(tmp_path, plug, device) as supplicant,
    ):
        supplicant.wait_for_event("EAP-FAILURE")
        assert not switch.authorised()


@pytest.mark.peer("radclient")
def test_a_disconnect_request_shuts_the_port(site: AuthoritySite, tmp_path: Path) -> None:
    """What hostapd wants of one: nothing but words for the session, the time and proof. Class is none of them."""
    device = Supplicant(client=site.car, authority=str(site.root))
    with (
        port_and_device() as (port, plug),
        authenticator(tmp_path, port, port=site.radius.port, secret=site.radius.secret) as switch,
        wired_supplicant(tmp_path, plug, device) as supplicant,
    ):
        supplicant.wait_for_event("CONNECTED")
        switch.daemon.wait_for(switch.authorised, "the port is open")
        station = next(iter(switch.stations()))
        to = {"port": switch.disconnect_port, "secret": site.radius.secret}

        def request(age: int, *more: str) -> list[str]:
            return [f'Calling-Station-Id = "{station}"', f"Event-Timestamp = {int(time.time()) - age}", *more]

        proof = "Message-Authenticator = 0x00"
        assert radclient("disconnect", request(0), **to, seconds=1).code is None
        assert radclient("disconnect", request(3600, proof), **to, seconds=1).code is None
        refused = radclient("disconnect", request(0, proof, "Class = 0x01"), **to)
        assert (refused.code, refused.of("Error-Cause")) == ("Disconnect-NAK", ("Unsupported-Attribute",))
        done = radclient("disconnect", request(0, proof), **to)
        assert done.code == "Disconnect-ACK", done.output
        switch.daemon.wait_for(lambda: f"AP-STA-DISCONNECTED {station}" in switch.daemon.log_tail(), "the port is shut")


def test_hostapd_understands_the_configuration_of_an_access_point(tmp_path: Path) -> None:
    """But for the radio, which is not there: every line is read, and the servers it names are taken."""
    configuration = tmp_path / "hostapd.conf"
    values = {
        "driver=nl80211": "driver=none",
        "interface=wlan0": "interface=none0",
        "radius_das_port=3799": f"radius_das_port={free_port()}",
        "192.0.2.10": "127.0.0.1",
        "192.0.2.20": "127.0.0.1",
    }
    text = example("hostapd-wifi.conf", values)
    configuration.write_text(text)
    with started([program("hostapd"), str(configuration)], tmp_path / "hostapd.log") as daemon:
        daemon.wait_for(lambda: b"AP-ENABLED" in daemon.log.read_bytes(), "hostapd takes it")
        assert "RADIUS Authentication server 127.0.0.1:1812" in daemon.log_tail()
    configuration.write_text(text + "radius_das_tea=1\n")
    done = run([program("hostapd"), str(configuration)])
    assert done.returncode == 1
    assert "unknown configuration item 'radius_das_tea'" in done.stdout
