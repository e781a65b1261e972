"""`key encryption`, `encrypt` and `decrypt`: from a key that is made to a message that is opened, and what is not."""

import base64
import json
import stat
from pathlib import Path

import pytest

from dnsbound.cli import encrypt, message_files
from dnsbound.credential.credential import certificates_to_pem
from dnsbound.credential.encryption_keys import DecryptionKey
from dnsbound.credential.keys import KeyAlgorithm
from dnsbound.edge.credential_files import save_credential, save_decryption_key
from dnsbound.iana import MatchingType

SECRET = b"position 48.137 11.575\n"


def public_key_pem(spki):
    return b"-----BEGIN PUBLIC KEY-----\n" + base64.encodebytes(spki) + b"-----END PUBLIC KEY-----\n"


@pytest.fixture(scope="module")
def gov(internet):
    """A receiver with a key to encrypt to beside its own, as `key encryption` makes one."""
    organisation = internet.organisation("gov.example")
    key = DecryptionKey.generate(organisation.identity("report", algorithm=KeyAlgorithm.ED25519).name)
    organisation.publish("report", key.record)
    return key


@pytest.fixture(scope="module")
def car(internet):
    return internet.organisation("cars.example").device("car54")


@pytest.fixture
def files(gov, car):
    save_decryption_key(gov, "gov.pem")
    save_credential(car.credential, "car54.pem")
    Path("route.json").write_bytes(SECRET)


@pytest.mark.usefixtures("in_world", "files")
@pytest.mark.parametrize(("form", "signed"), [("jwe", False), ("jwe", True), ("cose", False), ("cose", True)])
def test_what_is_encrypted_to_a_name_is_opened_with_its_key(dnsbound, gov, car, form, signed):
    sealing = ("--sign-with", "car54.pem") if signed else ()
    made = dnsbound("encrypt", "route.json", "--to", gov.name, "--format", form, "--out", "route.sealed", *sealing)
    assert (made.code, made.out) == (0, "")
    assert SECRET not in Path("route.sealed").read_bytes()
    expecting = ("--from", car.name) if signed else ()
    opened = dnsbound("decrypt", "route.sealed", "--credential", "gov.pem", "--out", "out.json", *expecting, "--json")
    assert opened.code == 0, opened.err
    assert Path("out.json").read_bytes() == SECRET
    assert stat.S_IMODE(Path("out.json").stat().st_mode) == 0o600
    facts = json.loads(opened.out)
    assert (facts["to"], facts["signer"]) == (gov.name.text, car.name.text if signed else None)
    assert facts["algorithm"].startswith("ECDH-ES")


def test_through_standard_streams(program, in_world, files, gov):
    made = program("encrypt", "-", "--to", gov.name, stdin=SECRET)
    assert made.code == 0, made.err
    assert "not signed" in made.err
    opened = program("decrypt", "-", "--credential", "gov.pem", stdin=made.out.encode())
    assert (opened.code, opened.out.encode()) == (0, SECRET)


def test_to_several_names(dnsbound, in_world, files, gov, internet):
    second = internet.organisation("city.example").identity("report", publish=False)
    second.publish(matching_type=MatchingType.FULL)
    save_credential(second.credential, "city.pem")
    made = dnsbound("encrypt", "route.json", "--to", gov.name, "--to", second.name, "--json")
    facts = json.loads(made.out)
    assert [entry["name"] for entry in facts["to"]] == [gov.name.text, second.name.text]
    for key in ("gov.pem", "city.pem"):
        opened = dnsbound("decrypt", "-", "--credential", key, "--json", stdin=facts["message"].encode())
        assert base64.b64decode(json.loads(opened.out)["plaintext"]) == SECRET


def test_a_signed_message_is_not_opened_without_an_expected_signer(dnsbound, in_world, files, gov, car):
    dnsbound("encrypt", "route.json", "--to", gov.name, "--sign-with", "car54.pem", "--out", "sealed")
    ran = dnsbound("decrypt", "sealed", "--credential", "gov.pem", "--out", "out")
    assert (ran.code, Path("out").exists()) == (2, False)
    assert ran.err.count("\n") == 1
    refused = dnsbound("decrypt", "sealed", "--credential", "gov.pem", "--out", "out", "--from", "other.cars.example")
    assert (refused.code, Path("out").exists()) == (1, False)
    assert "not-permitted" in refused.err


def test_the_access_list_says_who_may_have_signed(dnsbound, in_world, files, gov, car):
    dnsbound("encrypt", "route.json", "--to", gov.name, "--sign-with", "car54.pem", "--out", "sealed")
    Path("access.toml").write_text('[door.reports]\nallow = ["*._device.cars.example"]\n')
    door = ("--access", "access.toml", "--door", "reports")
    opened = dnsbound("decrypt", "sealed", "--credential", "gov.pem", *door)
    assert (opened.code, opened.out.encode(), opened.err) == (0, SECRET, f"Signed by {car.name}.\n")
    both = dnsbound("decrypt", "sealed", "--credential", "gov.pem", *door, "--from", car.name)
    assert both.code == 2


def test_a_message_that_is_not_signed_is_refused_where_a_signer_is_expected(dnsbound, in_world, files, gov, car):
    dnsbound("encrypt", "route.json", "--to", gov.name, "--out", "message")
    ran = dnsbound("decrypt", "message", "--credential", "gov.pem", "--from", car.name)
    assert (ran.code, ran.out) == (1, "")
    assert "bad-signature" in ran.err


def test_the_digest_of_a_key_needs_the_key(dnsbound, in_world, files, car):
    ran = dnsbound("encrypt", "route.json", "--to", car.name)
    assert (ran.code, ran.out) == (1, "")
    assert "no-encryption-key" in ran.err
    assert "dnsbound key encryption" in ran.err
    Path("car54.pub").write_bytes(public_key_pem(car.credential.spki))
    made = dnsbound("encrypt", "route.json", "--to", car.name, "--key", "car54.pub")
    assert made.code == 0, made.err
    opened = dnsbound("decrypt", "-", "--credential", "car54.pem", stdin=made.out.encode())
    assert opened.out.encode() == SECRET


def test_a_certificate_that_is_for_signatures_alone_is_not_encrypted_to(dnsbound, in_world, files, car):
    Path("car54.crt").write_bytes(certificates_to_pem(car.credential.chain))
    ran = dnsbound("encrypt", "route.json", "--to", car.name, "--key", "car54.crt")
    assert (ran.code, ran.out) == (1, "")
    assert "keyUsage" in ran.err


def test_a_key_that_is_not_the_names_is_refused(dnsbound, in_world, files, gov, car):
    Path("car54.crt").write_bytes(certificates_to_pem(car.credential.chain))
    ran = dnsbound("encrypt", "route.json", "--to", gov.name, "--key", "car54.crt")
    assert ran.code == 1
    assert "tlsa-mismatch" in ran.err
    two = dnsbound("encrypt", "route.json", "--to", gov.name, "--to", car.name, "--key", "car54.crt")
    assert two.code == 2


def test_a_name_that_the_dns_does_not_speak_of_is_no_recipient(dnsbound, in_world, files, monkeypatch, closed_port):
    assert dnsbound("encrypt", "route.json", "--to", "nobody.gov.example").code == 1
    monkeypatch.setenv("DNSBOUND_RESOLVER", f"127.0.0.1:{closed_port}")
    ran = dnsbound("encrypt", "route.json", "--to", "report.gov.example", "--timeout", "0.5")
    assert (ran.code, ran.out) == (3, "")


def test_another_key_or_a_changed_message_is_not_opened(dnsbound, in_world, files, gov):
    dnsbound("encrypt", "route.json", "--to", gov.name, "--out", "message")
    wrong = dnsbound("decrypt", "message", "--credential", "car54.pem")
    assert wrong.code == 1
    assert "wrong-recipient" in wrong.err
    token = Path("message").read_text()
    Path("message").write_text(token[:-4] + ("AAAA" if token[-4:] != "AAAA" else "BBBB"))
    changed = dnsbound("decrypt", "message", "--credential", "gov.pem")
    assert (changed.code, changed.out) == (1, "")
    assert "not-opened" in changed.err


@pytest.mark.parametrize("octets", [b"", b"hello", b"a.b.c.d.e", b"{}", b"\x80", b"\xd8\x60\x84", b"\xff" * 20])
def test_what_is_no_message(dnsbound, in_world, files, octets):
    ran = dnsbound("decrypt", "-", "--credential", "gov.pem", stdin=octets)
    assert (ran.code, ran.out) == (2, "")
    assert ran.err.count("\n") == 1
    Path("message").write_bytes(octets)
    assert "message" in dnsbound("decrypt", "message", "--credential", "gov.pem").err


def test_an_output_that_is_there_is_not_replaced(dnsbound, in_world, files, gov):
    dnsbound("encrypt", "route.json", "--to", gov.name, "--out", "message")
    Path("out").write_text("mine")
    assert dnsbound("decrypt", "message", "--credential", "gov.pem", "--out", "out").code == 2
    assert Path("out").read_text() == "mine"


def test_a_file_that_is_too_large_is_not_read(dnsbound, in_world, files, gov, monkeypatch):
    monkeypatch.setattr(encrypt, "LARGEST", len(SECRET) - 1)
    ran = dnsbound("encrypt", "route.json", "--to", gov.name)
    assert (ran.code, ran.out) == (3, "")
    assert "encrypted-file-octets" in ran.err
    assert message_files.LARGEST == 64 << 20


def test_a_key_to_encrypt_to_is_made_once(dnsbound, in_world):
    made = dnsbound("key", "encryption", "report.gov.example")
    assert made.code == 0
    path = Path("report.gov.example.encryption.pem")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    key = DecryptionKey.from_pem(path.read_bytes())
    assert made.lines == [f"report.gov.example. 300 IN TLSA {key.record.to_text()}"]
    again = dnsbound("key", "encryption", "report.gov.example")
    assert (again.code, again.out) == (2, "")
    assert DecryptionKey.from_pem(path.read_bytes()) == key


def test_the_record_of_a_key_goes_into_the_inventory(dnsbound, in_world):
    assert dnsbound("zone", "create", "gov.example").code == 0
    assert dnsbound("id", "new", "report.gov.example", "--algorithm", "ed25519").code == 0
    made = json.loads(dnsbound("key", "encryption", "report.gov.example", "--json").out)
    ran = dnsbound("zone", "publish", "report.gov.example", "TLSA", *made["record"].split())
    assert ran.code == 0, ran.err
    assert made["record"].split()[-1] in dnsbound("zone", "export", "gov.example").out.replace(" ", "")
    assert dnsbound("revoke", "report.gov.example", "--yes").code == 0
    assert "TLSA" not in dnsbound("zone", "export", "gov.example").out


def test_formats_there_are(dnsbound, in_world, files, gov):
    ran = dnsbound("encrypt", "route.json", "--to", gov.name, "--format", "pgp")
    assert (ran.code, ran.out) == (2, "")
