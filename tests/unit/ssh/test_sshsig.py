"""SSHSIG and the signatures within: made here and read by ssh-keygen, the other way about, and what is refused."""

import subprocess
from base64 import b64decode, b64encode
from hashlib import sha512
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from dnsbound.credential import ssh_signature
from dnsbound.credential.keys import KeyAlgorithm, PrivateKey, generate_private_key
from dnsbound.credential.signature import BadSignature
from dnsbound.credential.signer import LocalSigner
from dnsbound.credential.ssh_key import SshKey
from dnsbound.credential.ssh_signature import string
from dnsbound.errors import DnsboundError, LimitExceeded, Malformed, Misuse
from dnsbound.names import ClientName
from dnsbound.objects import sshsig
from dnsbound.objects.sshsig import SshSignature, digest_of, make

NAME = ClientName.parse("car54._device.cars.example")
MESSAGE = b"route report of car54\n"
KEYS: dict[str, PrivateKey] = {
    "ecdsa-sha2-nistp256": ec.generate_private_key(ec.SECP256R1()),
    "ecdsa-sha2-nistp384": ec.generate_private_key(ec.SECP384R1()),
    "ecdsa-sha2-nistp521": ec.generate_private_key(ec.SECP521R1()),
    "ssh-ed25519": ed25519.Ed25519PrivateKey.generate(),
    "ssh-rsa": rsa.generate_private_key(65537, 2048),
}


def signature_of(kind: str = "ssh-ed25519", *, namespace: str = "file", digest_name: str = "sha512") -> SshSignature:
    digest = digest_of([MESSAGE], digest_name)
    return make(digest, LocalSigner(KEYS[kind]), namespace=namespace, digest_name=digest_name)


def keygen(*arguments: str, stdin: bytes = b"") -> "subprocess.CompletedProcess[bytes]":
    return subprocess.run(["ssh-keygen", *arguments], input=stdin, capture_output=True, timeout=20, check=False)


@pytest.mark.peer("ssh-keygen")
@pytest.mark.parametrize("digest_name", ["sha256", "sha512"])
@pytest.mark.parametrize("kind", KEYS)
def test_sh_01_ssh_keygen_verifies_what_is_made_here(kind: str, digest_name: str, tmp_path: Path) -> None:
    made = signature_of(kind, digest_name=digest_name)
    (tmp_path / "sig").write_text(made.to_text())
    (tmp_path / "allowed").write_text(f'{NAME} namespaces="file" {made.key.to_text()}\n')
    verify = ("-Y", "verify", "-n", "file", "-f", str(tmp_path / "allowed"), "-I", str(NAME))
    told = keygen(*verify, "-s", str(tmp_path / "sig"), stdin=MESSAGE)
    assert told.returncode == 0, told.stderr
    assert made.key.fingerprint.encode() in told.stdout
    assert keygen(*verify, "-s", str(tmp_path / "sig"), stdin=MESSAGE + b"x").returncode != 0


@pytest.mark.peer("ssh-keygen")
@pytest.mark.parametrize("digest_name", ["sha256", "sha512"])
@pytest.mark.parametrize("kind", KEYS)
def test_sh_02_what_ssh_keygen_makes_verifies_here(kind: str, digest_name: str, tmp_path: Path) -> None:
    key = KEYS[kind]
    path = tmp_path / "key"
    path.touch(0o600)
    path.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption()))
    (tmp_path / "message").write_bytes(MESSAGE)
    sign = ("-Y", "sign", "-n", "git", "-O", f"hashalg={digest_name}", "-f", str(path), str(tmp_path / "message"))
    assert keygen(*sign).returncode == 0
    text = (tmp_path / "message.sig").read_text()
    found = SshSignature.from_text(text)
    found.check(found.digest_of([MESSAGE]))
    assert (found.digest, found.namespace, found.key.spki) == (digest_name, "git", LocalSigner(key).spki)
    assert found.to_text() == text
    with pytest.raises(BadSignature):
        found.check(found.digest_of([MESSAGE, b"x"]))


@pytest.mark.parametrize("kind", KEYS)
def test_octets_and_text_are_the_same_signature(kind: str) -> None:
    made = signature_of(kind)
    assert SshSignature.from_wire(made.to_wire()) == made
    assert SshSignature.from_text(made.to_text()) == made
    assert SshSignature.from_text("\n" + made.to_text().replace("\n", "\r\n")) == made


def test_a_message_in_pieces_is_the_same_message() -> None:
    assert digest_of([MESSAGE[:3], b"", MESSAGE[3:]]) == sha512(MESSAGE).digest()


class TestTheObject:
    digest = sha512(MESSAGE).digest()

    def test_it_has_the_key_in_band_and_the_name_that_was_said(self) -> None:
        made = signature_of()
        signed = made.signed_object(self.digest, namespace="file", name=NAME)
        assert (signed.name, signed.form, signed.algorithm, signed.payload) == (NAME, "SSHSIG", "ssh-ed25519", None)
        assert signed.presented.spki == made.key.spki
        signed.check(KEYS["ssh-ed25519"].public_key())

    def test_sh_03_a_signature_for_another_namespace_is_none_here(self) -> None:
        with pytest.raises(BadSignature):
            signature_of(namespace="git").signed_object(self.digest, namespace="file", name=NAME)

    def test_sh_03_the_namespace_is_part_of_what_is_signed(self) -> None:
        made = signature_of(namespace="git")
        moved = SshSignature.from_wire(made.to_wire().replace(string(b"git"), string(b"fil")))
        with pytest.raises(BadSignature):
            moved.check(self.digest)

    @pytest.mark.parametrize("kind", [kind for kind in KEYS if kind != "ssh-ed25519"])
    def test_another_key_does_not_verify_it(self, kind: str) -> None:
        signed = signature_of().signed_object(self.digest, namespace="file", name=NAME)
        with pytest.raises(BadSignature):
            signed.check(KEYS[kind].public_key())  # type: ignore[arg-type]

    @pytest.mark.parametrize("namespace", ["", "é", "a\n", "x" * 129, " file"])
    def test_sh_03_no_signature_is_made_without_a_namespace(self, namespace: str) -> None:
        with pytest.raises(Misuse):
            make(self.digest, LocalSigner(KEYS["ssh-ed25519"]), namespace=namespace)

    def test_a_digest_of_another_length_is_not_signed(self) -> None:
        with pytest.raises(Misuse):
            make(self.digest[:32], LocalSigner(KEYS["ssh-ed25519"]), namespace="file")
        with pytest.raises(Misuse):
            make(self.digest, LocalSigner(KEYS["ssh-ed25519"]), namespace="file", digest_name="md5")

    def test_a_key_that_ssh_has_not_signs_nothing(self) -> None:
        with pytest.raises(Malformed):
            make(self.digest, LocalSigner(generate_private_key(KeyAlgorithm.MLDSA44)), namespace="file")


def octets(
    *,
    magic: bytes = b"SSHSIG",
    version: int = 1,
    key: bytes | None = None,
    namespace: bytes = b"file",
    reserved: bytes = b"",
    digest: bytes = b"sha512",
    blob: bytes | None = None,
    rest: bytes = b"",
) -> bytes:
    made = signature_of()
    parts = (made.key.blob if key is None else key, namespace, reserved, digest, made.blob if blob is None else blob)
    return magic + version.to_bytes(4, "big") + b"".join(string(part) for part in parts) + rest


def sk_key() -> bytes:
    return string(b"sk-ssh-ed25519@openssh.com") + string(bytes(32)) + string(b"ssh:")


HOSTILE = {
    "magic": lambda: octets(magic=b"SSHSIH"),
    "version": lambda: octets(version=2),
    "namespace": lambda: octets(namespace=b""),
    "long namespace": lambda: octets(namespace=b"n" * 200),
    "line end in the namespace": lambda: octets(namespace=b"git\nfile"),
    "reserved": lambda: octets(reserved=b"x"),
    "digest": lambda: octets(digest=b"sha1"),
    "no key": lambda: octets(key=b""),
    "key of a token": lambda: octets(key=sk_key()),
    "signature's algorithm": lambda: octets(blob=string(b"ssh-rsa") + string(bytes(256))),
    "signature cut short": lambda: octets(blob=string(b"ssh-ed25519")),
    "more behind the signature": lambda: octets(blob=signature_of().blob + b"x"),
    "more behind the end": lambda: octets(rest=b"x"),
    "nothing": lambda: b"",
}


@pytest.mark.parametrize("case", HOSTILE)
def test_sh_04_octets_that_are_no_signature(case: str) -> None:
    with pytest.raises(Malformed):
        SshSignature.from_wire(HOSTILE[case]())


def test_sh_04_every_prefix_and_every_long_thing_is_refused() -> None:
    whole = signature_of("ecdsa-sha2-nistp256").to_wire()
    for length in range(len(whole)):
        with pytest.raises(DnsboundError):
            SshSignature.from_wire(whole[:length])
    with pytest.raises(LimitExceeded):
        SshSignature.from_wire(whole + bytes(20_000))
    with pytest.raises(LimitExceeded):
        SshSignature.from_text("x" * 40_000)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "SSHSIG",
        f"{sshsig.FIRST_LINE}\n{sshsig.LAST_LINE}\n",
        f"{sshsig.FIRST_LINE}\nA\n{sshsig.LAST_LINE}\n",
        f"{sshsig.FIRST_LINE}\nU1NIU0lH\n{sshsig.LAST_LINE}\nmore",
        f"before\n{sshsig.FIRST_LINE}\nU1NIU0lH\n{sshsig.LAST_LINE}\n",
    ],
)
def test_sh_04_text_that_is_no_signature(text: str) -> None:
    with pytest.raises(Malformed):
        SshSignature.from_text(text)


class TestSignatures:
    def test_sh_05_the_algorithms_of_each_key(self) -> None:
        for kind, key in KEYS.items():
            signer = LocalSigner(key)
            found = [
                ssh_signature.verify(key.public_key(), ssh_signature.sign(signer, MESSAGE, algorithm), MESSAGE)
                for algorithm in ssh_signature.algorithms_of(SshKey.from_spki(signer.spki))
            ]
            assert found == (["rsa-sha2-512", "rsa-sha2-256"] if kind == "ssh-rsa" else [kind])

    def test_sh_05_no_key_signs_with_the_algorithm_of_another(self) -> None:
        for algorithm in ("ssh-rsa", "ecdsa-sha2-nistp384", "ssh-dss", "rsa-sha2-256"):
            with pytest.raises(Misuse):
                ssh_signature.sign(LocalSigner(KEYS["ecdsa-sha2-nistp256"]), MESSAGE, algorithm)

    def test_sh_05_the_curve_of_the_algorithm_is_the_keys(self) -> None:
        key = KEYS["ecdsa-sha2-nistp384"]
        octets = ssh_signature.parts_of(ssh_signature.sign(LocalSigner(key), MESSAGE))[1]
        with pytest.raises(BadSignature):
            ssh_signature.verify(key.public_key(), string(b"ecdsa-sha2-nistp256") + string(octets), MESSAGE)

    def test_sh_05_rsa_by_sha_1_and_of_another_length_is_refused(self) -> None:
        key = KEYS["ssh-rsa"]
        assert isinstance(key, rsa.RSAPrivateKey)
        signed = key.sign(MESSAGE, padding.PKCS1v15(), hashes.SHA256())
        with pytest.raises(Malformed):
            ssh_signature.verify(key.public_key(), string(b"ssh-rsa") + string(signed), MESSAGE)
        with pytest.raises(BadSignature):
            ssh_signature.verify(key.public_key(), string(b"rsa-sha2-256") + string(b"\0" + signed), MESSAGE)
        ssh_signature.verify(key.public_key(), string(b"rsa-sha2-256") + string(signed), MESSAGE)

    def test_sh_05_a_weak_key_verifies_nothing(self) -> None:
        weak = rsa.generate_private_key(65537, 1024)
        signed = weak.sign(MESSAGE, padding.PKCS1v15(), hashes.SHA512())
        with pytest.raises(BadSignature):
            ssh_signature.verify(weak.public_key(), string(b"rsa-sha2-512") + string(signed), MESSAGE)

    @pytest.mark.parametrize(
        "number", [b"", b"\0", b"\0\1", b"\x80", b"\1" * 68], ids=["none", "zero", "padded", "negative", "long"]
    )
    def test_sh_05_numbers_of_ecdsa_have_one_form(self, number: bytes) -> None:
        blob = string(b"ecdsa-sha2-nistp256") + string(string(b"\1") + string(number))
        with pytest.raises(Malformed):
            ssh_signature.verify(KEYS["ecdsa-sha2-nistp256"].public_key(), blob, MESSAGE)

    def test_a_token_with_rsa_does_not_sign(self) -> None:
        signer = LocalSigner(KEYS["ssh-rsa"])

        class Elsewhere:
            spki, schemes, needs_human = signer.spki, signer.schemes, False
            sign = signer.sign

        with pytest.raises(Misuse):
            ssh_signature.sign(Elsewhere(), MESSAGE)


def test_armour_has_lines_of_seventy() -> None:
    lines = signature_of("ssh-rsa").to_text().splitlines()
    assert {len(line) for line in lines[1:-2]} == {70}
    assert b64decode("".join(lines[1:-1])) == b64decode(b64encode(signature_of("ssh-rsa").to_wire()))
