"""OpenSSL's and GnuTLS's command lines read our credentials, check our chains, and name the same keys."""

import subprocess
import time
from pathlib import Path

import pytest

from dnsbound.credential.association import tlsa_for_certificate
from dnsbound.credential.credential import Credential, CredentialKind, certificates_to_pem
from dnsbound.credential.issuer import CertificateAuthority
from dnsbound.credential.keys import KeyAlgorithm
from dnsbound.edge.credential_files import load_credential, save_credential
from dnsbound.iana import MatchingType, Selector, Usage

NAME = "car54._device.cars.example"


def run(*command: str | Path, octets: bytes | None = None) -> bytes:
    done = subprocess.run([str(part) for part in command], input=octets, capture_output=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout


def knows(algorithm: KeyAlgorithm) -> bool:
    """Whether the command line at hand has such keys: ML-DSA came with OpenSSL 3.5."""
    command = ["openssl", "list", "-public-key-algorithms"]
    listed = subprocess.run(command, check=True, capture_output=True, timeout=60, text=True).stdout
    return not algorithm.name.startswith("MLDSA") or "ML-DSA" in listed


@pytest.mark.peer("openssl")
@pytest.mark.parametrize("algorithm", list(KeyAlgorithm))
@pytest.mark.parametrize("kind", ["x509", "raw"])
def test_openssl_reads_the_key_of_a_saved_credential(
    tmp_path: Path, algorithm: KeyAlgorithm, kind: CredentialKind
) -> None:
    if not knows(algorithm):
        pytest.skip(f"this openssl has no {algorithm} keys")
    credential = Credential.generate(NAME, algorithm=algorithm, kind=kind, now=time.time())
    file = tmp_path / "car54.pem"
    save_credential(credential, file)
    spki = run("openssl", "pkey", "-in", file, "-pubout", "-outform", "DER")
    assert spki == credential.spki
    digest = run("openssl", "dgst", "-sha256", "-binary", octets=spki)
    assert credential.tlsa().data == digest
    if kind == "x509":
        assert run("openssl", "x509", "-in", file, "-outform", "DER") == credential.chain[0]
        assert run("openssl", "verify", "-CAfile", file, file).strip().endswith(b"OK")
        text = run("openssl", "x509", "-in", file, "-noout", "-ext", "subjectAltName,extendedKeyUsage,basicConstraints")
        assert f"DNS:{NAME}".encode() in text
        assert b"TLS Web Client Authentication" in text
        assert b"CA:FALSE" in text


@pytest.mark.peer("openssl")
@pytest.mark.parametrize("algorithm", [KeyAlgorithm.P256, KeyAlgorithm.ED25519])
def test_openssl_accepts_our_chains_for_client_authentication(tmp_path: Path, algorithm: KeyAlgorithm) -> None:
    now = time.time()
    root = CertificateAuthority.create("Cars", now=now, algorithm=algorithm)
    credential = root.intermediate("Cars west", now=now, algorithm=algorithm).issue(NAME, now=now, algorithm=algorithm)
    for index, certificate in enumerate(credential.chain):
        (tmp_path / f"{index}.pem").write_bytes(certificates_to_pem([certificate]))
    leaf, between, top = (tmp_path / f"{index}.pem" for index in range(3))
    run("openssl", "verify", "-x509_strict", "-purpose", "sslclient", "-CAfile", top, "-untrusted", between, leaf)


@pytest.mark.peer("openssl")
@pytest.mark.parametrize(
    "arguments",
    [
        ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"],
        ["-newkey", "rsa:2048"],
        ["-newkey", "ed25519"],
        ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-384"],
    ],
    ids=["P-256", "RSA", "Ed25519", "P-384"],
)
def test_we_read_what_openssl_makes(tmp_path: Path, arguments: list[str]) -> None:
    key, certificate = tmp_path / "key.pem", tmp_path / "cert.pem"
    named = ["-subj", "/CN=car54", "-addext", f"subjectAltName=DNS:{NAME}"]
    run("openssl", "req", "-x509", "-nodes", *arguments, *named, "-keyout", key, "-out", certificate)
    key.chmod(0o600)
    credential = load_credential(key, certificate)
    assert credential.name is not None
    assert credential.name.text == NAME
    assert run("openssl", "x509", "-in", certificate, "-outform", "DER") == credential.chain[0]
    assert run("openssl", "x509", "-in", certificate, "-noout", "-pubkey") == run(
        "openssl", "pkey", "-inform", "DER", "-pubout", octets=credential.private_key_der()
    )


@pytest.mark.peer("danetool")
@pytest.mark.parametrize("selector", list(Selector))
@pytest.mark.parametrize("usage", [Usage.DANE_EE, Usage.DANE_TA])
def test_gnutls_makes_the_same_records(tmp_path: Path, usage: Usage, selector: Selector) -> None:
    credential = Credential.generate(NAME, now=time.time())
    file = tmp_path / "cert.pem"
    file.write_bytes(certificates_to_pem(credential.chain))
    options = ["--x509"] if selector == Selector.CERT else []
    options += ["--ca"] if usage == Usage.DANE_TA else ["--domain"]
    theirs = run("danetool", "--tlsa-rr", "--host", "x.example", "--load-certificate", file, *options).decode()
    ours = tlsa_for_certificate(credential.chain[0], usage, selector, MatchingType.SHA2_256)
    assert ours.data.hex() in theirs.lower()
