"""FreeRADIUS as an EAP-TLS server with a CA: what eapol_test says of a server that is not ours, and what others are
measured against."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from interop.radius_eapol import RESUMING, TLS12, TLS13, VERSIONS, Supplicant, eapol_test, pinned
from interop.radius_examples import Pem
from interop.radius_freeradius import AuthoritySite, authority_site, freeradius_proxy

pytestmark = pytest.mark.peer("freeradius", "eapol_test")

CAR = "car54._device.cars.example"


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AuthoritySite]:
    with authority_site(tmp_path_factory.mktemp("site"), resumption=True) as made:
        yield made


@pytest.mark.parametrize("version", VERSIONS)
def test_a_client_of_the_authority_comes_in_with_the_keys_of_its_handshake(
    site: AuthoritySite, tmp_path: Path, version: str
) -> None:
    supplicant = Supplicant(client=site.car, authority=str(site.root), phase1=VERSIONS[version])
    seen = eapol_test(tmp_path, supplicant, port=site.radius.port, secret=site.radius.secret)
    assert seen.admitted, seen.output
    assert (seen.tls_version, seen.resumed, seen.keys_ok) == (version, (False,), 1)


@pytest.mark.parametrize("version", VERSIONS)
def test_a_certificate_nobody_knows_is_refused(site: AuthoritySite, tmp_path: Path, version: str) -> None:
    """The key may be in the DNS: a server that knows authorities alone does not ask."""
    supplicant = Supplicant(client=site.stranger, authority=str(site.root), phase1=VERSIONS[version])
    seen = eapol_test(tmp_path, supplicant, port=site.radius.port, secret=site.radius.secret)
    assert seen.verdict == "refused", seen.output


@pytest.mark.parametrize("phase1", [TLS12 + RESUMING, TLS13])
def test_a_resumed_handshake_is_seen(site: AuthoritySite, tmp_path: Path, phase1: str) -> None:
    supplicant = Supplicant(client=site.car, authority=str(site.root), phase1=phase1)
    seen = eapol_test(tmp_path, supplicant, port=site.radius.port, secret=site.radius.secret, again=1)
    assert seen.admitted, seen.output
    assert (seen.resumed, seen.keys_ok) == ((False, True), 2)


def test_small_fragments_take_more_messages(site: AuthoritySite, tmp_path: Path) -> None:
    challenges = []
    for octets in (200, 1300):
        supplicant = Supplicant(client=site.car, authority=str(site.root), fragment_octets=octets)
        seen = eapol_test(tmp_path, supplicant, port=site.radius.port, secret=site.radius.secret)
        assert seen.admitted, seen.output
        challenges.append(seen.challenges)
    assert challenges[0] > challenges[1]


def test_the_supplicant_believes_one_certificate_when_it_is_told_its_hash(site: AuthoritySite, tmp_path: Path) -> None:
    for server, verdict in ((site.server, "admitted"), (site.car, "refused")):
        supplicant = Supplicant(client=site.car, authority=pinned(server), server=None)
        seen = eapol_test(tmp_path, supplicant, port=site.radius.port, secret=site.radius.secret)
        assert seen.verdict == verdict, seen.output


def test_one_file_holds_certificate_and_key(site: AuthoritySite, tmp_path: Path) -> None:
    """As `dnsbound id new` writes it."""
    both = tmp_path / "car54.pem"
    both.write_bytes(site.car.key.read_bytes() + site.car.certificate.read_bytes())
    supplicant = Supplicant(client=Pem(certificate=both, key=both), authority=str(site.root))
    assert eapol_test(tmp_path, supplicant, port=site.radius.port, secret=site.radius.secret).admitted


@pytest.mark.parametrize("identity", ["@cars.example", CAR])
def test_a_proxy_with_the_files_of_the_examples_hands_devices_on(
    site: AuthoritySite, tmp_path: Path, identity: str
) -> None:
    supplicant = Supplicant(client=site.car, authority=str(site.root), identity=identity)
    with freeradius_proxy(tmp_path / "proxy", home=site.radius.port, secret=site.radius.secret) as proxy:
        seen = eapol_test(tmp_path, supplicant, port=proxy.port, secret=proxy.secret)
        assert seen.admitted, seen.output
        assert "Proxying request" in proxy.daemon.output.read_text()


def test_a_proxy_with_the_files_of_the_examples_keeps_everybody_else(site: AuthoritySite, tmp_path: Path) -> None:
    supplicant = Supplicant(client=site.car, authority=str(site.root), identity="bob@cars.example")
    with freeradius_proxy(tmp_path / "proxy", home=site.radius.port, secret=site.radius.secret) as proxy:
        seen = eapol_test(tmp_path, supplicant, port=proxy.port, secret=proxy.secret)
        assert seen.verdict == "refused", seen.output
        assert "Proxying request" not in proxy.daemon.output.read_text()


def test_one_that_carries_a_load_says_nothing_of_it(tmp_path: Path) -> None:
    with authority_site(tmp_path, talkative=False, threads=2) as quiet:
        supplicant = Supplicant(client=quiet.car, authority=str(quiet.root))
        assert eapol_test(tmp_path, supplicant, port=quiet.radius.port, secret=quiet.radius.secret).admitted
        assert "Access-Request" not in quiet.radius.daemon.output.read_text()


def test_nobody_answers_who_has_another_secret(site: AuthoritySite, tmp_path: Path) -> None:
    supplicant = Supplicant(client=site.car, authority=str(site.root))
    seen = eapol_test(tmp_path, supplicant, port=site.radius.port, secret="another-secret-altogether", seconds=2)
    assert (seen.verdict, seen.reply) == ("silence", ())
