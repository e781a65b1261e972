"""What EST puts into HTTP, and what is none of it."""

import base64

import pytest

from dnsbound.adapters.est import STATUS_FOR_REFUSAL
from dnsbound.adapters.est_limits import EnrolmentLimits
from dnsbound.credential.credential import Credential
from dnsbound.errors import LimitExceeded, Malformed
from dnsbound.provision.enrolment import est_messages as wire
from dnsbound.provision.enrolment.est_messages import BasicCredentials
from dnsbound.provision.enrolment.refusal import STRANGERS, Because

NOW = 1_795_000_000.0


def test_bodies_with_and_without_line_breaks() -> None:
    octets = bytes(range(256)) * 3
    lines = wire.to_base64(octets)
    assert max(map(len, lines.split(b"\n"))) == 64
    for body in (lines, base64.b64encode(octets), lines.replace(b"\n", b"\r\n"), b" \t" + lines):
        assert wire.from_base64(body) == octets


@pytest.mark.parametrize(
    "body", [b"!", b"a", b"ab=c", "é".encode(), b"-----BEGIN CERTIFICATE REQUEST-----", b"A" * 2**21]
)
def test_what_is_not_base64(body: bytes) -> None:
    with pytest.raises(Malformed):
        wire.from_base64(body)


def test_a_private_key_in_a_body_is_told_and_not_repeated() -> None:
    pem = Credential.generate("a._device.cars.example", now=NOW).to_pem()
    with pytest.raises(Malformed, match="nobody but the device") as caught:
        wire.from_base64(pem)
    assert pem.decode()[60:90] not in str(caught.value)


def test_certificates_go_through_pkcs7_and_come_back() -> None:
    chains = [Credential.generate(f"a{number}.cars.example", now=NOW).chain[0] for number in range(2)]
    assert sorted(wire.certificates_of(wire.certs_only(chains))) == sorted(chains)
    for octets in (b"", b"\x30\x00", chains[0]):
        with pytest.raises(Malformed):
            wire.certificates_of(octets)


def test_basic_credentials() -> None:
    made = BasicCredentials(user="a.cars.example", password="dnsbound-enrol-x:y")
    assert BasicCredentials.parse([made.to_text()]) == made
    assert BasicCredentials.parse([made.to_text().replace("Basic", "bASIC")]) == made
    assert made.password not in repr(made)
    assert BasicCredentials.parse([]) is None
    assert BasicCredentials.parse(["Bearer x"]) is None
    nocolon = base64.b64encode(b"nocolon").decode()
    for values in (["Basic !"], [f"Basic {nocolon}"], ["Basic /w=="], [made.to_text(), made.to_text()]):
        with pytest.raises(Malformed):
            BasicCredentials.parse(values)


def test_the_attributes_are_der() -> None:
    for linking in (False, True):
        octets = wire.wanted_attributes(linking=linking)
        assert octets[0] == 0x30
        assert octets[1] == len(octets) - 2
        assert (bytes.fromhex("2a864886f70d010907") in octets) is linking


def test_every_refusal_has_a_status_and_strangers_have_one() -> None:
    assert set(STATUS_FOR_REFUSAL) == set(Because)
    assert {STATUS_FOR_REFUSAL[because] for because in STRANGERS} == {401}


def test_one_source_is_bounded_and_another_is_not() -> None:
    limits = EnrolmentLimits(requests=3, failures=2, at_once=4)
    for _ in range(3):
        with limits.request("192.0.2.1", now=NOW):
            pass
    with pytest.raises(LimitExceeded, match="enrolment-requests"), limits.request("192.0.2.1", now=NOW):
        pass
    with limits.request("192.0.2.2", now=NOW):
        pass
    with limits.request("192.0.2.1", now=NOW + 60):
        pass


def test_guesses_are_bounded_by_source() -> None:
    limits = EnrolmentLimits(failures=2)
    for _ in range(2):
        with limits.request("2001:db8::1", now=NOW):
            limits.failed("2001:db8::1", now=NOW)
    with pytest.raises(LimitExceeded, match="enrolment-failures"), limits.request("2001:db8::2", now=NOW):
        pass
    with limits.request("2001:db8:0:1::1", now=NOW):
        pass


def _may_ask(limits: EnrolmentLimits, source: str) -> bool:
    try:
        with limits.request(source, now=NOW):
            return True
    except LimitExceeded:
        return False


def test_what_is_under_way_is_bounded_for_one_and_for_all() -> None:
    limits = EnrolmentLimits(at_once=4)
    with limits.request("a", now=NOW):
        assert not _may_ask(limits, "a")
        with limits.request("b", now=NOW), limits.request("c", now=NOW):
            assert _may_ask(limits, "d")
            with limits.request("d", now=NOW):
                assert not _may_ask(limits, "e")
    assert _may_ask(limits, "a")
