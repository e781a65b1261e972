"""Signed objects in a world of their own: who signs for whom, by which records, and what Mallory tries.

Each defect found in earlier tools for signatures by DANE is a test here (JO-01 to JO-12, JO-22, JO-23).
"""

import base64
import json
import time
from collections.abc import Iterator

import pytest

from dnsbound.credential.credential import Credential
from dnsbound.credential.issuer import CertificateAuthority
from dnsbound.credential.keys import KeyAlgorithm
from dnsbound.credential.matching import MatchPolicy
from dnsbound.edge.object_verifier import ObjectVerifier
from dnsbound.errors import DnsboundError, Malformed, Reason, Refused, Undecided
from dnsbound.iana import MatchingType, Selector, Usage
from dnsbound.objects import jose
from dnsbound.records.tlsa import TLSA
from dnsbound.testing import World
from dnsbound.testing.faults import Fault
from dnsbound.testing.organisation import Organisation
from unit.objects.forged import header, text, token

REPORT = b'{"from":"car54._device.cars.example","km":12}'


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    with World() as made:
        yield made


@pytest.fixture(scope="module")
def cars(world: World) -> Organisation:
    return world.organisation("cars.example")


def identity(label: str, algorithm: KeyAlgorithm = KeyAlgorithm.P256) -> Credential:
    return Credential.generate(f"{label}._device.cars.example", now=time.time(), algorithm=algorithm)


def name(credential: Credential) -> str:
    assert credential.name is not None
    return credential.name.text


def verify(world: World, made: str, *expected: str, policy: MatchPolicy | None = None) -> str:
    """Who signed it, of those who are expected."""
    options = {} if policy is None else {"policy": policy}
    verifier = ObjectVerifier.expecting(expected, world.resolver(), **options)
    return verifier.verify_blocking(jose.parse(made, typ=None)).name.text


def reason(world: World, made: str, *expected: str, policy: MatchPolicy | None = None) -> Reason:
    with pytest.raises((Refused, Undecided)) as caught:
        verify(world, made, *expected, policy=policy)
    return caught.value.reason


def test_jo_01_two_records_are_a_rollover(world: World, cars: Organisation) -> None:
    old, new = identity("roll1"), identity("roll1")
    cars.publish(name(old), old.tlsa(), new.tlsa())
    for credential in (old, new):
        assert verify(world, jose.sign(REPORT, credential), name(old)) == name(old)
    full = [credential.tlsa(matching_type=MatchingType.FULL) for credential in (old, new)]
    cars.publish("roll2._device.cars.example", *full)
    for credential in (old, new):
        renamed = Credential.from_pem(credential.to_pem(), name="roll2._device.cars.example")
        assert verify(world, jose.sign(REPORT, renamed, key_in_band=False), name(renamed)) == name(renamed)


@pytest.mark.parametrize("matching_type", list(MatchingType))
@pytest.mark.parametrize("selector", list(Selector))
def test_jo_02_every_form_of_usage_3(
    world: World, cars: Organisation, selector: Selector, matching_type: MatchingType
) -> None:
    car = identity(f"form{selector}{matching_type}")
    cars.publish(name(car), car.tlsa(selector=selector, matching_type=matching_type))
    assert verify(world, jose.sign(REPORT, car), name(car)) == name(car)
    bare = jose.sign(REPORT, car, key_in_band=False)
    if matching_type is MatchingType.FULL:
        assert verify(world, bare, name(car)) == name(car)
    else:
        assert reason(world, bare, name(car)) is Reason.NO_KEY


def test_jo_03_what_3_1_0_publishes_is_the_key_and_no_certificate() -> None:
    car = identity("full")
    record = car.tlsa(Usage.DANE_EE, Selector.SPKI, MatchingType.FULL)
    assert record.data == car.spki == jose.spki_of_jwk(jose.jwk_of(record.data))
    assert car.tlsa(Usage.DANE_EE, Selector.CERT, MatchingType.FULL).data == car.chain[0]


def test_jo_04_mallory_signs_as_himself_and_says_he_is_another(world: World, cars: Organisation) -> None:
    car, mallory = identity("car54"), identity("mallory")
    cars.publish(name(car), car.tlsa())
    cars.publish(name(mallory), mallory.tlsa())
    made = jose.sign(REPORT, mallory)
    assert reason(world, made, name(car)) is Reason.NOT_PERMITTED
    assert verify(world, made, name(car), name(mallory)) == name(mallory), "whoever lets both in is told who it was"
    as_car = token(mallory, header(mallory, kid=name(car)), REPORT)
    assert reason(world, as_car, name(car)) is Reason.TLSA_MISMATCH
    keyless = token(mallory, header(mallory, kid=name(car), jwk=None), REPORT)
    cars.publish("full54._device.cars.example", car.tlsa(matching_type=MatchingType.FULL))
    assert reason(world, keyless, name(car)) is Reason.NO_KEY
    keyless = token(mallory, header(mallory, kid="full54._device.cars.example", jwk=None), REPORT)
    assert reason(world, keyless, "full54._device.cars.example") is Reason.BAD_SIGNATURE
    shows_car = token(mallory, header(mallory, kid=name(car), jwk=jose.jwk_of(car.spki)), REPORT)
    assert reason(world, shows_car, name(car)) is Reason.BAD_SIGNATURE


def test_jo_07_nobody_is_asked_about_strangers_and_junk(world: World, cars: Organisation) -> None:
    car = identity("quiet")
    cars.publish(name(car), car.tlsa())
    good = jose.sign(REPORT, car)
    first, _, last = good.split(".")
    changed = f"{first}.{text(b'{}')}.{last}"
    before = len(world.queries.snapshot())
    assert reason(world, good, "car54._device.cars.example") is Reason.NOT_PERMITTED
    assert reason(world, changed, name(car)) is Reason.BAD_SIGNATURE
    assert len(world.queries.snapshot()) == before


def test_jo_08_a_silent_dns_is_undecided_in_time(world: World) -> None:
    silent = world.organisation("silent.example")
    car = Credential.generate("car1._device.silent.example", now=time.time())
    silent.publish(name(car), car.tlsa())
    silent.fault(Fault.DEAD)
    verifier = ObjectVerifier.expecting([name(car)], world.resolver(), deadline=0.5)
    with pytest.raises(Undecided) as caught:
        verifier.verify_blocking(jose.parse(jose.sign(REPORT, car), typ=None))
    assert caught.value.reason is Reason.DNS_FAILED
    silent.heal()


@pytest.mark.parametrize(("fault", "expected"), [(Fault.BOGUS, Reason.BOGUS), (Fault.SERVFAIL, Reason.DNS_FAILED)])
def test_jo_09_what_cannot_be_proved_is_undecided(world: World, fault: Fault, expected: Reason) -> None:
    broken = world.organisation(f"{fault.name.lower()}.example")
    car = Credential.generate(f"car1._device.{broken.name}", now=time.time())
    broken.publish(name(car), car.tlsa())
    broken.fault(fault)
    assert reason(world, jose.sign(REPORT, car), name(car)) is expected


def test_jo_09_an_unsigned_zone_signs_nothing(world: World) -> None:
    plain = world.organisation("plain.example", signed=False)
    car = Credential.generate("car1._device.plain.example", now=time.time())
    plain.publish(name(car), car.tlsa())
    assert reason(world, jose.sign(REPORT, car), name(car)) is Reason.INSECURE


def test_jo_10_usages_are_not_each_other(world: World, cars: Organisation) -> None:
    now = time.time()
    authority = CertificateAuthority.create("objects", now=now)
    car = authority.issue("usage._device.cars.example", now=now)
    made = jose.sign(REPORT, car)
    key = car.spki
    for record in (
        TLSA(1, 1, 0, key),
        TLSA(4, 0, 0, car.chain[0]),
        TLSA(4, 1, 0, key),
        TLSA(255, 1, 0, key),
        authority.tlsa(),
    ):
        cars.publish(name(car), record)
        assert reason(world, made, name(car)) is Reason.TLSA_UNUSABLE
        assert reason(world, jose.sign(REPORT, car, key_in_band=False), name(car)) is Reason.NO_KEY
        cars.remove(name(car))
    cars.publish(name(car), authority.tlsa())
    assert verify(world, made, name(car), policy=MatchPolicy()) == name(car)


def test_jo_11_a_record_that_cannot_be_used_hides_no_other(world: World, cars: Organisation) -> None:
    car = identity("odd")
    cars.publish(name(car), TLSA(3, 1, 9, b"x"), TLSA(3, 7, 1, b"x" * 32), TLSA(9, 1, 1, b"x" * 32), car.tlsa())
    assert verify(world, jose.sign(REPORT, car), name(car)) == name(car)
    other = identity("odder")
    cars.publish(name(other), TLSA(3, 1, 0, b"no key"), other.tlsa(matching_type=MatchingType.FULL))
    assert verify(world, jose.sign(REPORT, other, key_in_band=False), name(other)) == name(other)


def test_jo_12_a_token_is_for_somebody_and_for_a_time(world: World, cars: Organisation) -> None:
    car = identity("clock")
    cars.publish(name(car), car.tlsa())
    now = time.time()
    made = jose.sign_jwt({"aud": "gov.example", "km": 12}, car, now=now, lifetime=60)
    verifier = ObjectVerifier.expecting([name(car)], world.resolver())
    signed = jose.parse_jwt(made, now=now, audience="gov.example")
    assert verifier.verify_blocking(signed).content.members["km"] == 12
    for moment, audience, expected in (
        (now, "other.example", Reason.WRONG_AUDIENCE),
        (now + 200, "gov.example", Reason.STALE),
        (now - 200, "gov.example", Reason.STALE),
    ):
        with pytest.raises(Refused) as caught:
            jose.parse_jwt(made, now=moment, audience=audience)
        assert caught.value.reason is expected


def test_jo_19_the_issuer_is_the_signer(cars: Organisation) -> None:
    car = identity("issuer")
    claims = json.dumps({"iss": "car54._device.cars.example", "exp": time.time() + 60}).encode()
    with pytest.raises(Malformed):
        jose.parse_jwt(token(car, header(car, typ="JWT"), claims), now=time.time(), audience=None)


def test_jo_22_the_key_in_band_is_in_the_records(world: World, cars: Organisation) -> None:
    car, other = identity("band"), identity("band")
    cars.publish(name(car), car.tlsa())
    for credential in (other, other.as_raw_key()):
        assert reason(world, jose.sign(REPORT, credential), name(car)) is Reason.TLSA_MISMATCH
    assert verify(world, jose.sign(REPORT, car.as_raw_key()), name(car)) == name(car)


def test_jo_23_an_alias_counts_when_every_link_is_signed(world: World, cars: Organisation) -> None:
    plain, car = world.organisation("unsigned.example", signed=False), identity("target")
    cars.publish(name(car), car.tlsa())
    cars.cname("leased._device.cars.example", name(car))
    plain.cname("leased._device.unsigned.example", name(car))
    leased = Credential.from_pem(car.to_pem(), name="leased._device.cars.example")
    assert verify(world, jose.sign(REPORT, leased), name(leased)) == name(leased), "the name stays the one that signed"
    stolen = Credential.from_pem(car.to_pem(), name="leased._device.unsigned.example")
    assert reason(world, jose.sign(REPORT, stolen), name(stolen)) is Reason.INSECURE


def test_jo_23_a_wildcard_signs_for_nobody(world: World, cars: Organisation) -> None:
    thief = Credential.generate("any._wild.cars.example", now=time.time())
    full = thief.tlsa(matching_type=MatchingType.FULL)
    cars.publish("*._wild.cars.example", full, danger_one_key_for_all_names=True)
    for in_band in (True, False):
        made = jose.sign(REPORT, thief, key_in_band=in_band)
        assert reason(world, made, name(thief)) is Reason.WILDCARD_KEY


def test_jo_26_tokens_of_earlier_tools_are_taken(world: World, cars: Organisation) -> None:
    """RS256, flattened, x5u alone with the name where a server would stand, the certificate in the DNS."""
    car = identity("valimail", KeyAlgorithm.RSA2048)
    cars.publish(name(car), car.tlsa(selector=Selector.CERT, matching_type=MatchingType.FULL))
    protected = {"alg": "RS256", "x5u": f"dns://{name(car)}?type=TLSA"}
    first, payload, last = token(car, protected, REPORT).split(".")
    made = json.dumps({"payload": payload, "protected": first, "signature": last})
    [signed] = jose.parse_json(made, typ=None, algorithms={"RS256"})
    verifier = ObjectVerifier.expecting([name(car)], world.resolver())
    assert verifier.verify_blocking(signed).payload == REPORT
    moved = json.dumps({"payload": payload, "protected": text({"alg": "RS256"}), "header": {"x5u": protected["x5u"]}})
    with pytest.raises(DnsboundError):
        jose.parse_json(moved, typ=None)
    assert base64.urlsafe_b64decode(first + "==") == json.dumps(protected).encode()


@pytest.mark.parametrize("kind", [KeyAlgorithm.MLDSA44, KeyAlgorithm.MLDSA65, KeyAlgorithm.MLDSA87])
def test_jo_27_post_quantum_keys_sign(world: World, cars: Organisation, kind: KeyAlgorithm) -> None:
    car = identity(kind.value.replace("-", ""), kind)
    cars.publish(name(car), car.tlsa())
    cars.publish(f"full-{name(car)}", car.tlsa(matching_type=MatchingType.FULL))
    assert verify(world, jose.sign(REPORT, car), name(car)) == name(car)
    assert verify(world, jose.sign(REPORT, car.as_raw_key()), name(car)) == name(car)
    full = Credential.from_pem(car.to_pem(), name=f"full-{name(car)}")
    assert verify(world, jose.sign(REPORT, full, key_in_band=False), name(full)) == name(full)
