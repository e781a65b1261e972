"""SSH's form of public keys, and the lines that OpenSSH reads: each key there and back, and what is none of them."""

import subprocess
from base64 import b64encode
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed448, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from dnsbound.credential.ssh_key import SshKey
from dnsbound.errors import DnsboundError, LimitExceeded, Malformed, Misuse
from dnsbound.names import ClientName
from dnsbound.protocols.ssh_keys import SshHost, account_of, accounts_of, authorized_line

NAME = ClientName.parse("car54._device.cars.example")
KEYS = {
    "ecdsa-sha2-nistp256": ec.generate_private_key(ec.SECP256R1()),
    "ecdsa-sha2-nistp384": ec.generate_private_key(ec.SECP384R1()),
    "ecdsa-sha2-nistp521": ec.generate_private_key(ec.SECP521R1()),
    "ssh-ed25519": ed25519.Ed25519PrivateKey.generate(),
    "ssh-rsa": rsa.generate_private_key(65537, 2048),
}


def spki(key: object) -> bytes:
    return key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)  # type: ignore[attr-defined]


@pytest.mark.parametrize("kind", KEYS)
def test_a_key_is_the_same_in_both_forms(kind: str) -> None:
    key = SshKey.from_spki(spki(KEYS[kind]))
    text = KEYS[kind].public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode()
    assert key.to_text() == text
    assert SshKey.from_text(kind, text.split(" ")[1]) == key
    assert key.spki == spki(KEYS[kind])


def test_signatures_of_rsa_have_names_of_their_own() -> None:
    text = b64encode(SshKey.from_spki(spki(KEYS["ssh-rsa"])).blob).decode()
    assert SshKey.from_text("rsa-sha2-512", text).kind == "ssh-rsa"


@pytest.mark.peer("ssh-keygen")
@pytest.mark.parametrize("kind", KEYS)
def test_ssh_keygen_reads_the_same_key(kind: str, tmp_path: Path) -> None:
    key = SshKey.from_spki(spki(KEYS[kind]))
    (tmp_path / "key.pub").write_text(f"{key.to_text()}\n")
    command = ["ssh-keygen", "-e", "-m", "PKCS8", "-f", str(tmp_path / "key.pub")]
    if kind == "ssh-ed25519":  # which it does not write in this form
        command = ["ssh-keygen", "-l", "-f", str(tmp_path / "key.pub")]
    told = subprocess.run(command, capture_output=True, timeout=20, check=True).stdout
    if kind != "ssh-ed25519":
        from cryptography.hazmat.primitives.serialization import load_pem_public_key

        assert load_pem_public_key(told).public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo) == key.spki


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        ("ssh-dss", "AAAA"),
        ("ssh-ed25519-cert-v01@openssh.com", "AAAA"),
        ("sk-ssh-ed25519@openssh.com", "AAAA"),
        ("ssh-ed25519", "AAAA"),
        ("ssh-ed25519", "not base64"),
        ("ssh-ed25519", ""),
        ("ssh-ed25519", "é"),
        ("NONE", "NONE"),
        ("ssh-rsa", b64encode(SshKey.from_spki(spki(KEYS["ssh-ed25519"])).blob).decode()),
        ("ssh-ed25519", b64encode(SshKey.from_spki(spki(KEYS["ssh-ed25519"])).blob + b"x").decode()),
    ],
    ids=range(10),  # what is in a key differs from process to process
)
def test_what_is_no_key(kind: str, text: str) -> None:
    with pytest.raises(Malformed):
        SshKey.from_text(kind, text)


def test_a_blob_that_is_too_long() -> None:
    with pytest.raises(LimitExceeded):
        SshKey.from_text("ssh-rsa", "A" * 10_000)


@pytest.mark.parametrize(
    "octets",
    [
        b"",
        b"x",
        spki(KEYS["ssh-rsa"]) + b"x",
        spki(ed448.Ed448PrivateKey.generate()),
        spki(dsa.generate_private_key(2048)),
    ],
    ids=["nothing", "noise", "more", "ed448", "dsa"],
)
def test_a_public_key_that_ssh_has_not(octets: bytes) -> None:
    with pytest.raises(Malformed):
        SshKey.from_spki(octets)


class TestLines:
    key = SshKey.from_spki(spki(KEYS["ssh-ed25519"]))

    def test_without_options(self) -> None:
        assert authorized_line(self.key, NAME, {}) == f"{self.key.to_text()} {NAME.canonical}\n"

    def test_with_options(self) -> None:
        grants = {"ssh_options": ("restrict", 'command="echo \\"x\\""', 'from="192.0.2.0/24"')}
        line = authorized_line(self.key, NAME, grants)
        assert line.startswith('restrict,command="echo \\"x\\"",from="192.0.2.0/24" ssh-ed25519 ')

    @pytest.mark.parametrize(
        "options",
        [
            "restrict",
            ("restrict\n",),
            ('command="a" ssh-ed25519 AAAA',),
            ('command="a\nb"',),
            ('command="a"b"',),
            ('command="a\\',),
            (7,),
            ("Restrict",),
        ],
    )
    def test_options_that_are_none_let_nobody_in(self, options: object) -> None:
        with pytest.raises(Misuse):
            authorized_line(self.key, NAME, {"ssh_options": options})

    @pytest.mark.parametrize("account", ["", "-x", "a b", "../x", "a/b", "a\n", "x" * 300, "é"])
    def test_accounts_that_are_none(self, account: str) -> None:
        with pytest.raises(Malformed):
            account_of(account)

    def test_grants_that_are_none_grant_nothing(self) -> None:
        assert accounts_of({"ssh_accounts": "root"}) == ()
        assert accounts_of({"ssh_accounts": (1, "deploy")}) == ("deploy",)


class TestHosts:
    @pytest.mark.parametrize(
        ("text", "owner", "shown"),
        [
            ("Host.cars.example", "_22._tcp.host.cars.example", "host.cars.example"),
            ("[host.cars.example]:2222", "_2222._tcp.host.cars.example", "[host.cars.example]:2222"),
            ("[host.cars.example]:22", "_22._tcp.host.cars.example", "host.cars.example"),
        ],
    )
    def test_a_host_and_the_owner_of_its_record(self, text: str, owner: str, shown: str) -> None:
        host = SshHost.from_text(text)
        assert (host.owner.canonical, host.to_text()) == (owner, shown)

    @pytest.mark.parametrize(
        "text", ["", "host", "[host.example]:0", "[host.example]:99999", "[::1]:22", "a b.example"]
    )
    def test_a_host_without_a_name(self, text: str) -> None:
        with pytest.raises(DnsboundError):
            _ = SshHost.from_text(text).owner
