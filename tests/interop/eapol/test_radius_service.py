"""The RADIUS service under wpa_supplicant's own EAP peer: who comes in, with which keys, into which network."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from dnsbound.edge.radius_audit import AccessVerdict
from interop.radius_eapol import VERSIONS, eapol_test
from interop.radius_server import RadiusSite, radius_site

pytestmark = pytest.mark.peer("eapol_test")


@pytest.fixture
def site(tmp_path: Path) -> Iterator[RadiusSite]:
    with radius_site(tmp_path) as made:
        yield made


@pytest.mark.parametrize("version", VERSIONS)
def test_a_device_comes_in_by_its_name_with_the_keys_of_its_handshake(
    site: RadiusSite, tmp_path: Path, version: str
) -> None:
    supplicant = site.supplicant(site.car, phase1=VERSIONS[version])
    seen = eapol_test(tmp_path, supplicant, port=site.port, secret=site.secret)
    assert seen.admitted, seen.output
    assert seen.tls_version == version
    (event,) = site.events
    assert (event.verdict, event.name, event.network) == (AccessVerdict.ADMITTED, site.car.name.text, "public")
