"""`dnsbound record` against digests computed here from what `cryptography` says the octets are."""

import hashlib
import json
import shutil
import subprocess

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from dnsbound.credential.credential import Credential
from dnsbound.names import MailboxName
from dnsbound.records import smimea
from dnsbound.records.tlsa import TLSA

NAME = "car54._device.cars.example"
KEYS = {
    "p256": lambda: ec.generate_private_key(ec.SECP256R1()),
    "ed25519": ed25519.Ed25519PrivateKey.generate,
    "rsa": lambda: rsa.generate_private_key(65537, 2048),
}


@pytest.fixture(scope="module", params=KEYS)
def key(request):
    return KEYS[request.param]()


def spki_of(key):
    return key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def csr_of(key):
    algorithm = None if isinstance(key, ed25519.Ed25519PrivateKey) else hashes.SHA256()
    return x509.CertificateSigningRequestBuilder().subject_name(x509.Name([])).sign(key, algorithm)


FORMS = {
    "public key, PEM": lambda key: key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo),
    "public key, DER": spki_of,
    "CSR, PEM": lambda key: csr_of(key).public_bytes(Encoding.PEM),
    "CSR, DER": lambda key: csr_of(key).public_bytes(Encoding.DER),
    "private key, PEM": lambda key: key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()),
    "private key, DER": lambda key: key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption()),
    "certificate, PEM": lambda key: certificate_of(key).public_bytes(Encoding.PEM),
    "certificate, DER": lambda key: certificate_of(key).public_bytes(Encoding.DER),
}


def certificate_of(key):
    import datetime as dt

    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "x")])
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    start = dt.datetime(2020, 1, 1, tzinfo=dt.UTC)
    builder = builder.serial_number(1).not_valid_before(start).not_valid_after(start + dt.timedelta(days=1))
    return builder.sign(key, None if isinstance(key, ed25519.Ed25519PrivateKey) else hashes.SHA256())


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("from_stdin", [True, False])
def test_every_form_gives_the_same_record(dnsbound, tmp_path, key, form, from_stdin):
    octets = FORMS[form](key)
    path = tmp_path / "material"
    path.write_bytes(octets)
    ran = dnsbound("record", "-", stdin=octets) if from_stdin else dnsbound("record", path)
    assert (ran.code, ran.err) == (0, "")
    assert ran.lines == [f"3 1 1 {hashlib.sha256(spki_of(key)).hexdigest()}"]


DIGESTS = {
    0: bytes,
    1: lambda octets: hashlib.sha256(octets).digest(),
    2: lambda octets: hashlib.sha512(octets).digest(),
}
WORDS = {
    "usage": {0: "PKIX-TA", 1: "pkix-ee", 2: "DANE-TA", 3: "DANE-EE"},
    "selector": {0: "Cert", 1: "SPKI"},
    "matching": {0: "Full", 1: "SHA2-256", 2: "sha2-512"},
}


@pytest.mark.parametrize("usage", range(4))
@pytest.mark.parametrize("selector", range(2))
@pytest.mark.parametrize("matching", range(3))
def test_every_combination_by_number_and_word(dnsbound, tmp_path, usage, selector, matching):
    key = KEYS["p256"]()
    certificate = certificate_of(key).public_bytes(Encoding.DER)
    path = tmp_path / "certificate.der"
    path.write_bytes(certificate)
    selected = spki_of(key) if selector else certificate
    expected = TLSA(usage, selector, matching, DIGESTS[matching](selected))
    values = {"usage": usage, "selector": selector, "matching": matching}
    numbers = [text for option, value in values.items() for text in (f"--{option}", str(value))]
    words = [text for option, value in values.items() for text in (f"--{option}", WORDS[option][value])]
    assert dnsbound("record", path, *numbers).lines == [expected.to_text()]
    assert dnsbound("record", path, *words).lines == [expected.to_text()]


def test_usages_0_and_2_name_the_authority_of_a_chain(dnsbound, tmp_path):
    leaf, authority = (certificate_of(KEYS["p256"]()) for _ in range(2))
    path = tmp_path / "chain.pem"
    path.write_bytes(leaf.public_bytes(Encoding.PEM) + authority.public_bytes(Encoding.PEM))
    digests = {
        certificate: hashlib.sha256(certificate.public_bytes(Encoding.DER)).hexdigest()
        for certificate in (leaf, authority)
    }
    for usage, named in ((0, authority), (1, leaf), (2, authority), (3, leaf)):
        ran = dnsbound("record", path, "--usage", usage, "--selector", 0)
        assert ran.lines == [f"{usage} 0 1 {digests[named]}"]


def test_zone_file_line_and_json(dnsbound, tmp_path):
    credential = Credential.generate(NAME, now=1_700_000_000)
    path = tmp_path / "car54.pem"
    path.write_bytes(credential.to_pem())
    record = credential.tlsa()
    assert dnsbound("record", path, "--name", NAME).lines == [f"{NAME}. 300 IN TLSA {record.to_text()}"]
    assert dnsbound("record", path, "--name", f"{NAME}.", "--ttl", 2).lines == [f"{NAME}. 2 IN TLSA {record.to_text()}"]
    told = json.loads(dnsbound("record", path, "--name", NAME, "--json").out)
    assert told == {
        "from": "certificate",
        "usage": 3,
        "selector": 1,
        "matching_type": 1,
        "data": record.data.hex(),
        "name": NAME,
        "ttl": 300,
        "text": f"{NAME}. 300 IN TLSA {record.to_text()}",
        "advice": [],
    }


def test_a_private_key_is_never_shown(dnsbound, tmp_path):
    credential = Credential.generate(NAME, now=1_700_000_000, kind="raw")
    path = tmp_path / "key.pem"
    path.write_bytes(credential.to_pem())
    ran = dnsbound("record", path, "--matching", 0, "--json")
    assert ran.code == 0
    assert credential.private_key_der().hex() not in ran.out
    assert json.loads(ran.out)["data"] == credential.spki.hex()


def test_a_csr_that_its_key_did_not_sign_is_refused(dnsbound):
    request = bytearray(csr_of(KEYS["p256"]()).public_bytes(Encoding.DER))
    request[-1] ^= 1
    ran = dnsbound("record", "-", stdin=bytes(request))
    assert ran.code == 2


@pytest.mark.peer("openssl")
def test_openssl_agrees(dnsbound, tmp_path):
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    program = shutil.which("openssl")
    subprocess.run(
        [
            *(program, "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"),
            *("-keyout", key, "-out", certificate, "-subj", "/CN=x"),
        ],
        check=True,
        capture_output=True,
        timeout=60,
    )
    public = subprocess.run(
        [program, "pkey", "-in", key, "-pubout", "-outform", "DER"], check=True, capture_output=True, timeout=60
    ).stdout
    digest = hashlib.sha256(public).hexdigest()
    assert dnsbound("record", certificate).lines == [f"3 1 1 {digest}"]


def test_the_line_of_a_mailbox_is_smimea(dnsbound, tmp_path):
    """RFC 8162 section 3."""
    credential = Credential.generate(NAME, now=1_790_000_000.0)
    path = tmp_path / "hugh.pem"
    path.write_bytes(credential.to_pem())
    owner = "c93f1e400f26708f98cb19d936620da35eec8f72e57f9eec01c1afd6._smimecert.example.com"
    record = credential.tlsa().to_text()
    assert dnsbound("record", path, "--name", "hugh@example.com").lines == [f"{owner}. 300 IN SMIMEA {record}"]
    told = json.loads(dnsbound("record", path, "--name", "hugh@example.com", "--json").out)
    assert told["name"] == "hugh@example.com"
    assert dnsbound("record", path, "--name", "@example.com").code == 2


def test_the_inventory_publishes_smimea_at_a_mailbox_and_nowhere_else(dnsbound):
    owner = smimea.owner_of(MailboxName.parse("hugh@cars.example"))
    record = ("SMIMEA", "3", "1", "1", "0f" * 32)
    assert dnsbound("zone", "create", "cars.example").code == 0
    assert dnsbound("zone", "publish", owner, *record).code == 0
    exported = dnsbound("zone", "export", "cars.example").out
    assert f"{owner.removesuffix('.cars.example')}" in exported
    assert "0f" * 32 in exported.lower().replace(" ", "")
    for elsewhere in ("hugh.cars.example", "*._smimecert.cars.example", "_smimecert.cars.example", f"x.{owner}"):
        ran = dnsbound("zone", "publish", elsewhere, *record)
        assert (ran.code, ran.out) == (2, ""), elsewhere
    assert dnsbound("zone", "publish", owner, "SMIMEA", "3", "1", "1", "0f").code == 2
    assert len(dnsbound("zone", "withdraw", owner, "SMIMEA").lines) == 1
