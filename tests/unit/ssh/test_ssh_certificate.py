"""SSH certificates: made here and read by ssh-keygen, the other way about, and what is none."""

import subprocess
import time
from base64 import b64decode, b64encode
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from dnsbound.credential import ssh_certificate
from dnsbound.credential.keys import KeyAlgorithm, PrivateKey, generate_private_key
from dnsbound.credential.signature import BadSignature
from dnsbound.credential.signer import LocalSigner
from dnsbound.credential.ssh_certificate import SUFFIX, SshCertificate
from dnsbound.credential.ssh_key import SshKey
from dnsbound.errors import DnsboundError, LimitExceeded, Malformed, Misuse

ALICE = "alice._user.cars.example"
NOW = 1_790_000_000.0
KEYS: dict[str, PrivateKey] = {
    "ecdsa-sha2-nistp256": ec.generate_private_key(ec.SECP256R1()),
    "ssh-ed25519": ed25519.Ed25519PrivateKey.generate(),
    "ssh-rsa": rsa.generate_private_key(65537, 2048),
}


def made(user: str = "ssh-ed25519", authority: str = "ecdsa-sha2-nistp256", **more: object) -> str:
    arguments: dict[str, object] = {"principals": [ALICE], "valid_after": NOW, "valid_before": NOW + 3600} | more
    key = SshKey.from_spki(LocalSigner(KEYS[user]).spki)
    return ssh_certificate.make(key, LocalSigner(KEYS[authority]), **arguments)  # type: ignore[arg-type]


@pytest.mark.parametrize("authority", KEYS)
@pytest.mark.parametrize("user", KEYS)
def test_sh_15_what_is_made_reads_the_same(user: str, authority: str) -> None:
    kind, text = made(user, authority, principals=[ALICE, "deploy"], key_id="alice", serial=7).split(" ")
    assert kind == user + SUFFIX
    found = SshCertificate.from_text(kind, text)
    assert found.key.spki == LocalSigner(KEYS[user]).spki
    assert found.authority.spki == LocalSigner(KEYS[authority]).spki
    assert (found.principals, found.key_id, found.serial) == ((ALICE, "deploy"), "alice", 7)
    assert (found.valid_after, found.valid_before, found.lasts()) == (NOW, NOW + 3600, 3600)
    assert found.blob == b64decode(text)


@pytest.mark.peer("ssh-keygen")
def test_sh_15_ssh_keygen_reads_what_is_made(tmp_path: Path) -> None:
    (tmp_path / "a-cert.pub").write_text(made() + "\n")
    told = subprocess.run(
        ["ssh-keygen", "-L", "-f", str(tmp_path / "a-cert.pub")], capture_output=True, timeout=20, check=True, text=True
    ).stdout
    assert ALICE in told
    assert "permit-pty" in told
    assert "user certificate" in told


@pytest.mark.peer("ssh-keygen")
@pytest.mark.parametrize("authority", KEYS)
def test_sh_15_what_ssh_keygen_makes_reads_here(authority: str, tmp_path: Path) -> None:
    for name, key in (("ca", KEYS[authority]), ("user", KEYS["ssh-ed25519"])):
        path = tmp_path / name
        path.touch(0o600)
        path.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption()))
        public = SshKey.from_spki(LocalSigner(key).spki)
        (tmp_path / f"{name}.pub").write_text(public.to_text() + "\n")
    sign = ["ssh-keygen", "-q", "-s", str(tmp_path / "ca"), "-I", "alice", "-n", f"{ALICE},x", "-V", "+1h"]
    subprocess.run([*sign, str(tmp_path / "user.pub")], timeout=20, check=True, capture_output=True)
    found = SshCertificate.from_text(*(tmp_path / "user-cert.pub").read_text().split()[:2])
    assert found.principals == (ALICE, "x")
    assert found.authority.spki == LocalSigner(KEYS[authority]).spki
    lasts = found.lasts()
    assert lasts is not None
    assert abs(lasts - 3600) <= 120
    assert abs(found.valid_after - time.time()) < 3600


def test_sh_16_a_changed_certificate_is_not_signed() -> None:
    kind, text = made().split(" ")
    octets = b64decode(text)
    for at in (octets.index(ALICE.encode()), len(octets) - 5):
        changed = bytearray(octets)
        changed[at] ^= 1
        with pytest.raises((BadSignature, Malformed)):
            SshCertificate.from_text(kind, b64encode(changed).decode())
    moved = octets.replace(ALICE.encode(), b"mallo._user.cars.example")
    with pytest.raises(BadSignature):
        SshCertificate.from_text(kind, b64encode(moved).decode())


def test_sh_16_an_authority_that_is_no_point_of_its_curve() -> None:
    kind, text = made().split(" ")
    octets = b64decode(text)
    point = SshKey.from_spki(LocalSigner(KEYS["ecdsa-sha2-nistp256"]).spki).blob[-32:]
    with pytest.raises(Malformed):
        SshCertificate.from_text(kind, b64encode(octets.replace(point, bytes(32))).decode())


def test_sh_16_what_is_no_certificate() -> None:
    kind, text = made().split(" ")
    octets = b64decode(text)
    wrong = [
        ("ssh-ed25519", text),
        ("ssh-rsa" + SUFFIX, text),
        (kind, ""),
        (kind, "not base64"),
        (kind, "é"),
        (kind, b64encode(octets + b"x").decode()),
        ("", ""),
    ]
    wrong += [(kind, b64encode(octets[:length]).decode()) for length in range(0, len(octets), 7)]
    for case in wrong:
        with pytest.raises(DnsboundError):
            SshCertificate.from_text(*case)
    with pytest.raises(LimitExceeded):
        SshCertificate.from_text(kind, "A" * 20_000)


@pytest.mark.peer("ssh-keygen")
def test_sh_16_a_hosts_certificate_is_no_users(tmp_path: Path) -> None:
    for name in ("ca", "host"):
        made_key = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(tmp_path / name)]
        subprocess.run(made_key, timeout=20, check=True, stdin=subprocess.DEVNULL)
    sign = ["ssh-keygen", "-q", "-h", "-s", str(tmp_path / "ca"), "-I", "h", "-n", "host.cars.example"]
    subprocess.run([*sign, str(tmp_path / "host.pub")], timeout=20, check=True, capture_output=True)
    with pytest.raises(Malformed):
        SshCertificate.from_text(*(tmp_path / "host-cert.pub").read_text().split()[:2])


@pytest.mark.parametrize(
    "more",
    [
        {"principals": []},
        {"principals": ["a,b"]},
        {"principals": ['a"b']},
        {"principals": ["a b"]},
        {"principals": ["é"]},
        {"principals": [""]},
        {"principals": ["x"] * 65},
        {"valid_before": NOW},
        {"valid_after": -1.0},
        {"serial": -1},
        {"serial": 1 << 64},
    ],
    ids=str,
)
def test_sh_16_what_is_not_made(more: dict[str, object]) -> None:
    with pytest.raises(Misuse):
        made(**more)


def test_sh_16_an_authority_that_ssh_has_not() -> None:
    key = SshKey.from_spki(LocalSigner(KEYS["ssh-ed25519"]).spki)
    signer = LocalSigner(generate_private_key(KeyAlgorithm.MLDSA44))
    with pytest.raises(Malformed):
        ssh_certificate.make(key, signer, principals=[ALICE], valid_after=NOW, valid_before=NOW + 1)


def test_sh_15_a_key_elsewhere_signs_unless_it_is_rsa() -> None:
    class Elsewhere:
        needs_human = False

        def __init__(self, key: PrivateKey) -> None:
            self.local = LocalSigner(key)
            self.spki, self.schemes = self.local.spki, self.local.schemes

        def sign(self, message: bytes, scheme: object) -> bytes:
            return self.local.sign(message, scheme)  # type: ignore[arg-type]

    key = SshKey.from_spki(LocalSigner(KEYS["ssh-ed25519"]).spki)
    for kind in ("ecdsa-sha2-nistp256", "ssh-ed25519"):
        line = ssh_certificate.make(
            key, Elsewhere(KEYS[kind]), principals=[ALICE], valid_after=NOW, valid_before=NOW + 1
        )
        assert SshCertificate.from_text(*line.split(" ")).principals == (ALICE,)
    with pytest.raises(Misuse):
        ssh_certificate.make(key, Elsewhere(KEYS["ssh-rsa"]), principals=[ALICE], valid_after=NOW, valid_before=NOW + 1)
