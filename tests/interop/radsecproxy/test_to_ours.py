"""An ISP's radsecproxy before our server, which lets the proxy in by its DNS name: over TLS and over DTLS, alone and
behind a FreeRADIUS that routes."""

import contextlib
from collections.abc import Iterator
from itertools import count
from pathlib import Path

import pytest

from dnsbound.edge.radius_audit import AccessVerdict
from dnsbound.errors import Reason
from dnsbound.testing.world import World
from interop.radius_eapol import TLS13, VERSIONS, Seen, eapol_test
from interop.radius_examples import SERVER_NAME, Pem
from interop.radius_freeradius import freeradius_proxy
from interop.radius_radsecproxy import Kind, RadsecProxy, radsecproxy
from interop.radius_server import ACCESS, RadiusSite, radius_site

pytestmark = pytest.mark.peer("radsecproxy", "eapol_test")

KINDS: tuple[Kind, ...] = ("tls", "dtls")
PROXIES = "*._device.isp.example"
"""Each test has a proxy of its own: the site remembers their records for their TTL."""
SETTINGS = 'radsec = ["127.0.0.1:0"]\nradsec_dtls = ["127.0.0.1:0"]\nticket_seconds = 3600\n'
CLIENTS = f'\n[client.isp]\nname = "{PROXIES}"\n'
DOOR = f'\n[door.radsec]\nallow = ["{PROXIES}"]\n'
NETWORKS = '\n[network.cars]\ndoor = "public.isp.example"\nclient = ["isp"]\n'
NUMBERS = count()
SILENCE = 4
"""Seconds after which a proxy that cannot connect is given up on."""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RadiusSite]:
    with (
        World() as world,
        radius_site(
            tmp_path_factory.mktemp("site"),
            world=world,
            settings=SETTINGS,
            clients=CLIENTS,
            access=ACCESS + DOOR,
            networks=NETWORKS,
            credential=world.web_credential(SERVER_NAME, "127.0.0.1"),
        ) as made,
    ):
        yield made


def port_of(site: RadiusSite, kind: Kind) -> int:
    (listening,) = site.bound.radsec if kind == "tls" else site.bound.radsec_dtls
    return int(listening.getsockname()[1])


@contextlib.contextmanager
def isp(
    site: RadiusSite, directory: Path, kind: Kind, *, organisation: str = "isp.example", publish: bool = True
) -> Iterator[RadsecProxy]:
    """The proxy of an organisation, with a key of its own."""
    own = site.world.organisation(organisation).device(f"proxy{next(NUMBERS)}", publish=publish)
    pem = Pem.write(directory, "proxy", own.credential)
    with radsecproxy(
        directory / "radsecproxy", own=pem, authority=site.root, home=port_of(site, kind), kind=kind
    ) as proxy:
        yield proxy


def meet(site: RadiusSite, directory: Path, proxy: RadsecProxy, **options: object) -> Seen:
    site.events.clear()
    supplicant = site.supplicant(site.car, **options)
    return eapol_test(directory, supplicant, port=proxy.port, secret=proxy.secret)


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("kind", KINDS)
def test_a_device_comes_in_through_a_proxy_that_came_in_by_its_name(
    site: RadiusSite, tmp_path: Path, kind: Kind, version: str
) -> None:
    with isp(site, tmp_path, kind) as proxy:
        seen = meet(site, tmp_path, proxy, phase1=VERSIONS[version])
        assert seen.admitted, seen.output + proxy.daemon.log_tail()
        (event,) = site.events
        assert (event.verdict, event.name, event.client) == (AccessVerdict.ADMITTED, site.car.name.text, "isp")
        stranger = site.supplicant(site.stranger, phase1=VERSIONS[version], identity="@cars.example")
        assert eapol_test(tmp_path, stranger, port=proxy.port, secret=proxy.secret).verdict == "refused"
        assert site.events[-1].reason == Reason.NOT_PERMITTED.value


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("octets", [100, 1400])
def test_fragments_pass(site: RadiusSite, tmp_path: Path, kind: Kind, octets: int) -> None:
    with isp(site, tmp_path, kind) as proxy:
        assert meet(site, tmp_path, proxy, fragment_octets=octets).admitted


@pytest.mark.parametrize("kind", KINDS)
def test_many_conversations_share_one_connection(site: RadiusSite, tmp_path: Path, kind: Kind) -> None:
    with isp(site, tmp_path, kind) as proxy:
        supplicant = site.supplicant(site.cars.device(f"steady-{kind}", ttl=3600), phase1=TLS13)
        seen = eapol_test(tmp_path, supplicant, port=proxy.port, secret=proxy.secret, again=9)
        assert seen.admitted, seen.output
        assert seen.keys_ok == 10
        assert seen.resumed == (False, *([True] * 9))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("organisation", "publish"), [("other.example", True), ("isp.example", False)], ids=["stranger", "no record"]
)
def test_a_proxy_that_is_not_let_in_brings_nobody_in(
    site: RadiusSite, tmp_path: Path, kind: Kind, organisation: str, publish: bool
) -> None:
    with isp(site, tmp_path, kind, organisation=organisation, publish=publish) as proxy:
        site.events.clear()
        supplicant = site.supplicant(site.car)
        seen = eapol_test(tmp_path, supplicant, port=proxy.port, secret=proxy.secret, seconds=SILENCE)
        assert seen.verdict == "silence", seen.output
        assert site.events == []


@pytest.mark.peer("freeradius")
@pytest.mark.parametrize("version", VERSIONS)
def test_a_chain_of_two_proxies_reaches_home(site: RadiusSite, tmp_path: Path, version: str) -> None:
    with (
        isp(site, tmp_path, "tls") as border,
        freeradius_proxy(tmp_path / "inner", home=border.port, secret=border.secret) as inner,
    ):
        site.events.clear()
        supplicant = site.supplicant(site.car, phase1=VERSIONS[version])
        seen = eapol_test(tmp_path, supplicant, port=inner.port, secret=inner.secret)
        assert seen.admitted, seen.output + inner.daemon.log_tail()
        (event,) = site.events
        assert (event.name, event.client) == (site.car.name.text, "isp")
