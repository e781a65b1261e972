"""What the DNS publishes about names, mailboxes and users, and what each record is good for."""

import asyncio
import json
from base64 import b64encode
from collections.abc import Iterator
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import x25519
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from dnsbound import Malformed, Reason
from dnsbound.cli.app import run
from dnsbound.credential.credential import Credential
from dnsbound.credential.issuer import CertificateAuthority
from dnsbound.credential.keys import KeyAlgorithm
from dnsbound.edge.discovery import discover, discover_blocking, subject_of
from dnsbound.iana import MatchingType, Selector, Usage
from dnsbound.names import ClientName, MailboxName
from dnsbound.records import openpgpkey, smimea
from dnsbound.records.tlsa import BLOCK, TLSA
from dnsbound.testing import World
from dnsbound.testing.faults import Fault
from dnsbound.testing.organisation import Organisation
from dnsbound.verify.discovered import Found, Published, Use

LOG_IN, VERIFY, ENCRYPT, VOUCH = Use.LOG_IN, Use.VERIFY, Use.ENCRYPT, Use.VOUCH
ANN = MailboxName.parse("ann@cars.example")


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    with World() as made:
        yield made


@pytest.fixture
def cars(world: World) -> Organisation:
    return world.organisation("cars.example")


def found(world: World, text: str) -> tuple[Found, ...]:
    return discover_blocking(subject_of(text), world.resolver())


def records(world: World, text: str) -> tuple[Published, ...]:
    (place,) = found(world, text)
    return place.records


def spki(algorithm: KeyAlgorithm) -> bytes:
    return Credential.generate("a.cars.example", now=1.8e9, algorithm=algorithm, kind="raw").spki


X25519 = x25519.X25519PrivateKey.generate().public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


@pytest.mark.parametrize(
    ("key", "algorithm", "uses"),
    [
        (spki(KeyAlgorithm.P256), "P-256", (LOG_IN, VERIFY, ENCRYPT)),
        (spki(KeyAlgorithm.ED25519), "Ed25519", (LOG_IN, VERIFY)),
        (spki(KeyAlgorithm.RSA2048), "RSA-2048", (LOG_IN, VERIFY, ENCRYPT)),
        (spki(KeyAlgorithm.MLDSA44), "ML-DSA-44", (LOG_IN, VERIFY)),
        (X25519, "X25519", (ENCRYPT,)),
    ],
    ids=["p256", "ed25519", "rsa2048", "ml-dsa-44", "x25519"],  # of the octets they would differ between processes
)
def test_di_05_a_whole_key_says_what_it_may_do(
    world: World, cars: Organisation, key: bytes, algorithm: str, uses: tuple[Use, ...]
) -> None:
    cars.publish(f"{algorithm}.keys", TLSA(3, 1, 0, key))
    (record,) = records(world, f"{algorithm}.keys.cars.example")
    assert (record.what, record.algorithm, record.uses, record.needs_key) == ("key", algorithm, uses, False)


def test_di_05_a_certificate_says_it_by_its_key_usage(world: World, cars: Organisation) -> None:
    car = cars.device("whole", publish=False)
    car.publish(Usage.DANE_EE, Selector.CERT, MatchingType.FULL)
    (record,) = records(world, car.name.text)
    assert (record.what, record.algorithm, record.uses) == ("certificate", "P-256", (LOG_IN, VERIFY))


def test_di_05_a_digest_needs_the_key_from_elsewhere(world: World, cars: Organisation) -> None:
    car = cars.device("car54")
    (record,) = records(world, car.name.text)
    assert (record.what, record.algorithm, record.needs_key) == ("digest of a key", "", True)
    assert record.uses == (LOG_IN, VERIFY, ENCRYPT)


@pytest.mark.parametrize(
    ("label", "record", "what"),
    [
        ("block", BLOCK, "a block"),
        ("four", TLSA(4, 0, 0, b"certificate"), "unusable"),
        ("one", TLSA(1, 1, 1, bytes(range(32))), "digest of a key"),
        ("zero", TLSA(0, 0, 1, bytes(range(32))), "digest of a certificate of an authority"),
        ("junk", TLSA(3, 1, 0, b"no key"), "key"),
        ("cert", TLSA(3, 0, 0, b"no certificate"), "certificate"),
        ("anchor", TLSA(2, 0, 0, b"no certificate"), "certificate of an authority"),
    ],
)
def test_di_05_what_is_good_for_nothing_says_why(
    world: World, cars: Organisation, label: str, record: TLSA, what: str
) -> None:
    cars.publish(f"{label}.none", record)
    (place,) = found(world, f"{label}.none.cars.example")
    (shown,) = place.records
    assert (shown.what, shown.uses) == (what, ())
    assert shown.why
    assert place.reason is Reason.TLSA_UNUSABLE


def test_di_06_an_authority_at_a_wildcard_vouches_for_devices(world: World) -> None:
    trucks = world.organisation("trucks.example")
    authority = CertificateAuthority.create("Trucks", now=world.now())
    key = Credential.generate("truck1._device.trucks.example", now=world.now())
    trucks.publish("*._device", authority.tlsa())
    trucks.publish("*._device", key.tlsa(), danger_one_key_for_all_names=True)
    (place,) = found(world, "truck1._device.trucks.example")
    assert place.answer.wildcard
    by_what = {record.what: record for record in place.records}
    assert by_what["digest of a certificate of an authority"].uses == (VOUCH,)
    assert by_what["digest of a key"].uses == ()
    whole = CertificateAuthority.create("Lorries", now=world.now())
    trucks.publish("lorry1", whole.tlsa(Selector.SPKI, MatchingType.FULL))
    (shown,) = records(world, "lorry1.trucks.example")
    assert (shown.algorithm, shown.uses, shown.needs_key) == ("P-256", (VOUCH,), False)


def test_di_07_a_mailbox_has_smimea_openpgpkey_and_the_users_authority(world: World, cars: Organisation) -> None:
    ann = Credential.generate("ann.cars.example", now=world.now())
    record = ann.tlsa(Usage.DANE_EE, Selector.SPKI, MatchingType.FULL)
    cars.publish(smimea.owner_of(ANN), f"SMIMEA {record.to_text()}")
    cars.publish(openpgpkey.owner_of(ANN), f"OPENPGPKEY {b64encode(b'an OpenPGP key').decode()}")
    cars.publish("_user", CertificateAuthority.create("Users", now=world.now()).tlsa())
    mail, pgp, users = found(world, "ann@cars.example")
    assert [place.place.rdtype.name for place in (mail, pgp, users)] == ["SMIMEA", "OPENPGPKEY", "TLSA"]
    assert mail.records[0].uses == (VERIFY, ENCRYPT)
    assert pgp.records[0].what == "OpenPGP key"
    assert users.place.owner == "_user.cars.example"
    assert users.records[0].uses == (VOUCH,)
    digest = "5d7f15f2fce8ddb2dbef5c38be896c238ba7e0a432e396759030a853"
    assert smimea.owner_of(MailboxName.parse("chris@example.com")) == f"{digest}._smimecert.example.com"


def test_di_07_one_key_at_a_users_name_is_all_users_and_none(world: World) -> None:
    vans = world.organisation("vans.example")
    vans.publish("_user", Credential.generate("a.vans.example", now=world.now()).tlsa())
    (place,) = found(world, "_user.vans.example")
    assert place.records[0].uses == ()


@pytest.mark.parametrize(
    "text",
    [
        "dns:car54._device.cars.example?type=TLSA",
        "DNS:///car54._device.cars.example?TYPE=tlsa;CLASS=in",
        "dns://car54._device.cars.example?type=TLSA",
        "car54._device.cars.example.",
    ],
)
def test_di_08_a_dns_uri_names_whom_it_names(text: str) -> None:
    assert subject_of(text) == ClientName.parse("car54._device.cars.example")


@pytest.mark.parametrize(
    "text",
    [
        "dns://192.0.2.1/car54._device.cars.example?type=TLSA",
        "dns://ns.evil.example/car54._device.cars.example?type=TLSA",
        "dns:car54._device.cars.example",
        "dns:car54._device.cars.example?type=A",
        "dns:?type=TLSA",
        "ann@",
        "@cars.example",
        "ann bob@cars.example",
        "localhost",
        "",
    ],
)
def test_di_08_a_server_in_a_uri_and_what_names_nobody_are_malformed(text: str) -> None:
    with pytest.raises(Malformed):
        subject_of(text)


@pytest.mark.parametrize(
    ("fault", "reason"), [(Fault.SERVFAIL, Reason.DNS_FAILED), (Fault.EXPIRED, Reason.BOGUS), (None, Reason.NO_TLSA)]
)
def test_di_09_only_secure_records_count(world: World, cars: Organisation, fault: Fault | None, reason: Reason) -> None:
    name = f"state-{reason}.cars.example"
    if fault is not None:
        cars.publish(name, BLOCK)
        world.fault(name, fault)
    (place,) = asyncio.run(discover(subject_of(name), world.resolver(), deadline=2.0))
    world.heal()
    assert (place.reason, place.records) == (reason, ())


def test_di_09_a_zone_that_is_not_signed_publishes_nothing(world: World) -> None:
    world.organisation("plain.example", signed=False).device("car1")
    (place,) = found(world, "car1._device.plain.example")
    assert (place.reason, place.records) == (Reason.INSECURE, ())


# --- the command


@pytest.fixture
def dnsbound(world: World, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Any:
    for name, value in world.trust_env().items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "300")

    def ran(*arguments: str) -> tuple[int, str, str]:
        capsys.readouterr()
        code = run(list(arguments))
        streams = capsys.readouterr()
        return code, streams.out, streams.err

    return ran


def test_the_command_says_what_is_there(dnsbound: Any, cars: Organisation) -> None:
    car = cars.device("told")
    code, out, _ = dnsbound("discover", f"dns:{car.name}?type=TLSA", "--json")
    facts = json.loads(out)
    assert (code, facts["outcome"], facts["subject"]) == (0, "yes", car.name.text)
    (place,) = facts["places"]
    assert (place["owner"], place["type"], place["security"], place["reason"]) == (
        car.name.text,
        "TLSA",
        "secure",
        None,
    )
    assert place["records"][0]["record"] == car.record.to_text()
    assert place["records"][0]["uses"] == ["log in", "verify signatures", "encrypt"]
    code, out, _ = dnsbound("discover", car.name.text)
    assert code == 0
    assert "digest of a key: log in, verify signatures, encrypt, with the key from elsewhere" in out


def test_the_command_has_four_ends(dnsbound: Any, world: World, cars: Organisation) -> None:
    assert dnsbound("discover", "nobody.cars.example")[0] == 1
    code, out, _ = dnsbound("discover", "nobody@cars.example", "--json")
    assert {place["reason"] for place in json.loads(out)["places"]} <= {"no-tlsa", None}
    for wrong in ("dns://192.0.2.1/a.b.example?type=TLSA", "nobody", "a b@cars.example"):
        code, out, err = dnsbound("discover", wrong)
        assert (code, out, err.count("\n")) == (2, "", 1)
    car = cars.device("silent")
    world.fault(car.name.text, Fault.SERVFAIL)
    code, out, _ = dnsbound("discover", car.name.text, "--json", "--timeout", "2")
    world.heal()
    assert (code, json.loads(out)["outcome"]) == (3, "undecided")
