"""Keys on a token at the command line, and as files."""

import base64
import json
import secrets
from pathlib import Path

import pytest

from dnsbound.cli.app import run
from dnsbound.credential.credential import Credential
from dnsbound.credential.keys import KeyAlgorithm
from dnsbound.credential.reference import CredentialReference
from dnsbound.edge.credential_files import load_credential, save_credential
from dnsbound.edge.pkcs11_keys import NoSuchKey, Pkcs11Key
from dnsbound.errors import Malformed, Misuse
from interop.tokens import PIN, TestToken

pytestmark = pytest.mark.peer("softhsm2-util")

NAME = "car54._device.cars.example"
NOW = 1_780_000_000.0


def fresh() -> str:
    return f"key-{secrets.token_hex(6)}"


@pytest.fixture
def inventory(tmp_path: Path) -> Path:
    return tmp_path / "inventory.db"


def new(inventory: Path, out: Path, uri: object, *more: str) -> int:
    return run(["id", "new", NAME, "--key", str(uri), "--out", str(out), "--inventory", str(inventory), *more])


@pytest.mark.parametrize("raw", [False, True])
def test_an_identity_whose_key_is_made_on_the_token(
    token: TestToken, inventory: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], raw: bool
) -> None:
    label = fresh()
    assert new(inventory, tmp_path, token.uri(label), "--json", *(["--raw"] if raw else [])) == 0
    made = json.loads(capsys.readouterr().out)
    path = Path(made["file"])
    assert path.stat().st_mode & 0o777 == 0o600
    text = path.read_text()
    assert "PRIVATE KEY-----" not in text
    assert PIN not in text
    credential = load_credential(path)
    assert isinstance(credential.signer, Pkcs11Key)
    assert credential.name is not None
    assert credential.name.text == NAME
    assert bool(credential.chain) is not raw
    assert base64.b64decode(made["spki"]) == credential.spki == Pkcs11Key.open(token.uri(label)).spki
    assert credential.tlsa().to_text() in made["records"][0]


def test_a_key_that_is_there_is_used(token: TestToken, inventory: Path, tmp_path: Path) -> None:
    key = Pkcs11Key.make(token.uri(fresh()), KeyAlgorithm.ED25519)
    assert new(inventory, tmp_path, key.uri) == 0
    assert load_credential(tmp_path / f"{NAME}.pem").spki == key.spki


def test_another_kind_of_key_than_asked_for_is_refused(
    token: TestToken, inventory: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    key = Pkcs11Key.make(token.uri(fresh()), KeyAlgorithm.ED25519)
    assert new(inventory, tmp_path, key.uri, "--algorithm", "p256") == 2
    assert "Ed25519" in capsys.readouterr().err
    assert Pkcs11Key.open(key.uri).spki == key.spki


def test_a_key_made_for_nothing_is_taken_off_again(token: TestToken, inventory: Path, tmp_path: Path) -> None:
    label = fresh()
    (tmp_path / f"{NAME}.pem").write_text("there already")
    assert new(inventory, tmp_path, token.uri(label)) == 2
    with pytest.raises(NoSuchKey):
        Pkcs11Key.open(token.uri(label))
    kept = Pkcs11Key.make(token.uri(fresh()))
    assert new(inventory, tmp_path, kept.uri) == 2
    assert Pkcs11Key.open(kept.uri).spki == kept.spki


def test_a_pin_on_the_command_line_is_refused_and_not_repeated(
    token: TestToken, inventory: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    uri = f"{token.uri('x', pin_source=None)}&pin-value={PIN}"
    assert new(inventory, tmp_path, uri) == 2
    told = capsys.readouterr()
    assert PIN not in told.out + told.err
    assert "pin-source" in told.err


def test_a_record_is_made_from_a_key_on_the_token(token: TestToken, capsys: pytest.CaptureFixture[str]) -> None:
    key = Pkcs11Key.make(token.uri(fresh()))
    assert run(["record", key.uri.to_text()]) == 0
    expected = Credential.for_signer(NAME, key, now=NOW, kind="raw").tlsa().to_text()
    assert expected in capsys.readouterr().out


def test_doctor_names_the_tokens(
    token: TestToken, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DNSBOUND_PKCS11_MODULE", token.module)
    run(["doctor", "--json", "--resolver", "127.0.0.1:1", "--timeout", "0.1"])
    [found] = [row for row in json.loads(capsys.readouterr().out)["checks"] if row["check"] == "hardware keys"]
    assert (found["level"], found["found"]) == ("ok", f"{token.module}: {token.label}")


@pytest.mark.parametrize("kind", ["x509", "raw"])
def test_a_credential_is_written_as_a_reference_and_read_back(token: TestToken, tmp_path: Path, kind: str) -> None:
    key = Pkcs11Key.make(token.uri(fresh()))
    made = Credential.for_signer(NAME, key, now=NOW, kind=kind)  # type: ignore[arg-type] # parametrized
    path = tmp_path / "car54.pem"
    save_credential(made, path)
    read = load_credential(path)
    assert (read, read.signer.spki) == (made, key.spki)
    by_uri = load_credential(key.uri.to_text(), name=NAME)
    assert (by_uri.chain, by_uri.spki) == ((), key.spki)
    if kind == "x509":
        certificate = tmp_path / "certificate.pem"
        certificate.write_bytes(path.read_bytes()[path.read_bytes().index(b"-----BEGIN") :])
        assert load_credential(key.uri.to_text(), certificate) == made


def test_a_reference_to_another_key_is_refused(token: TestToken, tmp_path: Path) -> None:
    one, other = Pkcs11Key.make(token.uri(fresh())), Pkcs11Key.make(token.uri(fresh()))
    made = Credential.for_signer(NAME, one, now=NOW)
    path = tmp_path / "car54.pem"
    path.touch(mode=0o600)
    path.write_bytes(CredentialReference.of(made, other.uri).to_pem())
    with pytest.raises(Misuse, match="not the one"):
        load_credential(path)
    path.write_bytes(b"Private key: " + other.uri.to_text().encode() + b"\n")
    with pytest.raises(Malformed, match="neither its certificate nor its public key"):
        load_credential(path)
    path.write_bytes(b"Private key: pkcs11:token=a?pin-value=1\n-----BEGIN CERTIFICATE-----")
    with pytest.raises(Malformed):
        load_credential(path)
    path.chmod(0o644)
    with pytest.raises(Misuse, match="others may read"):
        load_credential(path)
