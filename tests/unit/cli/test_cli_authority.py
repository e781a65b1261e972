"""`dnsbound authority`, `id block` and `id unblock`, and `dnsbound revoke` below a wildcard."""

import json
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from dnsbound.credential.certificate_parsing import certificate_from_der
from dnsbound.credential.credential import certificates_to_pem
from dnsbound.credential.issuer import CertificateAuthority
from dnsbound.records.tlsa import BLOCK

WILDCARD = "*._device.cars.example"
CAR = "car54._device.cars.example"
BLOCKED = f"{CAR}. 300 IN TLSA {BLOCK.to_text()}"


@pytest.fixture(scope="module")
def authority():
    return CertificateAuthority.create("Cars", now=time.time())


@pytest.fixture
def cars(dnsbound, authority):
    """A zone, and the authority's certificate in a file."""
    Path("ca.pem").write_bytes(certificates_to_pem(authority.chain))
    assert dnsbound("zone", "create", "cars.example").code == 0
    return dnsbound


@pytest.fixture
def published(cars):
    assert cars("authority", "publish", WILDCARD, "--cert", "ca.pem").code == 0
    return cars


def exported(dnsbound):
    return dnsbound("zone", "export", "cars.example").lines


def test_publish_prints_the_record_and_advises(cars, authority):
    ran = cars("authority", "publish", WILDCARD, "--cert", "ca.pem", "--reason", "all devices")
    record = f"{WILDCARD}. 300 IN TLSA {authority.tlsa().to_text()}"
    assert (ran.code, ran.lines) == (0, [record])
    assert "pathLenConstraint" in ran.err
    assert record in exported(cars)
    told = json.loads(cars("authority", "list", "--json").out)
    assert (told["owner"], told["state"], told["records"]) == (WILDCARD, "active", [record])
    assert cars("authority", "publish", WILDCARD, "--cert", "ca.pem").code == 1


@pytest.mark.parametrize(
    "arguments",
    [
        (WILDCARD, "--cert", "ca.pem", "--usage", "3"),
        (CAR, "--cert", "ca.pem"),
        (WILDCARD, "--cert", "device.pem"),
        (WILDCARD, "--cert", "key.pub"),
        (WILDCARD, "--cert", "missing.pem"),
    ],
)
def test_what_is_no_authority(cars, authority, arguments):
    leaf = authority.issue(CAR, now=time.time())
    Path("device.pem").write_bytes(certificates_to_pem(leaf.chain))
    Path("key.pub").write_bytes(
        leaf.private_key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    )
    ran = cars("authority", "publish", *arguments)
    assert (ran.code, len(ran.err.splitlines())) == (2, 1)
    assert cars("authority", "list").out == ""


def test_revoke_counts_asks_and_removes(published):
    assert published("id", "new", CAR).code == 0
    ran = published("authority", "revoke", WILDCARD, stdin=b"n\n")
    assert (ran.code, "1 identities have records of their own" in ran.err) == (1, True)
    assert any(line.startswith(WILDCARD) for line in exported(published))
    assert published("authority", "revoke", WILDCARD, "--yes", "--reason", "key lost").code == 0
    assert not any(line.startswith(WILDCARD) for line in exported(published))
    assert published("authority", "revoke", WILDCARD, "--yes").code == 1
    assert json.loads(published("authority", "list", "--json").out)["state"] == "revoked"


def test_revoking_an_identity_below_a_wildcard_blocks_its_name(published):
    assert "no longer speaks for it" in published("id", "new", CAR).err
    ran = published("revoke", CAR, "--yes", "--reason", "stolen", "--json")
    assert (ran.code, json.loads(ran.out)["blocked"]) == (0, True)
    assert BLOCKED in exported(published)
    assert published("id", "new", CAR, "--out", "two").code == 1
    assert not Path("two").exists()


def test_revoking_a_name_that_only_its_authority_knows(published):
    assert published("revoke", CAR, stdin=b"n\n").code == 1
    assert BLOCKED not in exported(published)
    ran = published("revoke", CAR, "--yes", "--reason", "stolen")
    assert (ran.code, ran.lines) == (0, [f"{CAR}  blocked below {WILDCARD}"])
    assert BLOCKED in exported(published)
    assert published("revoke", CAR, "--yes").code == 1


def test_without_a_wildcard_there_is_nothing_to_revoke(cars):
    assert cars("revoke", CAR, "--yes").code == 1
    assert BLOCKED not in exported(cars)
    ran = cars("id", "block", CAR, "--json")
    assert (ran.code, json.loads(ran.out)["wildcard"]) == (0, None)
    assert BLOCKED in exported(cars)


def test_unblock_says_what_counts_again_and_asks(published):
    assert published("id", "unblock", CAR, "--yes").code == 1
    assert published("id", "block", CAR, "--reason", "lost").code == 0
    ran = published("id", "unblock", CAR, stdin=b"n\n")
    assert (ran.code, "counts again" in ran.err) == (1, True)
    assert BLOCKED in exported(published)
    assert published("id", "unblock", CAR, "--yes").lines == [f"{CAR}  unblocked"]
    assert BLOCKED not in exported(published)


def test_a_block_several_labels_down_tells_whom_else_it_shuts_out(published):
    ran = published("id", "block", "a.b._device.cars.example")
    assert "b._device.cars.example" in ran.err
    gaps = published("authority", "gaps")
    assert (gaps.code, gaps.lines[0].startswith("silenced  ")) == (0, True)


def test_gaps_of_names_that_were_revoked_before(cars):
    assert cars("id", "new", CAR).code == 0
    assert cars("revoke", CAR, "--yes").code == 0
    assert cars("authority", "gaps").code == 0
    assert f"dnsbound id block {CAR}" in cars("authority", "publish", WILDCARD, "--cert", "ca.pem").err
    ran = cars("authority", "gaps", "--json")
    told = json.loads(ran.out)
    assert (ran.code, told["kind"], told["name"], told["wildcard"]) == (1, "revoked-not-blocked", CAR, WILDCARD)
    assert cars(*told["remedy"].split()[1:]).code == 0
    assert cars("authority", "gaps").code == 0


def crl(authority, *certificates):
    now = datetime.fromtimestamp(time.time(), UTC)
    builder = (
        x509.CertificateRevocationListBuilder()
        .issuer_name(certificate_from_der(authority.chain[0]).subject)
        .last_update(now - timedelta(days=9))
        .next_update(now - timedelta(days=2))
    )
    for der in certificates:
        serial = certificate_from_der(der).serial_number
        entry = x509.RevokedCertificateBuilder().serial_number(serial).revocation_date(now).build()
        builder = builder.add_revoked_certificate(entry)
    return builder.sign(authority.private_key, hashes.SHA256()).public_bytes(Encoding.PEM)


def test_gaps_of_a_revocation_list(published, authority):
    leaf = authority.issue(CAR, now=time.time()).chain[0]
    Path("listed.crl").write_bytes(crl(authority, leaf))
    Path("issued.pem").write_bytes(certificates_to_pem((leaf,)))
    ran = published("authority", "gaps", "--crl", "listed.crl", "--issued", "issued.pem", "--json")
    assert (ran.code, json.loads(ran.out)["kind"]) == (1, "listed-not-blocked")
    assert "out of date" in ran.err
    assert published("authority", "gaps", "--crl", "listed.crl").code == 0
    assert published("revoke", CAR, "--yes").code == 0
    assert published("authority", "gaps", "--crl", "listed.crl", "--issued", "issued.pem").code == 0


def test_lists_of_strangers_are_refused(published, authority):
    now = time.time()
    stranger = CertificateAuthority.create("Cars", now=now)
    Path("strange.crl").write_bytes(crl(stranger))
    Path("strange.pem").write_bytes(certificates_to_pem(stranger.chain))
    assert published("authority", "gaps", "--crl", "strange.crl").code == 2
    assert published("authority", "gaps", "--crl", "strange.crl", "--issued", "strange.pem").code == 2
    assert published("authority", "gaps", "--crl", "ca.pem").code == 2
    below = authority.intermediate("Cars of the north", now=now)
    Path("below.crl").write_bytes(crl(below))
    Path("below.pem").write_bytes(certificates_to_pem(below.chain[:1]))
    assert published("authority", "gaps", "--crl", "below.crl").code == 2
    assert published("authority", "gaps", "--crl", "below.crl", "--issued", "below.pem").code == 0
