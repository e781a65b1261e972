"""Who comes in with wpa_supplicant's own EAP peer: keys and certificates of every shape, and everybody who must not."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from dnsbound.credential.credential import Credential
from dnsbound.edge.radius_audit import AccessVerdict
from dnsbound.errors import Reason
from dnsbound.testing.faults import Fault
from interop.radius_devices import SHAPES, device_of_shape
from interop.radius_eapol import VERSIONS, Seen, eapol_test
from interop.radius_server import RadiusSite, radius_site

pytestmark = pytest.mark.peer("eapol_test")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RadiusSite]:
    with radius_site(tmp_path_factory.mktemp("site")) as made:
        yield made


def meet(site: RadiusSite, directory: Path, credential: Credential, version: str) -> Seen:
    """One attempt; site.events holds its event alone."""
    site.events.clear()
    supplicant = site.supplicant(credential, phase1=VERSIONS[version])
    return eapol_test(directory, supplicant, port=site.port, secret=site.secret)


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("shape", SHAPES)
def test_a_published_key_is_let_in_whatever_is_around_it(
    site: RadiusSite, tmp_path: Path, shape: str, version: str
) -> None:
    label = f"{shape}-{version[-1]}".replace(" ", "-").lower()
    credential = device_of_shape(site.cars, label, shape, now=time.time())
    seen = meet(site, tmp_path, credential, version)
    assert seen.admitted, seen.output
    assert (seen.tls_version, seen.keys_ok) == (version, 1)
    assert credential.name is not None
    (event,) = site.events
    assert (event.verdict, event.name) == (AccessVerdict.ADMITTED, credential.name.text)


def _stranger(site: RadiusSite) -> Credential:
    return site.stranger.credential


def _wrong_key(site: RadiusSite) -> Credential:
    return site.cars.device("mirrored").renew()


def _revoked(site: RadiusSite) -> Credential:
    device = site.cars.device("sold")
    device.revoke()
    return device.credential


def _never_published(site: RadiusSite) -> Credential:
    return site.cars.device("unheard", publish=False).credential


def _authority_of_others(site: RadiusSite) -> Credential:
    """A chain of the right form under another root than the published one."""
    published = device_of_shape(site.cars, "leased", "under an authority", now=time.time())
    assert published.name is not None
    other, _ = SHAPES["under an authority"](published.name, time.time())
    return other


def _bogus(site: RadiusSite) -> Credential:
    device = site.cars.device("forged")
    site.world.fault(device.name.text, Fault.BOGUS)
    return device.credential


def _unreachable(site: RadiusSite) -> Credential:
    device = site.cars.device("unreachable")
    site.world.fault(device.name.text, Fault.SERVFAIL)
    return device.credential


REFUSED: dict[str, tuple[Callable[[RadiusSite], Credential], AccessVerdict, Reason]] = {
    "a stranger": (_stranger, AccessVerdict.REFUSED, Reason.NOT_PERMITTED),
    "another key": (_wrong_key, AccessVerdict.REFUSED, Reason.TLSA_MISMATCH),
    "a revoked key": (_revoked, AccessVerdict.REFUSED, Reason.NO_TLSA),
    "a key never published": (_never_published, AccessVerdict.REFUSED, Reason.NO_TLSA),
    "another authority": (_authority_of_others, AccessVerdict.REFUSED, Reason.TLSA_MISMATCH),
    "a forged answer": (_bogus, AccessVerdict.UNDECIDED, Reason.BOGUS),
    "no answer": (_unreachable, AccessVerdict.UNDECIDED, Reason.DNS_FAILED),
}


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("who", REFUSED)
def test_everybody_else_is_rejected_and_the_log_says_why(
    site: RadiusSite, tmp_path: Path, who: str, version: str
) -> None:
    made, verdict, reason = REFUSED[who]
    seen = meet(site, tmp_path, made(site), version)
    assert (seen.verdict, seen.keys_ok, seen.tls_version) == ("refused", 0, version), seen.output
    (event,) = site.events
    assert (event.verdict, event.reason, event.reply) == (verdict, reason.value, ()), event


@pytest.mark.parametrize("version", VERSIONS)
def test_the_peer_is_told_by_an_alert_before_the_failure(site: RadiusSite, tmp_path: Path, version: str) -> None:
    seen = meet(site, tmp_path, site.stranger.credential, version)
    alert, failure = seen.output.find("SSL3 alert: read"), seen.output.find("CTRL-EVENT-EAP-FAILURE")
    assert 0 < alert < failure, seen.output
    assert "handshake failure" in seen.output


def test_a_stranger_costs_no_question_to_the_dns(site: RadiusSite, tmp_path: Path) -> None:
    name = site.stranger.name.text
    assert meet(site, tmp_path, site.stranger.credential, "TLSv1.3").verdict == "refused"
    assert site.world.queries_for(name) == ()


@pytest.mark.parametrize("version", VERSIONS)
def test_a_name_whose_zone_is_not_signed_is_rejected(tmp_path: Path, version: str) -> None:
    with radius_site(tmp_path) as site:
        device = site.world.organisation("open.example", signed=False).device("car54")
        site.rewrite("access.toml", '[door."public.isp.example"]\nallow = ["*._device.open.example"]\n')
        seen = meet(site, tmp_path, device.credential, version)
        assert seen.verdict == "refused", seen.output
        (event,) = site.events
        assert (event.verdict, event.reason) == (AccessVerdict.REFUSED, Reason.INSECURE.value)


def test_who_is_undecided_today_is_let_in_when_the_dns_is_back(site: RadiusSite, tmp_path: Path) -> None:
    device = site.cars.device("patient")
    site.world.fault(device.name.text, Fault.SERVFAIL)
    assert meet(site, tmp_path, device.credential, "TLSv1.3").verdict == "refused"
    site.world.heal(device.name.text)
    assert meet(site, tmp_path, device.credential, "TLSv1.3").admitted


def test_a_dns_that_never_answers_ends_in_a_rejection(tmp_path: Path) -> None:
    """In the time that access points wait for."""
    with radius_site(tmp_path) as site:
        site.cars.fault(Fault.DEAD)
        seen = meet(site, tmp_path, site.car.credential, "TLSv1.3")
        assert seen.verdict == "refused", seen.output
        (event,) = site.events
        assert event.verdict is AccessVerdict.UNDECIDED
