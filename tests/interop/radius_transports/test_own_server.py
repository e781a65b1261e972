"""Our RADIUS server over UDP, TLS and DTLS, as `dnsbound eap test` finds it."""

import hashlib
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import dns.name
import dns.rdatatype
import pytest

from dnsbound.credential.association import tlsa_for_certificate
from dnsbound.credential.certificate_facts import spki_of
from dnsbound.credential.credential import Credential, CredentialKind
from dnsbound.credential.keys import KeyAlgorithm
from dnsbound.dns.chain_file import ChainFile
from dnsbound.testing.organisation import Device
from dnsbound.testing.world import World
from interop.eap_trials import credential_file, eap_test, secret_file
from interop.radius_examples import SERVER_NAME
from interop.radius_server import ACCESS, CLIENTS, RadiusSite, radius_site

RADSEC = 'radsec = ["127.0.0.1:0"]\nradsec_dtls = ["127.0.0.1:0"]\n'
ISP = '[client.isp]\nname = "*._device.isp.example"\n'
RADSEC_DOOR = '[door.radsec]\nallow = ["*._device.isp.example"]\n'
EAP_OWNER = f"_1812._tcp.{SERVER_NAME}"

Try = Callable[..., tuple[int, list[dict[str, Any]]]]


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    with World() as made:
        yield made


@pytest.fixture(scope="module")
def own(world: World) -> Credential:
    """The server's, whose records are those of its EAP-TLS and of its ports."""
    return world.web_credential(SERVER_NAME)


@pytest.fixture(scope="module")
def site(world: World, own: Credential, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RadiusSite]:
    directory = tmp_path_factory.mktemp("site")
    isp = world.organisation("isp.example")
    isp.replace(EAP_OWNER, tlsa_for_certificate(own.chain[0]))
    chain = world.chain(EAP_OWNER)
    file = ChainFile.of(chain.octets, dns.name.from_text(EAP_OWNER), dns.rdatatype.TLSA, made=time.time())
    (directory / "radius.chain").write_text(file.to_text())
    with radius_site(
        directory,
        world=world,
        settings=RADSEC + 'chain_file = "radius.chain"\n',
        clients=CLIENTS + ISP,
        access=ACCESS + RADSEC_DOOR,
        credential=own,
    ) as made:
        for port, over in ((radsec_port(made), "_tcp"), (dtls_port(made), "_udp")):
            isp.replace(f"_{port}.{over}.{SERVER_NAME}", tlsa_for_certificate(own.chain[0]))
        yield made


def radsec_port(site: RadiusSite) -> int:
    port: int = site.bound.radsec[0].getsockname()[1]
    return port


def dtls_port(site: RadiusSite) -> int:
    port: int = site.bound.radsec_dtls[0].getsockname()[1]
    return port


@pytest.fixture(scope="module")
def access_point(world: World) -> Device:
    return world.organisation("isp.example").device("ap1")


@pytest.fixture
def trial(site: RadiusSite, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Try:
    """Over UDP, unless the options say otherwise."""

    def tried(*options: object, device: Device | None = None, hop: bool = False) -> tuple[int, list[dict[str, Any]]]:
        pem = credential_file(tmp_path, "device", (device or site.car).credential)
        server = (
            () if hop else ("--server", f"127.0.0.1:{site.port}", "--secret-file", secret_file(tmp_path, site.secret))
        )
        return eap_test(capsys, site.world, "--credential", pem, *server, *options)

    return tried


def by_authority(site: RadiusSite) -> tuple[object, ...]:
    return "--ca", site.root, "--server-name", SERVER_NAME


@pytest.mark.parametrize("raw", [False, True], ids=["certificate", "raw key"])
@pytest.mark.parametrize("version", ["1.2", "1.3"])
def test_a_device_is_admitted_and_told_its_network(site: RadiusSite, trial: Try, version: str, raw: bool) -> None:
    code, [seen] = trial(*by_authority(site), "--tls", version, *(["--raw"] if raw else []))
    assert (code, seen["verdict"]) == (0, "admitted"), seen
    assert (seen["tls"], seen["keys"]) == (f"TLSv{version}", "match")
    assert seen["reply"]["Tunnel-Private-Group-Id"] == "visitors"
    assert seen["reply"]["Session-Timeout"] >= 3600


@pytest.mark.parametrize("algorithm", [KeyAlgorithm.MLDSA44, KeyAlgorithm.MLDSA65, KeyAlgorithm.MLDSA87])
@pytest.mark.parametrize("kind", ["x509", "raw"])
def test_a_device_of_after_the_quantum_computer_is_admitted(
    site: RadiusSite, trial: Try, algorithm: KeyAlgorithm, kind: CredentialKind
) -> None:
    """Its certificate and signature fill many fragments. Supplicants on OpenSSL 3.0 have no such keys."""
    device = site.cars.device(f"{algorithm}-{kind}", algorithm=algorithm, kind=kind)
    code, [seen] = trial(*by_authority(site), "--tls", "1.3", device=device)
    assert (code, seen["verdict"], seen["keys"]) == (0, "admitted", "match"), seen


def test_each_network_by_its_ssid(site: RadiusSite, trial: Try) -> None:
    code, [seen] = trial(*by_authority(site), "--ssid", "staff")
    assert code == 0
    assert seen["reply"]["Tunnel-Private-Group-Id"] == "12"


def test_a_device_that_is_on_no_list_is_refused(site: RadiusSite, trial: Try) -> None:
    code, [seen] = trial(*by_authority(site), device=site.stranger)
    assert (code, seen["verdict"]) == (1, "refused"), seen


def test_the_server_is_believed_by_its_records(site: RadiusSite, trial: Try) -> None:
    code, [seen] = trial("--server-tlsa", SERVER_NAME)
    assert (code, seen["verdict"]) == (0, "admitted"), seen
    assert seen["server"]["believed_by"].startswith("TLSA 3 1 1 ")


def test_the_server_is_believed_by_the_chain_it_shows(site: RadiusSite, trial: Try) -> None:
    """A device has no DNS before it is let in: nobody is asked here."""
    before = len(site.world.queries)
    code, [seen] = trial("--server-chain", SERVER_NAME, "--raw")
    assert (code, seen["verdict"]) == (0, "admitted"), seen
    assert seen["server"]["believed_by"].endswith(f" of {SERVER_NAME}")
    asked = [query.name for query in list(site.world.queries)[before:]]
    assert not any("_1812" in str(name) for name in asked)


@pytest.mark.parametrize(
    ("way", "verdict"), [("--server-tlsa", (1, "not-believed")), ("--server-chain", (3, "undecided"))]
)
def test_another_servers_name_is_not_believed(site: RadiusSite, trial: Try, way: str, verdict: tuple[int, str]) -> None:
    """Its records are another's; and of that name the server has no chain to show, which proves nothing."""
    other = site.world.organisation("isp.example")
    other.replace("_1812._tcp.other.isp.example", tlsa_for_certificate(site.car.credential.chain[0]))
    code, [seen] = trial(way, "other.isp.example")
    assert (code, seen["verdict"]) == verdict, seen


@pytest.mark.parametrize("belief", ["ca", "tlsa", "pin"])
@pytest.mark.parametrize("over", ["--radsec", "--dtls"])
def test_access_points_over_tls_and_dtls(  # noqa: PLR0917 (fixtures)
    site: RadiusSite, own: Credential, trial: Try, tmp_path: Path, access_point: Device, over: str, belief: str
) -> None:
    port = radsec_port(site) if over == "--radsec" else dtls_port(site)
    hop_pem = credential_file(tmp_path, "ap1", access_point.credential)
    believed: tuple[object, ...] = {
        "ca": ("--hop-ca", site.root),
        "tlsa": ("--hop-tlsa",),
        "pin": ("--hop-pin", hashlib.sha256(spki_of(own.chain[0])).hexdigest()),
    }[belief]
    way = ("--server", f"127.0.0.1:{port}", over, "--hop-credential", hop_pem, "--hop-name", SERVER_NAME)
    code, [seen] = trial(*way, *believed, *by_authority(site), hop=True)
    assert (code, seen["verdict"], seen["keys"]) == (0, "admitted", "match"), seen
    assert site.events[-1].client == "isp"


def test_an_access_point_that_is_not_on_the_list_is_no_client(site: RadiusSite, trial: Try, tmp_path: Path) -> None:
    pem = credential_file(tmp_path, "no-ap", site.stranger.credential)
    way = ("--server", f"127.0.0.1:{radsec_port(site)}", "--radsec", "--hop-credential", pem)
    code, [seen] = trial(*way, "--hop-name", SERVER_NAME, "--hop-ca", site.root, *by_authority(site), hop=True)
    assert (code, seen["verdict"]) == (3, "no-answer"), seen


def test_one_after_the_other(site: RadiusSite, trial: Try) -> None:
    code, seen = trial(*by_authority(site), "--repeat", 20)
    assert code == 0
    assert [each["verdict"] for each in seen] == ["admitted"] * 20
