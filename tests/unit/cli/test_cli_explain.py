"""`dnsbound match` and `dnsbound explain` on World: each outcome, its reason and its exit code."""

import json
import shutil
import subprocess

import pytest

from dnsbound.credential.credential import Credential
from dnsbound.errors import Reason
from dnsbound.testing.faults import Fault


@pytest.fixture
def cars(in_world):
    return in_world.organisation("cars.example")


@pytest.fixture
def car(cars, request):
    """A fresh device for each test: caches and faults of others do not matter."""
    return cars.device(f"car-{abs(hash(request.node.nodeid)) % 10**9}")


@pytest.fixture
def certificate(car, tmp_path):
    path = tmp_path / "certificate.pem"
    path.write_bytes(car.credential.to_pem().partition(b"-----END PRIVATE KEY-----\n")[2])
    return path


@pytest.fixture
def stranger(car, tmp_path):
    path = tmp_path / "stranger.pem"
    path.write_bytes(Credential.generate(car.name, now=1_800_000_000).to_pem())
    return path


def told(ran):
    facts = json.loads(ran.out)
    return ran.code, facts["outcome"], facts["reason"]


def test_a_match_proves_no_possession(dnsbound, car, certificate):
    ran = dnsbound("match", car.name.text, "--cert", certificate)
    assert (ran.code, ran.lines[-1]) == (0, "the record matches; possession not proved")
    facts = json.loads(dnsbound("match", car.name.text, "--cert", certificate, "--json").out)
    assert (facts["outcome"], facts["reason"], facts["possession"]) == ("yes", None, "possession not proved")
    assert [record["state"] for record in facts["records"]] == ["matched"]
    assert facts["security"] == "secure"


def test_another_key_does_not_match(dnsbound, car, stranger):
    ran = dnsbound("match", car.name.text, "--cert", stranger, "--json")
    assert told(ran) == (1, "no", Reason.TLSA_MISMATCH)
    assert "possession" not in dnsbound("match", car.name.text, "--cert", stranger).out


def test_bare_keys(dnsbound, cars, tmp_path):
    robot = cars.device("robot1", kind="raw")
    path = tmp_path / "key.pem"
    path.write_bytes(robot.credential.to_pem())
    assert dnsbound("match", robot.name.text, "--cert", path).code == 0


def test_every_record_gets_a_result(dnsbound, cars, car, certificate):
    cars.publish(car.name.text, f"TLSA 3 1 1 {'ab' * 32}", f"TLSA 9 1 1 {'00' * 32}", f"TLSA 1 1 1 {'ab' * 32}")
    ran = dnsbound("match", car.name.text, "--cert", certificate, "--json")
    assert told(ran) == (0, "yes", None)
    states = sorted(record["state"] for record in json.loads(ran.out)["records"])
    assert states == ["matched", "mismatch", "unusable", "unusable"]


def test_never_published_or_revoked(dnsbound, car, certificate):
    car.revoke()
    ran = dnsbound("match", car.name.text, "--cert", certificate, "--json")
    assert told(ran) == (1, "no", Reason.NO_TLSA)


def test_an_unsigned_zone(dnsbound, in_world, certificate):
    plain = in_world.organisation("plain.example", signed=False)
    device = plain.device("car1")
    ran = dnsbound("explain", device.name.text, "--json")
    assert told(ran) == (1, "no", Reason.INSECURE)
    assert [record["state"] for record in json.loads(ran.out)["records"]] == ["not believed"]


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        (Fault.BOGUS, Reason.BOGUS),
        (Fault.EXPIRED, Reason.BOGUS),
        (Fault.STRIPPED, Reason.BOGUS),
        (Fault.SERVFAIL, Reason.DNS_FAILED),
        (Fault.DEAD, Reason.DNS_FAILED),
    ],
)
def test_what_could_not_be_decided_is_3(dnsbound, in_world, car, fault, reason):
    in_world.fault(car.name.text, fault)
    ran = dnsbound("explain", car.name.text, "--json", "--timeout", "2")
    in_world.heal(car.name.text)
    assert told(ran) == (3, "undecided", reason)


def test_a_resolver_that_is_not_there(dnsbound, car, certificate):
    ran = dnsbound(
        "match", car.name.text, "--cert", certificate, "--resolver", "127.0.0.1:1", "--timeout", "1", "--json"
    )
    assert told(ran) == (3, "undecided", Reason.DNS_FAILED)


def test_explain_shows_the_chain_from_anchor_to_record(dnsbound, car):
    ran = dnsbound("explain", car.name.text)
    assert ran.code == 0
    order = [ran.out.index(text) for text in ("trust anchor", "example.", "cars.example.", "3 1 1", "verdict")]
    assert order == sorted(order)
    facts = json.loads(dnsbound("explain", car.name.text, "--json").out)
    assert facts["zone"] == "cars.example"
    assert [step["security"] for step in facts["steps"]] == ["secure"] * len(facts["steps"])
    assert {"DS", "DNSKEY", "TLSA"} <= {step["subject"] for step in facts["steps"]}
    assert facts["records"][0]["state"] == "usable"


def test_explain_gives_a_remedy(dnsbound, car):
    car.revoke()
    ran = dnsbound("explain", car.name.text)
    assert ran.code == 1
    assert "dnsbound record" in ran.lines[-1]


def test_explain_names_what_is_bogus(dnsbound, in_world, car):
    in_world.fault(car.name.text, Fault.EXPIRED)
    facts = json.loads(dnsbound("explain", car.name.text, "--json").out)
    in_world.heal(car.name.text)
    assert "expired" in facts["detail"]
    assert facts["security"] == "bogus"


def test_explain_with_a_certificate(dnsbound, car, certificate, stranger):
    assert told(dnsbound("explain", car.name.text, "--cert", certificate, "--json"))[0] == 0
    ran = dnsbound("explain", car.name.text, "--cert", stranger)
    assert ran.code == 1
    assert "mismatch" in ran.out


def test_aliases_are_shown(dnsbound, cars, car):
    cars.cname("alias._device.cars.example", car.name.text)
    facts = json.loads(dnsbound("explain", "alias._device.cars.example", "--json").out)
    assert (facts["outcome"], facts["aliases"]) == ("yes", [car.name.text])


def test_output_for_programs_is_one_line(dnsbound, car):
    assert len(dnsbound("explain", car.name.text, "--json").lines) == 1


@pytest.mark.peer("openssl")
def test_a_certificate_from_standard_input_in_der(dnsbound, car, certificate):
    der = subprocess.run(
        [shutil.which("openssl"), "x509", "-in", certificate, "-outform", "DER"],
        check=True,
        capture_output=True,
        timeout=60,
    ).stdout
    assert dnsbound("match", car.name.text, "--cert", "-", stdin=der).code == 0


def test_a_private_root(dnsbound, internet, car, tmp_path, monkeypatch):
    monkeypatch.setenv("DNSBOUND_RESOLVER", str(internet.resolver_address))
    ran = dnsbound("explain", car.name.text, "--json", "--timeout", "2")
    assert ran.code == 0
    monkeypatch.delenv("DNSBOUND_ANCHORS")
    ran = dnsbound("explain", car.name.text, "--json", "--timeout", "2")
    assert told(ran) == (3, "undecided", Reason.BOGUS)


def test_dns_over_tls_asks_only_a_server_that_proves_its_name(dnsbound, in_world, car, monkeypatch):
    address = in_world.resolver_tls_address
    strict = f"tls://{address.host}:{address.port}#resolver.world.test"
    # trust_env names World's web root in SSL_CERT_FILE.
    ran = dnsbound("explain", car.name.text, "--resolver", strict, "--json", "--timeout", "2")
    assert told(ran) == (0, "yes", None)
    monkeypatch.delenv("SSL_CERT_FILE")
    ran = dnsbound("explain", car.name.text, "--resolver", strict, "--json", "--timeout", "2")
    assert told(ran) == (3, "undecided", Reason.DNS_FAILED)
