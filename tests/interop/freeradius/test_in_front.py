"""FreeRADIUS as an operator's proxy in front of our server: routes, keys, fragments, everybody else."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from dnsbound.errors import Reason
from interop.radius_devices import device_of_shape
from interop.radius_eapol import TLS13, VERSIONS, eapol_test
from interop.radius_freeradius import FreeRadius, freeradius_proxy
from interop.radius_radclient import radclient
from interop.radius_server import STAFF_SSID, RadiusSite, radius_site

pytestmark = pytest.mark.peer("freeradius", "eapol_test")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RadiusSite]:
    with radius_site(tmp_path_factory.mktemp("site"), settings="ticket_seconds = 3600") as made:
        yield made


@pytest.fixture(scope="module")
def proxy(site: RadiusSite, tmp_path_factory: pytest.TempPathFactory) -> Iterator[FreeRadius]:
    directory = tmp_path_factory.mktemp("proxy") / "isp"
    with freeradius_proxy(directory, home=site.port, accounting=site.accounting_port, secret=site.secret) as made:
        yield made


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("shape", ["P-256", "RSA-4096", "under an authority"])
def test_a_device_comes_in_through_the_proxy_with_its_own_keys(
    site: RadiusSite, proxy: FreeRadius, tmp_path: Path, shape: str, version: str
) -> None:
    credential = device_of_shape(
        site.cars, f"{shape}-{version[-1]}".replace(" ", "-").lower(), shape, now=site.world.now()
    )
    supplicant = site.supplicant(credential, phase1=VERSIONS[version])
    seen = eapol_test(tmp_path, supplicant, port=proxy.port, secret=proxy.secret)
    assert seen.admitted, seen.output
    assert seen.tls_version == version


@pytest.mark.parametrize("octets", [100, 1400])
def test_fragments_pass(site: RadiusSite, proxy: FreeRadius, tmp_path: Path, octets: int) -> None:
    supplicant = site.supplicant(site.car, fragment_octets=octets)
    assert eapol_test(tmp_path, supplicant, port=proxy.port, secret=proxy.secret).admitted


def test_sessions_are_resumed_through_it(site: RadiusSite, proxy: FreeRadius, tmp_path: Path) -> None:
    supplicant = site.supplicant(site.cars.device("steady", ttl=3600), phase1=TLS13)
    seen = eapol_test(tmp_path, supplicant, port=proxy.port, secret=proxy.secret, again=1)
    assert seen.admitted, seen.output
    assert seen.resumed == (False, True)


def test_the_access_points_network_is_known_behind_it(site: RadiusSite, proxy: FreeRadius, tmp_path: Path) -> None:
    site.events.clear()
    attributes = [f"30:s:{STAFF_SSID}"]
    supplicant = site.supplicant(site.car)
    assert eapol_test(tmp_path, supplicant, port=proxy.port, secret=proxy.secret, attributes=attributes).admitted
    (event,) = site.events
    assert (event.network, event.ssid) == ("staff", "staff")


@pytest.mark.parametrize("version", VERSIONS)
def test_a_stranger_is_rejected_through_it(site: RadiusSite, proxy: FreeRadius, tmp_path: Path, version: str) -> None:
    site.events.clear()
    supplicant = site.supplicant(site.stranger, phase1=VERSIONS[version])
    assert eapol_test(tmp_path, supplicant, port=proxy.port, secret=proxy.secret).verdict == "refused"
    (event,) = site.events
    assert event.reason == Reason.NOT_PERMITTED.value


def test_who_is_no_device_never_reaches_us(site: RadiusSite, proxy: FreeRadius, tmp_path: Path) -> None:
    site.events.clear()
    supplicant = site.supplicant(site.car, identity="bob@isp.example")
    assert eapol_test(tmp_path, supplicant, port=proxy.port, secret=proxy.secret).verdict == "refused"
    assert site.events == []


@pytest.mark.peer("radclient")
@pytest.mark.parametrize(
    ("name", "comes_home"), [("car54._device.cars.example", True), ("@cars.example", True), ("bob@isp.example", False)]
)
def test_accounting_of_devices_goes_home_too(site: RadiusSite, proxy: FreeRadius, name: str, comes_home: bool) -> None:
    assert proxy.accounting is not None
    patience = 20.0 if comes_home else 2.0
    before = site.server.service.counters.requests["ACCOUNTING_REQUEST"]
    report = [f'User-Name = "{name}"', "Acct-Status-Type = Start", f'Acct-Session-Id = "{name}"', "NAS-Port = 1"]
    answer = radclient("acct", report, port=proxy.accounting, secret=proxy.secret, seconds=patience)
    assert (answer.code == "Accounting-Response") == comes_home, answer.output
    assert (site.server.service.counters.requests["ACCOUNTING_REQUEST"] - before == 1) == comes_home


def test_a_conversation_stays_at_one_of_two_servers(site: RadiusSite, tmp_path: Path) -> None:
    """Which one is for the port that it comes from to decide."""
    (tmp_path / "second").mkdir()
    with (
        radius_site(tmp_path / "second", world=site.world) as second,
        freeradius_proxy(tmp_path / "isp", home=site.port, second=second.port, secret=site.secret) as proxy,
    ):
        site.events.clear()
        for number in range(8):
            supplicant = site.supplicant(site.car, phase1=TLS13, fragment_octets=200)
            seen = eapol_test(tmp_path, supplicant, port=proxy.port, secret=proxy.secret)
            assert seen.admitted, (number, seen.output)
        assert len(site.events) + len(second.events) == 8
