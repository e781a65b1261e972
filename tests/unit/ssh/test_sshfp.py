"""SSHFP records: of a key, there and back, and which of them name it."""

import subprocess
from hashlib import sha1, sha256
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519

from dnsbound.credential.signer import LocalSigner
from dnsbound.credential.ssh_key import SshKey
from dnsbound.errors import Malformed, Misuse
from dnsbound.records.sshfp import SSHFP

KEY = SshKey.from_spki(LocalSigner(ed25519.Ed25519PrivateKey.generate()).spki)
OTHER = SshKey.from_spki(LocalSigner(ec.generate_private_key(ec.SECP256R1())).spki)


def test_sh_14_the_record_of_a_key_is_by_sha_256() -> None:
    record = SSHFP.of(KEY.kind, KEY.blob)
    assert record == SSHFP(4, 2, sha256(KEY.blob).digest())
    assert SSHFP.from_wire(record.to_wire()) == SSHFP.from_text(record.to_text()) == record
    assert record.names(KEY.kind, KEY.blob)
    assert record.is_usable


@pytest.mark.peer("ssh-keygen")
@pytest.mark.parametrize("key", [KEY, OTHER], ids=["ed25519", "ecdsa"])
def test_sh_14_ssh_keygen_prints_the_same(key: SshKey, tmp_path: Path) -> None:
    (tmp_path / "k.pub").write_text(key.to_text() + "\n")
    told = subprocess.run(
        ["ssh-keygen", "-r", "host.cars.example", "-f", str(tmp_path / "k.pub")],
        capture_output=True,
        timeout=20,
        check=True,
        text=True,
    ).stdout
    printed = [SSHFP.from_text(line.partition("SSHFP ")[2]) for line in told.splitlines()]
    assert SSHFP.of(key.kind, key.blob) in printed


@pytest.mark.parametrize(
    "record",
    [
        SSHFP(4, 1, sha1(KEY.blob).digest()),
        SSHFP(4, 1, sha256(KEY.blob).digest()),
        SSHFP(3, 2, sha256(KEY.blob).digest()),
        SSHFP(4, 2, sha256(OTHER.blob).digest()),
        SSHFP(4, 2, sha256(KEY.blob).digest()[:-1]),
        SSHFP(4, 2, b""),
        SSHFP(200, 200, b"x"),
    ],
    ids=range(7),
)
def test_sh_14_what_does_not_name_it(record: SSHFP) -> None:
    assert not record.names(KEY.kind, KEY.blob)


@pytest.mark.parametrize("text", ["", "4", "4 2 xyz", "4 256 00", "x 2 00", "4 2 0", "-1 2 00", "٤ 2 00"])
def test_sh_14_text_that_is_none(text: str) -> None:
    with pytest.raises(Malformed):
        SSHFP.from_text(text)


@pytest.mark.parametrize("octets", [b"", b"\4"])
def test_sh_14_octets_that_are_none(octets: bytes) -> None:
    with pytest.raises(Malformed):
        SSHFP.from_wire(octets)


def test_a_kind_without_a_number() -> None:
    with pytest.raises(Misuse):
        SSHFP.of("ssh-dss", b"")
