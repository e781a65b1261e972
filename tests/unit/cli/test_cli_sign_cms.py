"""`dnsbound sign` and `verify` with --format cms and smime, on World."""

import json
import os

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding

from dnsbound.credential.credential import Credential
from dnsbound.credential.keys import KeyAlgorithm
from dnsbound.edge.credential_files import save_credential
from dnsbound.errors import Reason
from dnsbound.names import MailboxName
from dnsbound.objects.cms import armor
from dnsbound.records import smimea

NAME = "car54._device.cars.example"
CONTENT = os.urandom(100_000)
HUGH = MailboxName.parse("hugh@cars.example")
MESSAGE = b"From: Hugh <hugh@cars.example>\nSubject: report\n\nTwelve kilometres.\n"


@pytest.fixture
def cars(in_world):
    return in_world.organisation("cars.example")


@pytest.fixture(params=["x509", "raw", "ed25519"])
def credential(cars, tmp_path, request):
    algorithm = KeyAlgorithm.ED25519 if request.param == "ed25519" else KeyAlgorithm.P256
    kind = "raw" if request.param == "raw" else "x509"
    device = cars.device("car54", kind=kind, algorithm=algorithm)
    save_credential(device.credential, tmp_path / "car54.pem")
    yield tmp_path / "car54.pem"
    device.revoke()


@pytest.fixture
def hugh(cars, tmp_path):
    """A person's key, with a certificate for the mailbox, whose SMIMEA record stands."""
    key = ec.generate_private_key(ec.SECP256R1())
    own = x509.load_der_x509_certificate(Credential.generate("a.example", now=1_790_000_000.0).chain[0])
    builder = x509.CertificateBuilder(
        own.subject, own.subject, key.public_key(), 7, own.not_valid_before_utc, own.not_valid_after_utc
    )
    builder = builder.add_extension(x509.SubjectAlternativeName([x509.RFC822Name(HUGH.text)]), critical=False)
    made = Credential(None, key, (builder.sign(key, hashes.SHA256()).public_bytes(Encoding.DER),))
    cars.publish(smimea.owner_of(HUGH), f"SMIMEA {made.tlsa().to_text()}")
    (tmp_path / "hugh.pem").write_bytes(made.to_pem())
    (tmp_path / "hugh.pem").chmod(0o600)
    yield tmp_path / "hugh.pem"
    cars.remove(smimea.owner_of(HUGH))


@pytest.fixture
def verify(dnsbound):
    def verified(*arguments, signer=NAME, **options):
        ran = dnsbound("verify", *arguments, "--from", signer, "--json", **options)
        told = [json.loads(line) for line in ran.lines]
        return ran.code, [each["reason"] and Reason(each["reason"]) for each in told], told

    return verified


@pytest.mark.parametrize("way", ["--attached", "--detached"])
def test_cms_over_a_file_verifies_by_the_signers_name(dnsbound, verify, credential, tmp_path, way):
    file = tmp_path / "film.mp4"
    file.write_bytes(CONTENT)
    ran = dnsbound("sign", file, "--format", "cms", way, "--credential", credential)
    assert ran.code == 0, ran.err
    signature = tmp_path / "film.mp4.p7s"
    assert signature.read_bytes().startswith(b"-----BEGIN CMS-----\n")
    code, reasons, [told] = verify(file)
    assert (code, reasons, told["name"]) == (0, [None], NAME)
    assert verify("-", "--signature", signature, stdin=CONTENT)[0] == 0
    file.write_bytes(CONTENT[:-1] + b"x" if CONTENT[-1:] != b"x" else CONTENT[:-1] + b"y")
    assert verify(file)[:2] == (1, [Reason.CONTENT_MISMATCH])
    file.write_bytes(CONTENT)
    assert verify(file, signer="truck1._device.cars.example")[:2] == (1, [Reason.NOT_PERMITTED])
    signature.write_bytes(armor.from_pem(signature.read_bytes()))
    assert verify(file)[0] == 0


def test_cms_says_what_it_cannot(dnsbound, credential, tmp_path):
    file = tmp_path / "film.mp4"
    file.write_bytes(CONTENT)
    for more in ([], ["--chunks"], ["--detached", "--no-key"]):
        assert dnsbound("sign", file, "--format", "cms", "--credential", credential, *more).code == 2
    assert not (tmp_path / "film.mp4.p7s").exists()


def test_a_mail_message_is_signed_and_verified_by_the_mailbox(dnsbound, verify, hugh, tmp_path):
    ran = dnsbound("sign", "-", "--format", "smime", "--credential", hugh, stdin=MESSAGE)
    assert ran.code == 0, ran.err
    signed = tmp_path / "signed.eml"
    signed.write_bytes(ran.out if isinstance(ran.out, bytes) else ran.out.encode())
    code, reasons, [told] = verify(signed, signer="hugh@cars.example")
    assert (code, reasons, told["name"]) == (0, [None], "hugh@cars.example")
    assert verify(signed, signer="*@cars.example")[0] == 0
    assert verify(signed, signer="h@cars.example")[:2] == (1, [Reason.NOT_PERMITTED])
    payload = dnsbound("verify", signed, "--from", HUGH.text, "--payload")
    assert "Twelve kilometres." in payload.out
    assert "Subject" not in payload.out  # what is not signed is not shown
    forged = tmp_path / "forged.eml"
    forged.write_bytes(signed.read_bytes().replace(b"Hugh <hugh@", b"Hugh <h@"))
    assert dnsbound("verify", forged, "--from", "*@cars.example").code == 2
    changed = tmp_path / "changed.eml"
    changed.write_bytes(signed.read_bytes().replace(b"Twelve", b"Eleven"))
    assert verify(changed, signer=HUGH.text)[:2] == (1, [Reason.BAD_SIGNATURE])
