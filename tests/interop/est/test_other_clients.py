"""EST clients of other people at our server: GlobalSign's estclient, and curl with the openssl command."""

import base64
import shutil
import subprocess
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, load_pem_private_key

from dnsbound.credential.certificate_facts import spki_of
from dnsbound.credential.keys import spki_der
from dnsbound.provision.enrolment import est_messages as wire
from interop.est.est_site import CAR, TRUCK, Site

SECONDS = 60
CURVE = ["-pkeyopt", "ec_paramgen_curve:P-256"]


def ran(*command: str | Path, here: Path, stdin: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(command, cwd=here, input=stdin, capture_output=True, timeout=SECONDS, check=False)


def good(*command: str | Path, here: Path, stdin: bytes = b"") -> bytes:
    done = ran(*command, here=here, stdin=stdin)
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout


@pytest.fixture
def here(site: Site, tmp_path: Path) -> Path:
    (tmp_path / "ca.pem").write_bytes(site.world.web_root_pem)
    good("openssl", "genpkey", "-algorithm", "EC", *CURVE, "-out", "key.pem", here=tmp_path)
    return tmp_path


def estclient(site: Site, here: Path, command: str, *options: str | Path) -> subprocess.CompletedProcess[bytes]:
    program = shutil.which("estclient")
    assert program is not None
    return ran(program, command, "-server", f"localhost:{site.port}", "-explicit", "ca.pem", *options, here=here)


def csr(here: Path, name: str, *options: str) -> Path:
    subject = ["-subj", "/O=Cars", "-addext", f"subjectAltName=DNS:{name}"]
    good("openssl", "req", "-new", "-key", "key.pem", *subject, "-out", "request.pem", *options, here=here)
    return here / "request.pem"


def key_of(here: Path) -> bytes:
    key = load_pem_private_key((here / "key.pem").read_bytes(), None)
    return spki_der(key.public_key())  # type: ignore[arg-type] # a key of ours


@pytest.mark.peer("estclient", "openssl")
def test_estclient_enrols_and_reads_what_else_there_is(site: Site, here: Path) -> None:
    token = site.token()
    told = estclient(site, here, "cacerts", "-out", "issuer.pem")
    assert told.returncode == 0, told.stderr
    options = ("-user", CAR.text, "-pass", token, "-csr", csr(here, CAR.text), "-out", "leaf.pem")
    done = estclient(site, here, "enroll", *options)
    assert done.returncode == 0, done.stderr
    leaf = x509.load_pem_x509_certificate((here / "leaf.pem").read_bytes())
    leaf.verify_directly_issued_by(x509.load_pem_x509_certificate((here / "issuer.pem").read_bytes()))
    assert spki_of(leaf.public_bytes(Encoding.DER)) == key_of(here) == site.inventory.identities.named(CAR).spki
    attributes = estclient(site, here, "csrattrs")
    assert attributes.returncode == 0, attributes.stderr
    assert b"1.2.840.10045.2.1" in attributes.stdout
    assert estclient(site, here, "serverkeygen", "-cn", CAR.text, "-user", CAR.text, "-pass", token).returncode != 0


@pytest.mark.peer("estclient", "openssl")
def test_estclient_is_refused_as_everybody_is(site: Site, here: Path) -> None:
    request = csr(here, CAR.text)
    for user, password in ((CAR.text, "wrong"), (TRUCK.text, site.token())):
        done = estclient(site, here, "enroll", "-user", user, "-pass", password, "-csr", request)
        assert done.returncode != 0
    assert list(site.inventory.identities.all()) == []


@pytest.mark.peer("estclient", "openssl")
def test_estclient_waits_and_renews_with_its_certificate(site: Site, here: Path) -> None:
    token, request = site.token(TRUCK), csr(here, TRUCK.text)
    options = ("-user", TRUCK.text, "-pass", token, "-csr", request, "-out", "leaf.pem")
    waiting = estclient(site, here, "enroll", *options)
    assert waiting.returncode != 0
    assert b"not served everywhere yet" in waiting.stderr
    site.publish(TRUCK)
    assert estclient(site, here, "enroll", *options).returncode == 0
    renewed = estclient(
        site, here, "reenroll", "-certs", "leaf.pem", "-key", "key.pem", "-csr", request, "-out", "again.pem"
    )
    assert renewed.returncode == 0, renewed.stderr
    again = x509.load_pem_x509_certificate((here / "again.pem").read_bytes())
    assert spki_of(again.public_bytes(Encoding.DER)) == key_of(here)


@pytest.mark.peer("curl", "openssl")
def test_curl_and_openssl_enrol(site: Site, here: Path) -> None:
    told = good("curl", "-sS", "--cacert", "ca.pem", f"https://localhost:{site.port}{wire.PATH}/cacerts", here=here)
    shown = good("openssl", "pkcs7", "-inform", "DER", "-print_certs", here=here, stdin=base64.b64decode(told))
    assert b"enrolment of the test" in shown
    csr(here, CAR.text, "-outform", "DER")
    body = good("base64", "request.pem", here=here)
    answer = good(
        "curl",
        "-sS",
        "--fail",
        *("--cacert", "ca.pem"),
        *("--user", f"{CAR.text}:{site.token()}"),
        *("--header", "Content-Type: application/pkcs10"),
        *("--data-binary", "@-"),
        f"https://localhost:{site.port}{wire.PATH}/simpleenroll",
        here=here,
        stdin=body,
    )
    (here / "answer.b64").write_bytes(answer)
    decoded = good("base64", "--decode", "answer.b64", here=here)
    pem = good("openssl", "pkcs7", "-inform", "DER", "-print_certs", here=here, stdin=decoded)
    leaf = x509.load_pem_x509_certificate(pem[pem.index(b"-----BEGIN") :])
    assert spki_of(leaf.public_bytes(Encoding.DER)) == key_of(here)
