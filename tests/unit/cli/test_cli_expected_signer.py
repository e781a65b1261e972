"""Who may have signed: a door that is not on the list is wrong use, and no refusal."""

import pytest

from dnsbound.credential.credential import Credential
from dnsbound.credential.ssh_key import SshKey
from dnsbound.names import ClientName

CAR = "car54._device.cars.example"


@pytest.fixture
def place(tmp_path):
    (tmp_path / "access.toml").write_text(f'[door.reports]\nallow = ["{CAR}"]\n')
    (tmp_path / "car54.pem").write_bytes(Credential.generate(ClientName.parse(CAR), now=0).to_pem())
    (tmp_path / "car54.pem").chmod(0o600)
    (tmp_path / "note").write_text("well\n")
    return tmp_path


def test_a_misspelt_door_is_wrong_use(dnsbound, place):
    assert dnsbound("sign", place / "note", "--credential", place / "car54.pem").code == 0
    ran = dnsbound("verify", place / "note", "--access", place / "access.toml", "--door", "report")
    assert (ran.code, ran.out) == (2, "")
    assert ran.err.splitlines() == ["dnsbound: the access list has no door 'report'"]


def test_a_misspelt_door_of_accounts_is_wrong_use(dnsbound, place):
    key = SshKey.from_spki(Credential.generate(ClientName.parse(CAR), now=0).spki)
    kind, blob = key.to_text().split()[:2]
    options = ["--user", "root", "--type", kind, "--key", blob, "--access", place / "access.toml", "--door", "shh"]
    ran = dnsbound("ssh", "authorized-keys", *options)
    assert (ran.code, ran.out) == (2, "")
    assert ran.err.splitlines() == ["dnsbound: the access list has no door 'shh'"]
