"""radsecproxy as an ISP's proxy that reaches our server over TLS and DTLS: known by its DNS name, with an X.509
certificate whose key has a TLSA record; and in front of somebody else's server, as ours to ask."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from dnsbound.testing.organisation import Device
from dnsbound.testing.world import World
from interop.eap_trials import credential_file, eap_test, secret_file
from interop.radius_examples import SERVER_NAME, Pem
from interop.radius_radsecproxy import Kind, RadsecProxy, radsecproxy
from interop.radius_server import ACCESS, CLIENTS, RadiusSite, radius_site

pytestmark = pytest.mark.peer("radsecproxy")

SETTINGS = 'radsec = ["127.0.0.1:0"]\nradsec_dtls = ["127.0.0.1:0"]\n'
ISP = '[client.isp]\nname = "proxy._device.isp.example"\n'
DOOR = '[door.radsec]\nallow = ["proxy._device.isp.example", "old._device.isp.example"]\n'
KINDS: tuple[Kind, ...] = ("tls", "dtls")
PATIENCE = 20.0


@pytest.fixture
def site(tmp_path: Path) -> Iterator[RadiusSite]:
    with World() as world:
        own = world.web_credential(SERVER_NAME, "127.0.0.1")
        with radius_site(
            tmp_path,
            world=world,
            settings=SETTINGS,
            clients=CLIENTS + ISP,
            access=ACCESS + DOOR,
            credential=own,
        ) as made:
            yield made


@pytest.fixture
def proxy_of_isp(site: RadiusSite) -> Device:
    return site.world.organisation("isp.example").device("proxy")


Proxied = Callable[[RadsecProxy], tuple[int, dict[str, object]]]


@pytest.fixture
def through(site: RadiusSite, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Proxied:
    """Log in as car54 through a proxy."""
    pem = credential_file(tmp_path, "car54", site.car.credential)

    def tried(proxy: RadsecProxy) -> tuple[int, dict[str, object]]:
        way = ("--server", f"127.0.0.1:{proxy.port}", "--secret-file", secret_file(tmp_path, proxy.secret))
        belief = ("--ca", site.root, "--server-name", SERVER_NAME)
        code, [seen] = eap_test(capsys, site.world, "--credential", pem, *way, *belief, "--timeout", "8")
        return code, seen

    return tried


def port_of(site: RadiusSite, kind: Kind) -> int:
    bound = site.bound.radsec if kind == "tls" else site.bound.radsec_dtls
    port: int = bound[0].getsockname()[1]
    return port


@pytest.mark.parametrize("kind", KINDS)
def test_a_proxy_is_known_by_its_dns_name_and_hands_devices_on(
    site: RadiusSite, proxy_of_isp: Device, through: Proxied, tmp_path: Path, kind: Kind
) -> None:
    own = Pem.write(tmp_path, "proxy", proxy_of_isp.credential)
    with radsecproxy(tmp_path / "proxy", own=own, authority=site.root, home=port_of(site, kind), kind=kind) as proxy:
        code, seen = through(proxy)
        assert (code, seen["verdict"], seen["keys"]) == (0, "admitted", "match"), (seen, proxy.daemon.log.read_text())
    assert site.events[-1].client == "isp"


@pytest.mark.parametrize("kind", KINDS)
def test_a_proxy_without_a_record_hands_nobody_on(
    site: RadiusSite, proxy_of_isp: Device, through: Proxied, tmp_path: Path, kind: Kind
) -> None:
    own = Pem.write(tmp_path, "proxy", proxy_of_isp.credential)
    proxy_of_isp.revoke()
    with radsecproxy(tmp_path / "proxy", own=own, authority=site.root, home=port_of(site, kind), kind=kind) as proxy:
        code, seen = through(proxy)
    assert (code, seen["verdict"]) == (3, "no-answer"), seen
    assert site.events == []


def test_a_proxy_whose_record_goes_is_cut(
    site: RadiusSite, proxy_of_isp: Device, through: Proxied, tmp_path: Path
) -> None:
    own = Pem.write(tmp_path, "proxy", proxy_of_isp.credential)
    with radsecproxy(tmp_path / "proxy", own=own, authority=site.root, home=port_of(site, "tls"), kind="tls") as proxy:
        assert through(proxy)[0] == 0
        before = len(proxy.daemon.log.read_bytes())
        proxy_of_isp.revoke()
        # A change of the access list has everybody asked about again.
        site.rewrite("access.toml", ACCESS + DOOR.replace('"old._device.isp.example"', '"new._device.isp.example"'))
        proxy.daemon.wait_for(lambda: b"lost" in proxy.daemon.log.read_bytes()[before:], "the connection is cut")
        assert through(proxy)[0] == 3
