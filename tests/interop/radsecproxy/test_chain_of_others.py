"""radsecproxy before radsecproxy before FreeRADIUS: TLS and DTLS without anything of ours, as tests wire them."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from interop.radius_eapol import Supplicant, eapol_test
from interop.radius_freeradius import AuthoritySite, authority_site
from interop.radius_radsecproxy import Kind, radsec_front, radsecproxy

pytestmark = pytest.mark.peer("freeradius", "eapol_test", "radsecproxy")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AuthoritySite]:
    with authority_site(tmp_path_factory.mktemp("site")) as made:
        yield made


@pytest.mark.parametrize("kind", ["tls", "dtls"])
@pytest.mark.parametrize("identity", ["@cars.example", "car54._device.cars.example"])
def test_a_device_comes_in_through_both(site: AuthoritySite, tmp_path: Path, kind: Kind, identity: str) -> None:
    supplicant = Supplicant(client=site.car, authority=str(site.root), identity=identity)
    front = radsec_front(
        tmp_path / "front",
        own=site.server,
        clients=site.clients,
        home=site.radius.port,
        secret=site.radius.secret,
        kind=kind,
    )
    with (
        front as home,
        radsecproxy(tmp_path / "proxy", own=site.car, authority=site.root, home=home.port, kind=kind) as proxy,
    ):
        seen = eapol_test(tmp_path, supplicant, port=proxy.port, secret=proxy.secret)
        assert seen.admitted, seen.output + proxy.daemon.log_tail() + home.daemon.log_tail()
