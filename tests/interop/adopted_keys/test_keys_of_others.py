"""Keys and certificates as the programs make them that made the fleet's: OpenSSL, OpenSSH, a TPM."""

import base64
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from dnsbound.provision.adoption.candidate import BadRow, Candidate, PassedOver, Problem, Row
from dnsbound.provision.adoption.source import ReadingRules
from dnsbound.provision.adoption.sources import rows

PATIENCE = 60
CAR = "car54._device.cars.example"


def run(*command: object, stdin: bytes = b"", directory: Path, **environment: str) -> bytes:
    ran = subprocess.run(
        [*map(str, command)],
        input=stdin,
        check=False,
        capture_output=True,
        timeout=PATIENCE,
        cwd=directory,
        env={"PATH": "/usr/bin:/bin:/usr/sbin:/sbin", "HOME": str(directory)} | environment,
    )
    assert ran.returncode == 0, ran.stderr
    return ran.stdout


def read(place: Path) -> list[Row]:
    return list(rows([str(place)], ReadingRules()))


def spki_of(key: Path) -> bytes:
    return run("openssl", "pkey", "-in", key, "-pubout", "-outform", "DER", directory=key.parent)


KINDS = {
    "p256": ["genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"],
    "p384": ["genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-384"],
    "ed25519": ["genpkey", "-algorithm", "ED25519"],
    "rsa": ["genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048"],
}


@pytest.mark.peer("openssl")
@pytest.mark.parametrize("kind", KINDS)
def test_what_openssl_writes_of_a_key_is_one_key(tmp_path: Path, kind: str) -> None:
    key, sources = tmp_path / "key.pem", tmp_path / "sources"
    sources.mkdir()
    run("openssl", *KINDS[kind], "-out", key, directory=tmp_path)
    pkey = ("openssl", "pkey", "-in", key, "-pubout")
    run(*pkey, "-out", sources / "public.pem", directory=tmp_path)
    run(*pkey, "-outform", "DER", "-out", sources / "public.der", directory=tmp_path)
    subject = ("-subj", "/CN=car54/serialNumber=SN-54", "-addext", f"subjectAltName=DNS:{CAR}")
    request = ("openssl", "req", "-new", "-key", key, *subject)
    run(*request, "-x509", "-days", "1", "-out", sources / "certificate.pem", directory=tmp_path)
    run(*request, "-x509", "-days", "1", "-text", "-out", sources / "certificate.txt", directory=tmp_path)
    run(*request, "-x509", "-days", "1", "-outform", "DER", "-out", sources / "certificate.crt", directory=tmp_path)
    run(*request, "-out", sources / "request.csr", directory=tmp_path)
    run(*request, "-outform", "DER", "-out", sources / "request.der", directory=tmp_path)
    found = read(sources)
    assert len(found) == 7
    for row in found:
        assert isinstance(row, Candidate), row
        assert row.spki == spki_of(key)
        if "public" not in row.where:
            assert (row.shown.san, row.shown.serial) == ((CAR,), "SN-54")
        assert (row.certificate is not None) == ("certificate" in row.where)


@pytest.mark.peer("openssl")
def test_every_form_of_private_key_is_refused(tmp_path: Path) -> None:
    top = tmp_path / "sources"
    top.mkdir()
    run("openssl", *KINDS["p256"], "-out", top / "pkcs8.pem", directory=tmp_path)
    key = ("-in", top / "pkcs8.pem")
    run("openssl", "pkey", *key, "-outform", "DER", "-out", top / "pkcs8.der", directory=tmp_path)
    run("openssl", "ec", *key, "-out", top / "sec1.pem", directory=tmp_path)
    run("openssl", "ec", *key, "-outform", "DER", "-out", top / "sec1.der", directory=tmp_path)
    encrypted = ("-aes256", "-passout", "pass:secret")
    run("openssl", "pkey", *key, *encrypted, "-out", top / "encrypted.pem", directory=tmp_path)
    pkcs8 = ("openssl", "pkcs8", "-topk8", *key, "-passout", "pass:secret", "-outform", "DER")
    run(*pkcs8, "-out", top / "encrypted.der", directory=tmp_path)
    found = read(top)
    assert len(found) == 6
    for row in found:
        assert isinstance(row, BadRow)
        assert row.problem is Problem.PRIVATE_KEY, row


@pytest.mark.peer("openssl")
def test_a_private_authority_and_what_it_certified(tmp_path: Path) -> None:
    for name in ("ca", "car54"):
        run("openssl", *KINDS["p256"], "-out", f"{name}.key", directory=tmp_path)
    extensions = ("-addext", "basicConstraints=critical,CA:TRUE", "-addext", "keyUsage=critical,keyCertSign")
    ca = ("openssl", "req", "-x509", "-new", "-key", "ca.key", "-subj", "/CN=Cars CA", "-days", "9")
    run(*ca, *extensions, "-out", "ca.pem", directory=tmp_path)
    run(
        *("openssl", "req", "-new", "-key", "car54.key", "-subj", "/CN=car54", "-addext", f"subjectAltName=DNS:{CAR}"),
        *("-out", "car54.csr"),
        directory=tmp_path,
    )
    signed = ("openssl", "x509", "-req", "-in", "car54.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial")
    run(*signed, "-copy_extensions", "copy", "-days", "9", "-out", "car54.pem", directory=tmp_path)
    chain = tmp_path / "chain.pem"
    chain.write_bytes((tmp_path / "car54.pem").read_bytes() + (tmp_path / "ca.pem").read_bytes())
    leaf, issuer = read(chain)
    assert isinstance(leaf, Candidate)
    assert leaf.shown.san == (CAR,)
    assert isinstance(issuer, PassedOver)
    [alone] = read(tmp_path / "ca.pem")
    assert isinstance(alone, BadRow)
    assert alone.problem is Problem.AUTHORITY


@pytest.mark.peer("ssh-keygen", "openssl")
@pytest.mark.parametrize(
    "kind", [("-t", "ed25519"), ("-t", "ecdsa", "-b", "384"), ("-t", "rsa", "-b", "2048")], ids=lambda kind: kind[1]
)
def test_keys_of_openssh(tmp_path: Path, kind: tuple[str, ...]) -> None:
    run("ssh-keygen", "-q", *kind, "-N", "", "-C", f"{CAR}", "-f", "id", directory=tmp_path)
    if (
        kind[1] == "ed25519"
    ):  # which ssh-keygen does not export: RFC 8410 section 4 and RFC 8709 section 4 hold 32 octets
        body = base64.b64decode((tmp_path / "id.pub").read_text().split()[1])
        spki = bytes.fromhex("302a300506032b6570032100") + body[-32:]
    else:
        exported = run("ssh-keygen", "-e", "-m", "PKCS8", "-f", "id.pub", directory=tmp_path)
        spki = run("openssl", "pkey", "-pubin", "-outform", "DER", stdin=exported, directory=tmp_path)
    authorized = tmp_path / "authorized_keys"
    authorized.write_bytes(b'no-pty,from="10.0.0.0/8" ' + (tmp_path / "id.pub").read_bytes())
    for place in (tmp_path / "id.pub", authorized):
        [row] = read(place)
        assert isinstance(row, Candidate)
        assert (row.spki, row.shown.comment) == (spki, CAR)
    [private] = read(tmp_path / "id")
    assert isinstance(private, BadRow)
    assert private.problem is Problem.PRIVATE_KEY


@pytest.fixture(scope="module")
def tpm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The TCTI of a software TPM, started."""
    for program in ("swtpm", "tpm2_createprimary"):
        if shutil.which(program) is None:
            pytest.skip(f"peer not installed: {program}")
    state = tmp_path_factory.mktemp("tpm")
    path = state / "socket"
    process = subprocess.Popen(
        [
            *("swtpm", "socket", "--tpm2", "--tpmstate", f"dir={state}"),
            *("--server", f"type=unixio,path={path}", "--ctrl", f"type=unixio,path={path}.ctrl"),
            *("--flags", "not-need-init,startup-clear"),
        ]
    )
    try:
        deadline = time.monotonic() + PATIENCE
        while not path.exists():
            assert process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.05)
        yield f"swtpm:path={path}"
    finally:
        process.terminate()
        process.wait(PATIENCE)


SIGNING = "fixedtpm|fixedparent|sensitivedataorigin|userwithauth|sign"
TPM_KEYS = {
    "ecc": (("-G", "ecc256:ecdsa"), SIGNING, None),
    "ecc-any": (("-G", "ecc256"), SIGNING, None),
    "rsa": (("-G", "rsa2048:rsassa"), SIGNING, None),
    "attestation": (("-G", "ecc256:ecdsa-sha256:null"), f"{SIGNING}|restricted", Problem.CANNOT_SIGN),
    "endorsement": (("-G", "ecc256"), SIGNING.replace("sign", "decrypt|restricted"), Problem.CANNOT_SIGN),
}


@pytest.mark.peer("openssl")
@pytest.mark.parametrize("kind", TPM_KEYS)
def test_public_areas_of_a_tpm(tmp_path: Path, tpm: str, kind: str) -> None:
    algorithm, attributes, problem = TPM_KEYS[kind]
    create = ("tpm2_createprimary", *algorithm, "-a", attributes, "-c", "key.ctx")
    run(*create, directory=tmp_path, TPM2TOOLS_TCTI=tpm)
    read_public = ("tpm2_readpublic", "-c", "key.ctx", "-o")
    run(*read_public, "tss.bin", "-f", "tss", directory=tmp_path, TPM2TOOLS_TCTI=tpm)
    run(*read_public, "der.der", "-f", "der", directory=tmp_path, TPM2TOOLS_TCTI=tpm)
    run("tpm2_flushcontext", "-t", directory=tmp_path, TPM2TOOLS_TCTI=tpm)
    area = (tmp_path / "tss.bin").read_bytes()
    table = tmp_path / "list.csv"
    table.write_text(f"serial,tpm_public\nSN1,{area.hex()}\nSN2,{area[2:].hex()}\n")
    for row in (*read(tmp_path / "tss.bin"), *read(table)):
        if problem is None:
            assert isinstance(row, Candidate), row
            assert row.spki == (tmp_path / "der.der").read_bytes()
        else:
            assert isinstance(row, BadRow), row
            assert row.problem is problem
