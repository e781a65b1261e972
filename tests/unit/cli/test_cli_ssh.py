"""`dnsbound ssh` and `dnsbound git` on World: what they print, and their exit codes."""

import asyncio
import json
import os
import stat
import subprocess
import time
from base64 import b64encode
from hashlib import sha256
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.serialization import load_ssh_private_key

from dnsbound.cli import git_ssh
from dnsbound.cli.ssh_check import path_faults
from dnsbound.credential.credential import Credential
from dnsbound.credential.ssh_certificate import SshCertificate
from dnsbound.credential.ssh_key import SshKey
from dnsbound.edge.credential_files import save_credential
from dnsbound.names import ClientName
from dnsbound.records.sshfp import SSHFP
from dnsbound.records.tlsa import TLSA
from dnsbound.testing.faults import Fault

NAME = "alice._user.cars.example"
HOST = "host.cars.example"


@pytest.fixture
def alice(in_world):
    alice = in_world.organisation("cars.example").identity("alice._user")
    yield alice
    in_world.heal(NAME)
    alice.revoke()


@pytest.fixture
def access(tmp_path):
    path = tmp_path / "access.toml"
    path.write_text(f'[door.ssh]\nallow = [{{ names = ["{NAME}"], grants = {{ ssh_accounts = ["deploy"] }} }}]\n')
    return path


def offered(device):
    key = SshKey.from_spki(device.credential.spki)
    return ("--type", key.kind, "--key", b64encode(key.blob).decode()), key


def saved(tmp_path, credential):
    path = tmp_path / "credential.pem"
    save_credential(credential, path)
    return path


class TestAuthorizedKeys:
    def test_sh_11_without_a_service_the_same_code_answers(self, dnsbound, alice, access):
        key, known = offered(alice)
        ran = dnsbound("ssh", "authorized-keys", "--user", "deploy", *key, "--access", access)
        assert (ran.code, ran.out) == (0, f"{known.to_text()} {NAME}\n")
        assert dnsbound("ssh", "authorized-keys", "--user", "root", *key, "--access", access).code == 1
        assert dnsbound("ssh", "authorized-keys", "--user", "a b", *key, "--access", access).code == 1

    def test_sh_11_no_and_undecided_are_two_things(self, dnsbound, alice, access, in_world):
        key, _ = offered(alice)
        in_world.fault(NAME, Fault.SERVFAIL)
        ran = dnsbound("ssh", "authorized-keys", "--user", "deploy", *key, "--access", access)
        assert (ran.code, ran.out, len(ran.err.splitlines())) == (3, "", 1)

    def test_sh_11_somebody_must_say_who_may_come_in(self, dnsbound, alice, tmp_path):
        key, _ = offered(alice)
        assert dnsbound("ssh", "authorized-keys", "--user", "deploy", *key).code == 2
        missing = dnsbound("ssh", "authorized-keys", "--user", "deploy", *key, "--socket", tmp_path / "none.sock")
        assert (missing.code, "no verify service" in missing.err) == (2, True)


class TestKnownHosts:
    def ask(self, dnsbound, key, host=HOST, **more):
        words = [word for name, value in more.items() for word in (f"--{name}", value)]
        return dnsbound("ssh", "known-hosts", "--host", host, *key, *words)

    def test_sh_13_the_host_that_was_asked_for_is_looked_up_and_no_other(self, dnsbound, alice, in_world):
        cars = in_world.organisation("cars.example")
        key, known = offered(alice)
        assert self.ask(dnsbound, key).code == 1
        cars.publish("other", f"SSHFP {SSHFP.of(known.kind, known.blob).to_text()}")
        ran = self.ask(dnsbound, key, "other.cars.example")
        assert (ran.code, ran.out) == (0, f"other.cars.example {known.to_text()}\n")
        cars.publish("_2222._tcp.third", TLSA(3, 1, 0, known.spki))
        assert self.ask(dnsbound, key, "[third.cars.example]:2222").code == 0
        assert self.ask(dnsbound, key, "other.cars.example", why="ORDER").code == 0
        assert self.ask(dnsbound, key, "192.0.2.1").code == 1


class TestRecords:
    def test_sh_14_records_of_a_host(self, dnsbound, tmp_path):
        key = SshKey.from_spki(Credential.generate(NAME, now=0.0).spki)
        (tmp_path / "host.pub").write_text(f"{key.to_text()} root@host\n")
        ran = dnsbound("ssh", "sshfp", HOST, tmp_path / "host.pub", "--ttl", "300")
        assert ran.code == 0
        assert ran.lines[0] == f"{HOST}. 300 IN SSHFP {SSHFP.of(key.kind, key.blob).to_text()}"
        assert ran.lines[1].startswith(f"_22._tcp.{HOST}. 300 IN TLSA 3 1 1 ")
        facts = json.loads(dnsbound("ssh", "sshfp", HOST, tmp_path / "host.pub", "--port", "2222", "--json").out)
        assert [record["name"] for record in facts["records"]] == [HOST, f"_2222._tcp.{HOST}"]

    def test_sh_14_the_inventory_publishes_both_records_of_a_host(self, dnsbound, tmp_path):
        key = SshKey.from_spki(Credential.generate(NAME, now=0.0).spki)
        (tmp_path / "host.pub").write_text(f"{key.to_text()} _22._tcp.{HOST}\n")
        record = SSHFP.of(key.kind, key.blob)
        assert dnsbound("zone", "create", "cars.example").code == 0
        adopted = dnsbound("id", "adopt", tmp_path / "host.pub", "--below", "cars.example")
        assert adopted.code == 0, adopted.err
        assert dnsbound("zone", "publish", HOST, "SSHFP", *record.to_text().split()).code == 0
        exported = dnsbound("zone", "export", "cars.example").out.lower()
        assert record.fingerprint.hex() in exported.replace(" ", "")
        assert sha256(key.spki).hexdigest() in exported.replace(" ", "")
        weak = SSHFP(record.algorithm, 1, bytes(20))
        assert dnsbound("zone", "publish", HOST, "SSHFP", *weak.to_text().split()).code == 2
        assert dnsbound("zone", "publish", "*.cars.example", "SSHFP", *record.to_text().split()).code == 2

    def test_what_is_no_key(self, dnsbound, tmp_path):
        (tmp_path / "no.pub").write_text("ssh-ed25519 AAAA\n")
        ran = dnsbound("ssh", "sshfp", HOST, tmp_path / "no.pub")
        assert (ran.code, "no.pub" in ran.err) == (2, True)


class TestKeyAndCertificate:
    def test_sh_19_the_key_as_openssh_has_it(self, dnsbound, tmp_path):
        credential = Credential(None, ed25519.Ed25519PrivateKey.generate())
        source, out = saved(tmp_path, credential), tmp_path / "id"
        ran = dnsbound("ssh", "key", "--credential", source, "--out", out)
        assert ran.code == 0
        assert stat.S_IMODE(out.stat().st_mode) == 0o600
        written = load_ssh_private_key(out.read_bytes(), None)
        assert isinstance(written, ed25519.Ed25519PrivateKey)
        kind, text = (tmp_path / "id.pub").read_text().split()[:2]
        assert SshKey.from_text(kind, text).spki == credential.spki
        assert dnsbound("ssh", "key", "--credential", source, "--out", out).code == 2
        assert dnsbound("ssh", "key", "--credential", source, "--out", out, "--force").code == 0

    def test_sh_15_a_certificate_is_made_and_shown(self, dnsbound, tmp_path):
        authority = Credential(
            ClientName.parse("ssh-ca._service.cars.example"), ec.generate_private_key(ec.SECP256R1())
        )
        source = saved(tmp_path, authority)
        key = SshKey.from_spki(Credential.generate(NAME, now=0.0).spki)
        (tmp_path / "alice.pub").write_text(key.to_text())
        command = ("ssh", "certificate", "sign", tmp_path / "alice.pub", "--credential", source, "--principal")
        ran = dnsbound(*command, NAME, "--out", tmp_path / "alice-cert.pub", "--json")
        assert ran.code == 0, ran.err
        made = SshCertificate.from_text(*(tmp_path / "alice-cert.pub").read_text().split()[:2])
        assert (made.principals, made.authority.spki, made.lasts()) == ((NAME,), authority.spki, 8 * 3600)
        assert abs(made.valid_after - time.time()) < 60
        shown = json.loads(dnsbound("ssh", "certificate", "show", tmp_path / "alice-cert.pub", "--json").out)
        assert (shown["principals"], shown["authority_record"]) == ([NAME], authority.tlsa().to_text())
        assert dnsbound(*command, NAME, "--valid", "2w").code == 2
        assert dnsbound(*command, "not a name").code == 2
        assert dnsbound("ssh", "certificate", "show", tmp_path / "alice.pub").code == 2


class TestCheck:
    def test_sh_20_what_keeps_sshd_from_running_a_program(self, tmp_path):
        program = tmp_path / "bin" / "ask"
        program.parent.mkdir(mode=0o755)
        program.touch(0o755)
        owner = os.geteuid()

        def faults(path=program, owner=owner):
            # What is above the test's own directory is the machine's.
            return [fault for fault in path_faults(path, owner=owner) if str(tmp_path) in fault]

        assert faults() == []
        assert len(faults(owner=owner + 1)) >= 3
        program.parent.chmod(0o775)
        assert [fault.split(" ")[0] for fault in faults()] == [str(program.parent)]
        program.parent.chmod(0o755)
        program.chmod(0o644)
        assert faults() == [f"{program} is no program"]
        assert "no such file" in faults(tmp_path / "none")[0]
        assert path_faults(Path("curl")) == ["curl is no absolute path"]

    def test_sh_20_the_command_says_so(self, dnsbound, tmp_path):
        ran = dnsbound("ssh", "check", tmp_path / "none", "--socket", tmp_path / "none.sock", "--json")
        assert ran.code == 1
        assert len(json.loads(ran.out)["faults"]) == 2


class TestSignedFiles:
    @pytest.mark.peer("ssh-keygen")
    def test_sh_21_a_file_is_signed_and_verified_both_ways_with_ssh_keygen(self, dnsbound, alice, in_world, tmp_path):
        source = saved(tmp_path, alice.credential)
        film = tmp_path / "film.mp4"
        film.write_bytes(b"film" * 100_000)
        signed = dnsbound("sign", film, "--credential", source, "--format", "sshsig", "--detached")
        assert signed.code == 0, signed.err
        signature = tmp_path / "film.mp4.sig"
        known = SshKey.from_spki(alice.credential.spki)
        (tmp_path / "allowed").write_text(f"{NAME} {known.to_text()}\n")
        verify = ["ssh-keygen", "-Y", "verify", "-n", "file", "-f", str(tmp_path / "allowed"), "-I", NAME]
        checked = subprocess.run(
            [*verify, "-s", str(signature)], input=film.read_bytes(), capture_output=True, timeout=20, check=False
        )
        assert checked.returncode == 0, checked.stderr
        assert dnsbound("verify", film, "--from", NAME).code == 0
        # The signature says no name: one must be expected, and it is that one's or nobody's.
        assert dnsbound("verify", film, "--from", NAME, "--from", "bob._user.cars.example").code == 2
        assert dnsbound("verify", film, "--from", "*._user.cars.example").code == 2
        assert dnsbound("verify", film, "--from", "bob._user.cars.example").code == 1
        film.write_bytes(b"another" * 100)
        assert dnsbound("verify", film, "--from", NAME).code == 1
        film.write_bytes(b"film" * 100_000)
        signature.unlink()
        assert dnsbound("ssh", "key", "--credential", source, "--out", tmp_path / "id").code == 0
        sign = ["ssh-keygen", "-q", "-Y", "sign", "-n", "file", "-f", str(tmp_path / "id"), str(film)]
        subprocess.run(sign, capture_output=True, timeout=20, check=True)
        assert dnsbound("verify", film, "--from", NAME).code == 0
        signature.unlink()
        sign[5] = "git"
        subprocess.run(sign, capture_output=True, timeout=20, check=True)
        assert dnsbound("verify", film, "--from", NAME).code == 2


class TestGit:
    def test_setup_prints_and_changes_nothing(self, dnsbound, tmp_path, monkeypatch):
        (tmp_path / "dnsbound-git-ssh").touch(0o755)
        monkeypatch.setenv("PATH", str(tmp_path))
        ran = dnsbound("git", "setup", "--access", "access.toml", "--credential", "car54.pem", "--door", "fleet")
        assert ran.code == 0
        settings = dict(line.removeprefix("git config ").split(" ", 1) for line in ran.lines)
        assert settings["gpg.format"] == "ssh"
        assert settings["gpg.ssh.program"] == str(tmp_path / "dnsbound-git-ssh")
        assert settings["dnsbound.door"] == "fleet"
        assert dnsbound("git", "setup").code == 2

    @pytest.mark.parametrize(
        "arguments",
        [
            [],
            ["-Y", "other"],
            ["-Y"],
            ["-x"],
            ["-Y", "sign", "-n", "git", "-f", "missing.pem", "-U", "file"],
            ["-Y", "sign", "-n", "file", "-f", "missing.pem", "file"],
            ["-Y", "sign", "-n", "git", "-f", "missing.pem", "file"],
            ["-Y", "verify", "-n", "git", "-f", "access", "-I", "not a name", "-s", "missing.sig"],
            ["-Y", "find-principals", "-f", "access", "-s", "missing.sig"],
            ["-Y", "check-novalidate", "-n", "git", "-s", "missing.sig"],
        ],
        ids=range(10),
    )
    def test_the_program_git_runs_fails_in_one_line(self, arguments, capsys):
        assert git_ssh.run(arguments) == 2
        told = capsys.readouterr()
        assert (told.out, len(told.err.splitlines())) == ("", 1)
        # Git takes this word for an ssh-keygen that is too old.
        assert "usage:" not in told.err


def test_sh_17_an_agent_answers_until_it_is_ended(tmp_path, alice):
    """The command's parts; the program itself is run with real ssh in the tests of OpenSSH."""
    from dnsbound.cli.ssh_agent import _identity
    from dnsbound.edge.ssh_agent import SshAgent

    identity = _identity(str(saved(tmp_path, alice.credential)), [])
    assert identity.comment == NAME
    assert identity.key.spki == alice.credential.spki

    async def scenario():
        async with SshAgent(identity, tmp_path / "agent.sock") as served:
            assert served.path.exists()

    asyncio.run(scenario())
