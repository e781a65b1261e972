"""`dnsbound id`: what it issues, keeps, prints and takes back."""

import base64
import json
import re
import stat
from pathlib import Path

import pytest

from dnsbound.credential.credential import Credential
from dnsbound.edge.credential_files import load_credential

NAME = "car54._device.cars.example"


def test_new_makes_a_credential_and_registers_its_public_part(dnsbound):
    ran = dnsbound("id", "new", NAME, "--out", "keys")
    assert ran.code == 0
    path = Path("keys") / f"{NAME}.pem"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    credential = load_credential(path)
    assert credential.name.text == NAME
    assert len(credential.chain) == 1
    assert ran.lines == [f"{NAME}. 300 IN TLSA {credential.tlsa().to_text()}"]
    shown = json.loads(dnsbound("id", "show", NAME, "--json").out)
    assert shown["state"] == "active"
    assert shown["records"] == ran.lines
    assert [event["action"] for event in shown["events"]] == ["register"]
    assert [event["actor"] for event in shown["events"]] == ["operations"]


@pytest.mark.parametrize(("algorithm", "words"), [("p256", "P-256"), ("Ed25519", "Ed25519"), ("rsa2048", "RSA-2048")])
def test_raw_keys_of_each_algorithm(dnsbound, algorithm, words):
    ran = dnsbound("id", "new", NAME, "--raw", "--algorithm", algorithm, "--json")
    told = json.loads(ran.out)
    assert (ran.code, told["key"]) == (0, words)
    credential = load_credential(told["file"])
    assert credential.chain == ()
    assert told["records"] == [f"{NAME}. 300 IN TLSA {credential.tlsa().to_text()}"]


def test_an_existing_file_is_never_overwritten(dnsbound):
    path = Path(f"{NAME}.pem")
    path.write_bytes(b"somebody's only key")
    ran = dnsbound("id", "new", NAME)
    assert ran.code == 2
    assert len(ran.err.splitlines()) == 1
    assert path.read_bytes() == b"somebody's only key"
    assert dnsbound("id", "list").out == ""


def test_a_refused_registration_leaves_no_key_behind(dnsbound):
    assert dnsbound("id", "new", NAME, "--out", "one").code == 0
    ran = dnsbound("id", "new", NAME, "--out", "two")
    assert ran.code == 1
    assert not Path("two").exists()


def test_a_refused_registration_takes_back_the_directories_it_made(dnsbound, tmp_path):
    assert dnsbound("id", "new", NAME, "--out", "one").code == 0
    (tmp_path / "here" / "two").mkdir()
    for out in ("one", "two/below/again", "three/below/again"):
        assert dnsbound("id", "new", NAME, "--out", out).code != 0
    assert sorted(path.name for path in (tmp_path / "here").iterdir()) == ["one", "two"]
    assert list((tmp_path / "here" / "two").iterdir()) == []
    assert len(list((tmp_path / "here" / "one").iterdir())) == 1


def test_a_directory_that_cannot_be_made_leaves_none_above_it(dnsbound, tmp_path):
    assert dnsbound("id", "new", NAME, "--out", f"made/{'x' * 300}").code != 0
    (tmp_path / "here" / "file").write_text("in the way")
    assert dnsbound("id", "new", NAME, "--out", "file/below").code != 0
    assert [path.name for path in (tmp_path / "here").iterdir()] == ["file"]
    assert dnsbound("id", "list").out == ""


def test_an_interrupt_after_the_registration_leaves_the_key_it_uses(dnsbound, monkeypatch):
    from dnsbound.provision.identities import Identities

    register = Identities.register

    def interrupted(*arguments, **options):
        register(*arguments, **options)
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(Identities, "register", interrupted)
        assert dnsbound("id", "new", NAME, "--out", "keys").code != 0
    shown = json.loads(dnsbound("id", "show", NAME, "--json").out)
    credential = load_credential(Path("keys") / f"{NAME}.pem")
    assert base64.b64decode(shown["spki"]) == credential.spki


def test_a_name_in_any_case_is_one_name(dnsbound):
    assert dnsbound("id", "new", NAME).code == 0
    assert dnsbound("id", "new", NAME.upper(), "--out", "two").code == 1
    assert dnsbound("id", "show", f"{NAME.upper()}.").code == 0


@pytest.mark.parametrize("kind", ["cert", "csr", "public-key"])
def test_keys_made_elsewhere(dnsbound, kind):
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    credential = Credential.generate(NAME, now=1_700_000_000)
    key = credential.private_key
    octets = {
        "cert": lambda: credential.chain[0],
        "csr": lambda: (
            x509.CertificateSigningRequestBuilder()
            .subject_name(x509.Name([]))
            .sign(key, hashes.SHA256())
            .public_bytes(Encoding.PEM)
        ),
        "public-key": lambda: key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo),
    }[kind]()
    ran = dnsbound("id", "new", NAME, f"--{kind}", "-", stdin=octets)
    assert ran.code == 0
    assert ran.lines == [f"{NAME}. 300 IN TLSA {credential.tlsa().to_text()}"]
    assert [path.name for path in Path().rglob("*.pem")] == []


def test_a_credential_file_handed_over_as_certificate_brings_its_public_part_alone(dnsbound, tmp_path):
    credential = Credential.generate(NAME, now=1_700_000_000)
    path = tmp_path / "both.pem"
    path.write_bytes(credential.to_pem())
    assert dnsbound("id", "new", NAME, "--cert", path).code == 0
    secret = credential.private_key_der()
    for kept in (tmp_path / "share").rglob("*"):
        assert not kept.is_file() or secret not in kept.read_bytes()


def test_list_and_filters(dnsbound):
    for name in (NAME, "car55._device.cars.example", "car1._device.trucks.example"):
        assert dnsbound("id", "new", name).code == 0
    assert dnsbound("revoke", NAME, "--yes", "--no-publish").code == 0
    assert [line.split()[0] for line in dnsbound("id", "list").lines] == [
        NAME,
        "car55._device.cars.example",
        "car1._device.trucks.example",
    ]
    ran = dnsbound("id", "list", "--below", "cars.example", "--state", "active", "--json")
    assert [json.loads(line)["name"] for line in ran.lines] == ["car55._device.cars.example"]


def test_revoke_asks_first(dnsbound):
    dnsbound("id", "new", NAME)
    refused = dnsbound("revoke", NAME, stdin=b"n\n")
    assert refused.code == 1
    assert json.loads(dnsbound("id", "show", NAME, "--json").out)["state"] == "active"
    unanswered = dnsbound("revoke", NAME, stdin=b"")
    assert unanswered.code == 2
    assert json.loads(dnsbound("id", "show", NAME, "--json").out)["state"] == "active"
    agreed = dnsbound("revoke", NAME, "--no-publish", "--reason", "stolen", stdin=b"y\n")
    assert agreed.code == 0
    shown = json.loads(dnsbound("id", "show", NAME, "--json").out)
    assert (shown["state"], shown["records"]) == ("revoked", [])
    assert shown["events"][-1]["reason"] == "stolen"
    assert dnsbound("revoke", NAME, "--yes").code == 1


def test_people_see_the_same_facts(dnsbound):
    dnsbound("zone", "create", "cars.example")
    ran = dnsbound("id", "new", NAME)
    assert "cars.example" in ran.err
    shown = dnsbound("id", "show", NAME)
    assert shown.lines[0] == f"{NAME}  active"
    assert any(re.search(r"register by operations$", line) for line in shown.lines)


def test_names_outside_every_zone_are_told_so(dnsbound):
    assert "No zone" in dnsbound("id", "new", NAME).err
    assert "No zone" in dnsbound("revoke", NAME, "--yes").err


def test_where_the_inventory_lies(dnsbound, tmp_path, monkeypatch):
    dnsbound("id", "new", NAME)
    assert (tmp_path / "share" / "dnsbound" / "inventory.db").exists()
    monkeypatch.setenv("DNSBOUND_INVENTORY", str(tmp_path / "env.db"))
    assert dnsbound("id", "new", NAME, "--out", "b").code == 0
    assert (tmp_path / "env.db").exists()
    assert dnsbound("id", "new", NAME, "--out", "c", "--inventory", tmp_path / "option.db").code == 0
    assert (tmp_path / "option.db").exists()


def test_the_directory_of_new_keys_is_private(dnsbound):
    dnsbound("id", "new", NAME, "--out", "a/b")
    assert stat.S_IMODE(Path("a/b").stat().st_mode) == 0o700


@pytest.mark.parametrize(
    ("text", "key"), [("ml-dsa-44", "ML-DSA-44"), ("ML-DSA-65", "ML-DSA-65"), ("mldsa87", "ML-DSA-87")]
)
def test_post_quantum_identities(dnsbound, tmp_path, text, key):
    made = dnsbound("id", "new", "car9._device.cars.example", "--algorithm", text, "--out", tmp_path, "--json")
    assert made.code == 0
    facts = json.loads(made.out)
    assert facts["key"] == key
    assert facts["records"][0].split()[-4:-1] == ["3", "1", "1"]
