"""hostapd and wpa_supplicant at two ends of a cable, with a RADIUS server that is not ours: the tests' own wiring."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from interop.radius_eapol import VERSIONS, Supplicant
from interop.radius_freeradius import AuthoritySite, authority_site
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
