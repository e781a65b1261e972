"""CMS and S/MIME with `openssl cms` and GnuTLS's certtool: what they make we read, what we make they read."""

import subprocess
import time
from pathlib import Path

import pytest

from dnsbound.credential.credential import Credential
from dnsbound.credential.encryption_keys import DecryptionKey
from dnsbound.credential.keys import KeyAlgorithm, public_key_from_spki
from dnsbound.errors import Malformed
from dnsbound.objects.cms import enveloped, parse, sign, smime
from dnsbound.objects.encryption import Recipient
from dnsbound.objects.signed import SignedObject

NAME = "car54._device.cars.example"
CONTENT = bytes(range(256)) * 9 + b"\r\nend\n"
CREDENTIALS = {
    algorithm: Credential.generate(NAME, now=time.time(), algorithm=algorithm)
    for algorithm in (KeyAlgorithm.P256, KeyAlgorithm.RSA2048, KeyAlgorithm.ED25519)
}
OPENSSLS = (KeyAlgorithm.P256, KeyAlgorithm.RSA2048)
"""OpenSSL 3.0 makes and reads no CMS with Ed25519."""


class Program:
    """A program with its files in a directory of the test's."""

    def __init__(self, directory: Path, credential: Credential) -> None:
        self._directory = directory
        self.credential = credential
        (directory / "signer.pem").write_bytes(credential.to_pem())
        (directory / "content").write_bytes(CONTENT)

    def run(self, command: str, **files: bytes) -> bytes:
        """What it wrote to `out`. files: written beforehand."""
        for name, octets in files.items():
            (self._directory / name).write_bytes(octets)
        ran = subprocess.run(command.split(), cwd=self._directory, capture_output=True, timeout=30, check=False)
        assert ran.returncode == 0, ran.stderr
        return (self._directory / "out").read_bytes()


@pytest.fixture(params=OPENSSLS)
def openssl(tmp_path: Path, request: pytest.FixtureRequest) -> Program:
    return Program(tmp_path, CREDENTIALS[request.param])


def check(signed: SignedObject, credential: Credential) -> None:
    signed.check(public_key_from_spki(credential.spki))
    assert signed.name.text == NAME


MADE = [
    "-outform DER",
    "-outform DER -nodetach",
    "-outform DER -stream",
    "-outform DER -nodetach -stream",
    "-outform DER -nodetach -keyid",
    "-outform DER -nodetach -md sha512",
    "-outform DER -nodetach -cades",
]


@pytest.mark.peer("openssl")
@pytest.mark.parametrize("options", MADE)
def test_cm_21_what_openssl_signs_verifies(openssl: Program, options: str) -> None:
    message = openssl.run(f"openssl cms -sign -binary -in content -signer signer.pem -out out {options}")
    signed = parse(message, content=None if "-nodetach" in options else CONTENT)
    check(signed, openssl.credential)
    assert signed.payload == CONTENT
    assert signed.presented.chain == openssl.credential.chain


@pytest.mark.peer("openssl")
def test_cm_05_pss_of_openssl_verifies(tmp_path: Path) -> None:
    openssl = Program(tmp_path, CREDENTIALS[KeyAlgorithm.RSA2048])
    for salt in ("max", "digest"):
        options = f"-keyopt rsa_padding_mode:pss -keyopt rsa_pss_saltlen:{salt} -md sha384"
        message = openssl.run(
            f"openssl cms -sign -binary -nodetach -outform DER -in content -signer signer.pem -out out {options}"
        )
        signed = parse(message)
        check(signed, openssl.credential)
        assert signed.algorithm == "RSA-PSS-SHA384"


@pytest.mark.peer("openssl")
def test_cm_01_openssl_without_signed_attributes_is_not_taken(openssl: Program) -> None:
    message = openssl.run(
        "openssl cms -sign -noattr -binary -nodetach -outform DER -in content -signer signer.pem -out out"
    )
    with pytest.raises(Malformed, match="not over signed attributes"):
        parse(message)


@pytest.mark.peer("openssl")
@pytest.mark.parametrize("detached", [False, True], ids=["attached", "detached"])
def test_cm_21_openssl_verifies_what_is_signed_here(openssl: Program, *, detached: bool) -> None:
    message = sign(CONTENT, openssl.credential, now=time.time(), detached=detached)
    content = "-content content" if detached else ""
    command = f"openssl cms -verify -noverify -binary -inform DER -in message -out out {content}"
    assert openssl.run(command, message=message) == CONTENT


@pytest.mark.peer("certtool")
@pytest.mark.parametrize("algorithm", CREDENTIALS)
def test_cm_06_certtool_and_we_read_each_other(tmp_path: Path, algorithm: KeyAlgorithm) -> None:
    """Ed25519 too (RFC 8419)."""
    certtool = Program(tmp_path, CREDENTIALS[algorithm])
    files = "--load-certificate signer.pem --load-privkey signer.pem"
    message = certtool.run(f"certtool --p7-sign --p7-time {files} --infile content --outder --outfile out")
    check(parse(message), certtool.credential)
    ours = sign(CONTENT, certtool.credential, now=time.time())
    shown = certtool.run(
        "certtool --p7-verify --p7-show-data --inder --infile message --load-certificate signer.pem --outfile out",
        message=ours,
    )
    assert shown == CONTENT


@pytest.mark.peer("openssl")
def test_cm_17_mail_goes_both_ways(openssl: Program) -> None:
    """`openssl cms` and the older `openssl smime`, detached and opaque."""
    text = b"Content-Type: text/plain\r\n\r\nTwelve kilometres.\r\n"
    message = b"Subject: report\r\n" + text
    made = smime.sign(message, openssl.credential, now=time.time())
    is_rsa = openssl.credential.spki == CREDENTIALS[KeyAlgorithm.RSA2048].spki
    for program in ("cms", "smime"):
        if program == "cms" or not is_rsa:  # PKCS #7 knows no RSASSA-PSS, with which RSA keys sign here.
            assert openssl.run(f"openssl {program} -verify -noverify -in message -out out", message=made) == text
        for more in ("", "-nodetach"):
            theirs = openssl.run(
                f"openssl {program} -sign -in text -signer signer.pem -subject report {more} -out out", text=text
            )
            signed = smime.parse(theirs).signed
            check(signed, openssl.credential)
            assert signed.payload == text


@pytest.mark.peer("openssl")
@pytest.mark.parametrize("more", ["", "-stream"], ids=["der", "streamed"])
def test_cm_19_what_openssl_encrypts_is_opened(openssl: Program, more: str) -> None:
    padding = "" if openssl.credential.spki.startswith(b"\x30\x59") else "-keyopt rsa_padding_mode:oaep"
    options = f"-binary -aes-256-gcm -outform DER {more}"
    message = openssl.run(f"openssl cms -encrypt {options} -in content -out out -recip signer.pem {padding}")
    key = DecryptionKey.of(openssl.credential)
    opened = enveloped.decrypt(message, key, certificate=openssl.credential.chain[0])
    assert opened.plaintext == CONTENT


@pytest.mark.peer("openssl")
def test_cm_19_openssl_opens_what_is_encrypted_here(openssl: Program) -> None:
    assert openssl.credential.name is not None
    recipient = Recipient(name=openssl.credential.name, spki=openssl.credential.spki)
    message = enveloped.encrypt(CONTENT, [recipient])
    command = "openssl cms -decrypt -inform DER -in message -out out -recip signer.pem -inkey signer.pem"
    assert openssl.run(command, message=message) == CONTENT


@pytest.mark.peer("openssl")
def test_cm_20_what_mail_programs_encrypt_is_opened_by_the_danger_knob_alone(openssl: Program) -> None:
    message = openssl.run("openssl cms -encrypt -binary -aes256 -outform DER -in content -out out -recip signer.pem")
    key = DecryptionKey.of(openssl.credential)
    with pytest.raises(Malformed, match="EnvelopedData"):
        enveloped.decrypt(message, key, certificate=openssl.credential.chain[0])
    opened = enveloped.decrypt(message, key, certificate=openssl.credential.chain[0], danger_no_integrity=True)
    assert opened.plaintext == CONTENT
